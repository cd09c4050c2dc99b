"""A frozen decoder with a prompt adapter in it: written on sam2's modules for training, and for latency in use."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from annotator.domain.adapter import AdapterInfo
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import ModelInfo, UncertaintyMap
from annotator.domain.prompt import PointPrompt
from annotator.engine.sam2.adapter_network import (
    AdapterMaps,
    PromptAdapter,
    gated_attention,
    upscaled_logits,
)
from annotator.engine.sam2.fast_decoder import DecoderOutput, FastAttention, FastDecoder, ImageState, Injection


@dataclass(frozen=True, eq=False, slots=True)
class Adapter:
    """A trained adapter and its card."""

    network: PromptAdapter
    info: AdapterInfo


@dataclass(frozen=True, slots=True)
class AdaptedOutput:
    """All four masks B x 4 x 4h x 4w, predicted IoU B x 4, object score B x 1 (logits), and the adapter's maps."""

    masks: Tensor
    iou: Tensor
    object_score: Tensor
    maps: AdapterMaps | None


def decode_adapted(
    decoder: Any,
    adapter: PromptAdapter,
    features: tuple[Tensor, Tensor, Tensor],
    sparse: Tensor,
    dense: Tensor,
    pe: Tensor,
    guide: Tensor | None,
    *,
    with_points: bool = True,
    generator: torch.Generator | None = None,
) -> AdaptedOutput:
    """Decode on sam2's own modules; gradients pass. The reference of :class:`AdaptedDecoder`.

    Args:
        decoder: ``sam_mask_decoder`` of the base.
        features: B x C/8 x 4h x 4w, B x C/4 x 2h x 2w, B x C x h x w.
        sparse: B x n x C; dense: B x C x h x w; pe: 1 or B x C x h x w; guide: B x N x C or None.
        with_points, generator: see :meth:`PromptAdapter.forward`.
    """
    fine, coarse, low = features
    batch = sparse.shape[0]
    output = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, adapter.mask_tokens.weight])
    token_pe = torch.cat([output.expand(batch, -1, -1), sparse], 1)
    source = low + dense
    key_pe = pe.flatten(2).transpose(1, 2)
    first, second = decoder.transformer.layers
    queries, keys = first(queries=token_pe, keys=source.flatten(2).transpose(1, 2), query_pe=token_pe, key_pe=key_pe)

    with_pe = queries + token_pe
    queries = second.norm1(queries + second.self_attn(q=with_pe, k=with_pe, v=queries))
    seen = second.cross_attn_token_to_image(q=queries + token_pe, k=keys + key_pe, v=keys)
    added, maps = adapter(seen, keys, token_pe, key_pe, guide, with_points=with_points, generator=generator)
    seen, keys = seen + added.queries, keys + added.keys * added.key_gate
    if added.extra_tokens is not None:
        seen = torch.cat([seen, added.extra_tokens], 1)
        queries = torch.cat([queries, torch.zeros_like(added.extra_tokens)], 1)
        token_pe = torch.cat([token_pe, added.extra_pe], 1)
    queries = second.norm2(queries + seen)
    queries = second.norm3(queries + second.mlp(queries))
    keys = second.norm4(keys + _image_to_tokens(second, keys + key_pe, queries + token_pe, queries, added))

    final = decoder.transformer.final_attn_token_to_image(q=queries + token_pe, k=keys + key_pe, v=keys)
    queries = decoder.transformer.norm_final_attn(queries + final)
    image = keys.transpose(1, 2).reshape(source.shape)
    masks = upscaled_logits(adapter, (fine, coarse), image, queries)
    return AdaptedOutput(
        masks, decoder.iou_prediction_head(queries[:, 1]), decoder.pred_obj_score_head(queries[:, 0]), maps
    )


def _image_to_tokens(block: Any, image: Tensor, tokens: Tensor, values: Tensor, added: Injection) -> Tensor:
    attention = block.cross_attn_image_to_token
    if added.extra_gate is None:
        found: Tensor = attention(q=image, k=tokens, v=values)
        return found
    return gated_attention(attention, image, tokens, values, added.extra_gate)


@dataclass(frozen=True, eq=False, slots=True)
class AdaptedState:
    """What of an image no prompt changes: the decoder's terms and the adapter's guide (1 x N x C, or None)."""

    image: ImageState
    guide: Tensor | None

    @staticmethod
    def stacked(states: Sequence[AdaptedState]) -> AdaptedState:
        """Several images' of one adapter, one row each."""
        if len(states) == 1:
            return states[0]
        guides = [state.guide for state in states if state.guide is not None]
        return AdaptedState(ImageState.stacked([s.image for s in states]), torch.cat(guides) if guides else None)


class AdaptedDecoder:
    """The fast decoder with an adapter, in the fast decoder's dtype.

    Args:
        base: the plain decoder; it is not changed.
        adapter: for that base, not in training; its weights are used as they are (float32) or copied (bfloat16).
    """

    def __init__(self, base: FastDecoder, adapter: PromptAdapter) -> None:
        self.adapter = adapter
        self._base, self._fast = base, base.with_heads(adapter)
        self._network = adapter.eval() if base.dtype == torch.float32 else _cast(adapter, base.dtype)
        self._attend = FastAttention(adapter.attention, base.dtype)
        self._speaks = adapter.points_speak

    @torch.inference_mode()
    def prepare(self, base_state: ImageState, thumbnail: Tensor) -> AdaptedState:
        """Image-only terms, from those of the plain decoder.

        Args:
            thumbnail: 1 x 3 x 4h x 4w RGB in 0..1.
        """
        guide = self._network.guide(thumbnail)
        return AdaptedState(
            self._fast.prepare_from(self._base, base_state), None if guide is None else guide.to(self._fast.dtype)
        )

    @torch.inference_mode()
    def decode(
        self, state: AdaptedState, sparse: Tensor, *, dense: Tensor | None = None
    ) -> tuple[DecoderOutput, AdapterMaps | None]:
        """As :meth:`FastDecoder.decode`, and the adapter's maps."""
        kept: list[AdapterMaps | None] = []

        def hook(attended: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> Injection:
            added, maps = self._network(
                attended,
                keys,
                query_pe,
                key_pe,
                state.guide,
                attend=self._attend.tokens_absorbed,
                speaks=self._speaks,
            )
            kept.append(maps)
            return added  # type: ignore[no-any-return]

        output = self._fast.decode(state.image, sparse, dense=dense, hook=hook)
        return output, kept[0]


def _cast(adapter: PromptAdapter, dtype: torch.dtype) -> PromptAdapter:
    """A copy in another dtype without what the decoder has taken over, for a quick swap."""
    taken: list[nn.Module] = [adapter.output_upscaling, adapter.output_hypernetworks_mlps, adapter.mask_tokens]
    copied: PromptAdapter = copy.deepcopy(
        adapter, {id(module): nn.Identity() for module in (*taken, adapter.attention)}
    )
    return copied.eval().requires_grad_(False).to(dtype)


@torch.inference_mode()
def decode_on_modules(
    model: nn.Module, adapter: PromptAdapter, features: tuple[Tensor, Tensor, Tensor], thumbnail: Tensor, prompt: Any
) -> AdaptedOutput:
    """For bases that the fast decoder does not know. ``prompt``: sparse and dense embeddings."""
    sparse, dense = prompt
    sam: Any = model
    batch = sparse.shape[0]
    fine, coarse, low = (f.float().expand(batch, -1, -1, -1) for f in features)
    guide = adapter.guide(thumbnail)
    return decode_adapted(
        sam.sam_mask_decoder,
        adapter.eval(),
        (fine, coarse, low),
        sparse,
        dense,
        sam.sam_prompt_encoder.get_dense_pe(),
        guide,
    )


def uncertainty_map(maps: AdapterMaps, grid_hw: tuple[int, int], *, width: int, height: int) -> UncertaintyMap:
    """The first prompt's maps for the person: probabilities, and hard points in image pixels, strongest first.

    Cells whose two masks do not disagree (score 0 or less) are no points.
    """
    rows, columns = grid_hw
    values = maps.uncertainty[0].sigmoid().view(rows, columns).float().cpu().numpy()
    values.setflags(write=False)
    points: list[tuple[float, PointPrompt]] = []
    if maps.cells is not None and maps.scores is not None:
        count = maps.cells.shape[1] // 2
        for place, (cell, score) in enumerate(zip(maps.cells[0].tolist(), maps.scores[0].tolist(), strict=True)):
            row, column = divmod(cell, columns)
            at = PointPrompt((column + 0.5) * width / columns, (row + 0.5) * height / rows, place < count)
            if score > 0:
                points.append((score, at))
    points.sort(key=lambda entry: -entry[0])
    return UncertaintyMap(values, Box(0, 0, width, height), tuple(point for _, point in points))


def check_base(info: AdapterInfo, base: ModelInfo) -> None:
    """See that an adapter belongs to the model in use.

    Raises:
        ModelError: it was trained on other weights; the message names both.
    """
    if info.base_sha256 != base.sha256:
        raise ModelError(
            f"The adapter {brief(info.name)} belongs to {brief(info.base_name)} ({info.base_sha256[:12]}), "
            f"but {brief(base.name)} ({base.sha256[:12]}) is in use.",
            f"Load {brief(info.base_name)}, or train the adapter anew on {brief(base.name)}.",
        )
