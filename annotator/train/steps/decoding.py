"""What a network in training answers: windows are encoded once, prompts decoded as in use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from annotator.engine.sam2.dense_prompt import draw_prompts
from annotator.engine.sam2.nano import NanoConfig
from annotator.train.steps.prompts import Point


def decode_prompts(
    model: Any,
    config: NanoConfig,
    features: list[Tensor],
    prompts: list[list[Point]],
    thumbnail: Tensor,
    previous: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Decode one set of prompts per sample, as in use.

    Args:
        features: per sample, fine to low; prompts: B lists of equally many points in window pixels.
        thumbnail: B x 3 x q x q RGB in 0..1; previous: B x 1 x q x q logits or None.

    Returns:
        All four masks B x 4 x q x q, predicted IoU B x 4, object score B x 1, in float32.
    """
    device = thumbnail.device
    flat = torch.tensor(prompts, dtype=torch.float32, device=device)
    xy, labels = flat[..., :2], flat[..., 2].int()
    with torch.autocast(device.type, enabled=False):
        dense_map = draw_prompts(config.dense_prompt, xy, labels, thumbnail.float(), previous)
    # Positions are shares of the window. SAM 2 adds half a pixel to points itself, ours have it already.
    cells = features[2].shape[-1]
    tokens_xy = xy * (config.image_size / (16.0 * cells)) - 0.5
    encoder = model.sam_prompt_encoder
    sparse, dense = encoder(points=(tokens_xy, labels), boxes=None, masks=dense_map)
    pe = encoder.pe_layer((cells, cells))[None].expand(len(prompts), -1, -1, -1)
    masks, iou, score = decode_with_pe(model.sam_mask_decoder, features, sparse, dense, pe)
    return masks.float(), iou.float(), score.float()


def encode_windows(model: Any, normal: Tensor) -> list[Tensor]:
    """The three levels of features of normalised windows B x 3 x w x w, fine to low."""
    fine, coarse, low = model.forward_image(normal)["backbone_fpn"]
    return [fine, coarse, low + model.no_mem_embed.view(1, -1, 1, 1)]


def decode_with_pe(
    decoder: Any, features: list[Tensor], sparse: Tensor, dense: Tensor, pe: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """SAM 2's ``predict_masks`` with a positional encoding per sample (the official one takes one for all).

    Args:
        features: B x C/8 x 4h x 4w, B x C/4 x 2h x 2w, B x C x h x w; sparse: B x n x C; dense, pe: B x C x h x w.

    Returns:
        Masks B x 4 x 4h x 4w, predicted IoU B x 4, object score B x 1.
    """
    fine, coarse, low = features
    output = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output[None].expand(sparse.shape[0], -1, -1), sparse], 1)
    source = low + dense
    states, image = decoder.transformer(source, pe, tokens)
    image = image.transpose(1, 2).reshape(source.shape)
    first, norm, act1, second, act2 = decoder.output_upscaling
    upscaled = act2(second(act1(norm(first(image) + coarse))) + fine)
    filters = torch.stack([mlp(states[:, 2 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1)
    masks = torch.einsum("bkc,bchw->bkhw", filters, upscaled)
    return masks, decoder.iou_prediction_head(states[:, 1]), decoder.pred_obj_score_head(states[:, 0])
