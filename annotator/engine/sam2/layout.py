"""How the decoder lays out weights, pixels and shares: convolutions as matrices, nested pixels, gated attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEAST_SHARE = 1e-6
"""Of the attention that is left to the decoder's own tokens, where appended ones take almost all."""


def transposed_weight(module: Any, dtype: torch.dtype) -> Tensor:
    """ConvTranspose2d(kernel 2, stride 2) as a matrix: in x (2, 2, out)."""
    weight: Tensor = module.weight.detach().to(dtype)
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1).contiguous()


def stacked_mlps(mlps: Any, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """K equal MLPs as one batched MLP: per layer weights K x in x out and biases K x 1 x out."""
    stacked = []
    for depth in range(len(mlps[0].layers)):
        weights = torch.stack([mlp.layers[depth].weight.detach().t().to(dtype) for mlp in mlps]).contiguous()
        biases = torch.stack([mlp.layers[depth].bias.detach().to(dtype) for mlp in mlps]).unsqueeze(1).contiguous()
        stacked.append((weights, biases))
    return stacked


def nested(features: Tensor, levels: int) -> Tensor:
    """1 x C x (h 2^l) x (w 2^l) -> (h w 4^l) x C, pixels in nested 2 x 2 order under their grid cell."""
    x = features[0].permute(1, 2, 0)
    rows, columns, channels = x.shape
    if levels == 1:
        x = x.reshape(rows // 2, 2, columns // 2, 2, channels).permute(0, 2, 1, 3, 4)
    else:
        x = x.reshape(rows // 4, 2, 2, columns // 4, 2, 2, channels).permute(0, 3, 1, 4, 2, 5, 6)
    return x.reshape(-1, channels).contiguous()


def raster(nested: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """B x (16 N) x K in nested order -> B x K x 4h x 4w."""
    batch, _, count = nested.shape
    h, w = grid_hw
    x = nested.view(batch, h, w, 2, 2, 2, 2, count).permute(0, 7, 1, 3, 5, 2, 4, 6)
    return x.reshape(batch, count, 4 * h, 4 * w)


def gated_shares(attention: Tensor, extra: int) -> Tensor:
    """Shares of an attention (last axis: tokens) as they are with ``extra`` gated tokens at the end.

    The decoder's own tokens keep the shares that they have among themselves, as if the others were not there; the
    others come on top with their share of all. So a gate of 0 on their values leaves the plain attention.
    """
    own = attention[..., :-extra]
    return torch.cat([own / own.sum(-1, keepdim=True).clamp_min(LEAST_SHARE), attention[..., -extra:]], -1)


class UnsupportedDecoderError(ValueError):
    """The model is not the plain SAM 2 decoder; use the reference path."""


def check_supported(decoder: Any) -> None:
    """Raises: UnsupportedDecoderError."""
    transformer = decoder.transformer
    problems = [
        (len(transformer.layers) != 2, "the transformer has not two blocks"),
        (not decoder.use_high_res_features, "there are no high-resolution features"),
        (not decoder.pred_obj_scores, "there is no object score"),
        (not transformer.layers[0].skip_first_layer_pe, "the first block adds positional encodings"),
        (not isinstance(getattr(transformer.layers[0].mlp, "act", None), nn.ReLU), "the MLP is not a ReLU network"),
    ]
    for is_wrong, reason in problems:
        if is_wrong:
            raise UnsupportedDecoderError(reason)
