"""The prompt adapter: PA-SAM's three ideas (Xie et al., ICME 2024, arXiv 2401.13051) on SAM 2's frozen decoder.

It joins the decoder's second block, right after the tokens looked at the image, and adds to both sides:

* *adaptive detail enhancement*: a guide made of the image and its edges weighs the image tokens (consistent
  representation), and the tokens attend to the result;
* *uncertain and refined tokens*: where is the coarse mask not to be trusted, and what belongs there instead;
* *hard points*: cells where the two disagree become point tokens, positive and negative ones.

Gates start at zero: an adapter that was not trained changes no logit. One class serves training and use; the
mathematics is in ``docs/adapters.md``.

Shapes: B prompts, T tokens, N = h * w image tokens, C channels, k points per sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.engine.sam2.fast_decoder import Injection
from annotator.engine.sam2.layout import gated_shares

MASK_TOKEN = 2
"""Row of the single-mask token: object score, IoU, mask 0, ..."""
GUIDE_CHANNELS = 4
CANNY_THRESHOLDS = (10, 100)
GUMBEL_TEMPERATURE = 0.1
"""Scores lie in -1..1, Gumbel noise is of the order of 1: without it the choice would be all chance."""

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Tokens, image with positions, image -> tokens: the adapter's attention."""


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The shape of an adapter; the three switches are the paper's ablations.

    Attributes:
        channels: C of the base's decoder.
        heads: of the adapter's attention (it works in C / 2 channels, as the decoder's does).
        points: hard points per sign.
        uses_guide: false: the image tokens are taken as they are.
        uses_tokens: false: no uncertain and refined tokens, so no maps and no points either.
        uses_points: false: no hard points.
    """

    channels: int
    heads: int = 4
    points: int = 4
    uses_guide: bool = True
    uses_tokens: bool = True
    uses_points: bool = True


@dataclass(frozen=True, slots=True)
class AdapterMaps:
    """What the adapter thinks, at the embedding's grid.

    Attributes:
        uncertainty: B x N logits; coarse, refined: B x N logits of the object.
        cells: B x 2k indices of hard points, k positive ones and then k negative ones, strongest first; None for none.
        scores: B x 2k, how much the two masks disagree there, >= 0 where a point makes sense; None for none.
    """

    uncertainty: Tensor
    coarse: Tensor
    refined: Tensor
    cells: Tensor | None = None
    scores: Tensor | None = None

    def row(self, index: int) -> AdapterMaps:
        """One prompt's maps, B = 1."""
        values = (self.uncertainty, self.coarse, self.refined, self.cells, self.scores)
        return AdapterMaps(*(None if v is None else v[index : index + 1] for v in values))  # type: ignore[arg-type]


class PromptAdapter(nn.Module):
    """One adapter: its own layers, and its copies of the decoder's mask tokens, upscaler and hyper-networks.

    The embeddings of positive and negative points are copied from the base, too, but are not trained.
    """

    point_embeddings: Tensor

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        from sam2.modeling.sam.transformer import Attention
        from sam2.modeling.sam2_utils import MLP, LayerNorm2d

        width = config.channels
        self.config = config
        self.guide_net = nn.Sequential(
            nn.Conv2d(GUIDE_CHANNELS, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.Conv2d(width // 4, width, 2, 2),
            LayerNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, 1),
        )
        self.attention = Attention(width, config.heads, downsample_rate=2)
        self.static_uncertain = nn.Parameter(torch.randn(1, width) * 0.02)
        self.static_refined = nn.Parameter(torch.randn(1, width) * 0.02)
        self.uncertain_mlp = MLP(2 * width, width // 4, width, 3)
        self.refined_mlp = MLP(2 * width, width // 4, width, 3)
        self.query_gate = nn.Parameter(torch.zeros(width))
        self.key_gate = nn.Parameter(torch.zeros(width))
        self.point_gate = nn.Parameter(torch.zeros(2, width))
        """How much the image tokens listen to positive and to negative hard points."""
        self.mask_tokens = nn.Embedding(4, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([MLP(width, width, width // 8, 3) for _ in range(4)])
        self.register_buffer("point_embeddings", torch.zeros(2, width))
        self._freeze_unused()

    @classmethod
    def on(cls, model: nn.Module, config: AdapterConfig | None = None) -> PromptAdapter:
        """A fresh adapter for a base, on its device: its copies are the base's weights, its gates are closed.

        Raises:
            ValueError: the configuration is for another number of channels.
        """
        sam: Any = model
        decoder, encoder = sam.sam_mask_decoder, sam.sam_prompt_encoder
        channels = int(decoder.transformer_dim)
        if config is not None and config.channels != channels:
            raise ValueError(f"the base has {channels} channels, the configuration {config.channels}")
        adapter = cls(config or AdapterConfig(channels))
        for name in ("mask_tokens", "output_upscaling", "output_hypernetworks_mlps"):
            getattr(adapter, name).load_state_dict(getattr(decoder, name).state_dict())
        with torch.no_grad():  # label 0 is a negative point, label 1 a positive one
            for row in (0, 1):
                adapter.point_embeddings[row].copy_(encoder.point_embeddings[row].weight[0])
        return adapter.to(next(model.parameters()).device)

    def _freeze_unused(self) -> None:
        """What an ablation leaves out is not trained either."""
        unused: list[nn.Parameter] = []
        if not self.config.uses_guide:
            unused += self.guide_net.parameters()
        if not self.config.uses_tokens:
            unused += [*self.uncertain_mlp.parameters(), *self.refined_mlp.parameters()]
            unused += [self.static_uncertain, self.static_refined]
        if not self.has_points:
            unused.append(self.point_gate)
        for parameter in unused:
            parameter.requires_grad_(False)

    @property
    def has_points(self) -> bool:
        return self.config.uses_points and self.config.uses_tokens

    @property
    def points_speak(self) -> bool:
        """Whether a gate of the hard points is open: behind closed ones they change nothing."""
        return bool(self.point_gate.any())

    def guide(self, thumbnail: Tensor) -> Tensor | None:
        """The guide of images, which depends on nothing else; None for an adapter without one.

        Args:
            thumbnail: B x 3 x 4h x 4w RGB in 0..1.

        Returns:
            B x N x C.
        """
        if not self.config.uses_guide:
            return None
        return self.guide_from(guide_input(thumbnail))

    def guide_from(self, pictures: Tensor) -> Tensor:
        """The guide from :func:`guide_input`'s pictures, B x 4 x 4h x 4w."""
        found: Tensor = self.guide_net(pictures.to(self.query_gate.dtype))
        return found.flatten(2).transpose(1, 2).contiguous()

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        query_pe: Tensor,
        key_pe: Tensor,
        guide: Tensor | None,
        *,
        attend: Attend | None = None,
        with_points: bool = True,
        speaks: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Injection, AdapterMaps | None]:
        """What is added to the second block, and the maps (None for an adapter without its two tokens).

        Args:
            queries: B x T x C, what the tokens saw in the image; query_pe: their positions.
            keys: B x N x C image tokens; key_pe: 1 or B x N x C positions; guide: 1 or B x N x C.
            attend: the same attention written for speed; None takes the module's.
            with_points: false during training's warm-up.
            speaks: whether hard points become tokens; None looks at their gates, which waits for a graphics card.
            generator: of the Gumbel noise while training; in eval mode the strongest cells are taken.
        """
        detail = keys if guide is None else guide * keys
        with_pe = detail + key_pe
        seen = (attend or self.attention)(queries + query_pe, with_pe, detail)
        maps: AdapterMaps | None = None
        extra_tokens = extra_pe = extra_gate = None
        if self.config.uses_tokens:
            coarse_token = seen[:, MASK_TOKEN]
            uncertain_token = self._token(self.uncertain_mlp, self.static_uncertain, coarse_token)
            refined_token = self._token(self.refined_mlp, self.static_refined, coarse_token)
            filters = torch.stack([uncertain_token, coarse_token, refined_token], 1)
            maps = AdapterMaps(*torch.bmm(filters, detail.transpose(1, 2)).float().unbind(1))
            seen = torch.cat([seen[:, :MASK_TOKEN], refined_token[:, None], seen[:, MASK_TOKEN + 1 :]], 1)
            if self.has_points and with_points:
                cells, scores, soft = self._hard_cells(maps, generator)
                maps = AdapterMaps(maps.uncertainty, maps.coarse, maps.refined, cells, scores)
                if self.training or (self.points_speak if speaks is None else speaks):
                    extra_tokens, extra_pe = self._point_tokens(cells, soft, keys, detail, key_pe)
                    extra_gate = self.point_gate.repeat_interleave(self.config.points, 0)
        additions = Injection(
            queries=seen * self.query_gate,
            keys=detail,
            key_gate=self.key_gate,
            extra_tokens=extra_tokens,
            extra_pe=extra_pe,
            extra_gate=extra_gate,
        )
        return additions, maps

    def _token(self, mlp: nn.Module, static: Tensor, coarse_token: Tensor) -> Tensor:
        found: Tensor = mlp(torch.cat([static.expand_as(coarse_token), coarse_token], 1))
        return found

    def _hard_cells(
        self, maps: AdapterMaps, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Cells B x 2k with their scores; in training also the two soft choices B x N that gradients go through."""
        score = maps.uncertainty.sigmoid() * (maps.refined.sigmoid() - maps.coarse.sigmoid())
        count = self.config.points
        if not self.training:
            high, low = score.topk(count, dim=1), (-score).topk(count, dim=1)
            return torch.cat([high.indices, low.indices], 1), torch.cat([high.values, low.values], 1), None
        cells, soft = [], []
        for signed in (score, -score):
            logits = signed / GUMBEL_TEMPERATURE
            exponential = torch.empty_like(logits).exponential_(generator=generator)
            noisy = logits - exponential.clamp_min(1e-20).log()  # minus the log of an exponential is Gumbel noise
            cells.append(noisy.topk(count, dim=1).indices)
            soft.append(noisy.softmax(1))
        chosen = torch.cat(cells, 1)
        signed_scores = torch.cat([score.gather(1, cells[0]), -score.gather(1, cells[1])], 1)
        return chosen, signed_scores, (soft[0], soft[1])

    def _point_tokens(
        self, cells: Tensor, soft: tuple[Tensor, Tensor] | None, keys: Tensor, detail: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Content and positional encoding of the chosen cells' tokens, B x 2k x C each; positive ones first."""
        count, width = self.config.points, keys.shape[2]
        index = cells[..., None].expand(-1, -1, width)
        detail = detail.expand_as(keys)
        content = keys.gather(1, index) + detail.gather(1, index)
        if soft is not None:
            # Straight-through: the values are the chosen cells', the gradient is that of the soft choice.
            for number, weights in enumerate(soft):
                mean = torch.matmul(weights[:, None].to(keys.dtype), keys + detail)
                own = slice(number * count, (number + 1) * count)
                content = torch.cat(
                    [content[:, : own.start], content[:, own] + (mean - mean.detach()), content[:, own.stop :]], 1
                )
        sign = torch.cat([self.point_embeddings[1:2].expand(count, -1), self.point_embeddings[0:1].expand(count, -1)])
        place = key_pe.expand(keys.shape[0], -1, -1).gather(1, index)
        return content, place + sign.to(place.dtype)


def guide_input(thumbnail: Tensor) -> Tensor:
    """RGB scaled as the encoder sees it, and Canny edges of the 8-bit picture as a fourth channel.

    Args:
        thumbnail: B x 3 x 4h x 4w RGB in 0..1.

    Returns:
        B x 4 x 4h x 4w float32.
    """
    rgb = thumbnail.float()
    mean = rgb.new_tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = rgb.new_tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    pictures = (rgb.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    edges = np.stack([cv2.Canny(np.ascontiguousarray(picture), *CANNY_THRESHOLDS) for picture in pictures])
    edge_map = torch.from_numpy(edges).to(rgb.device)[:, None].float() / 255
    return torch.cat([(rgb - mean) / std, edge_map], 1)


def gated_attention(module: Any, image: Tensor, tokens: Tensor, values: Tensor, gate: Tensor) -> Tensor:
    """SAM's attention from image tokens to tokens of which the last E are gated; see :func:`gated_shares`.

    Args:
        module: sam2's ``Attention``; image: B x N x C; tokens, values: B x T x C; gate: E x C.
    """
    heads, extra = int(module.num_heads), gate.shape[0]

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    q, k = split(module.q_proj(image)), split(module.k_proj(tokens))
    shares = (torch.matmul(q, k.transpose(-1, -2)).float() / q.shape[-1] ** 0.5).softmax(-1)
    shares = gated_shares(shares, extra)
    # What a token gives to each head, carried through the output projection, so that its gate has C channels.
    weight = module.out_proj.weight.view(gate.shape[1], heads, -1)
    given = torch.einsum("bhtd,chd->bhtc", split(module.v_proj(values)), weight)
    gates = torch.cat([gate.new_ones(values.shape[1] - extra, gate.shape[1]), gate])
    out = torch.einsum("bhnt,bhtc->bnc", shares.to(given.dtype), given * gates.to(given.dtype))
    return out + module.out_proj.bias  # type: ignore[no-any-return]


def upscaled_logits(heads: PromptAdapter, features: tuple[Tensor, Tensor], image: Tensor, queries: Tensor) -> Tensor:
    """All four masks, B x 4 x 4h x 4w, by the adapter's upscaler and hyper-networks.

    Args:
        features: B x C/8 x 4h x 4w and B x C/4 x 2h x 2w; image: B x C x h x w; queries: B x T x C.
    """
    fine, coarse = features
    first, norm, act1, second, act2 = heads.output_upscaling
    pixels = act2(second(act1(norm(first(image) + coarse))) + fine)
    mlps = list(heads.output_hypernetworks_mlps)
    filters = torch.stack([mlp(queries[:, MASK_TOKEN + i]) for i, mlp in enumerate(mlps)], 1)
    return torch.einsum("bkc,bchw->bkhw", filters, pixels)


def upsampled(values: Tensor, grid_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """A map at the embedding's grid, B x N, as B x 1 x H x W."""
    return F.interpolate(values.view(values.shape[0], 1, *grid_hw), size_hw, mode="bilinear", align_corners=False)
