"""From prompts to raw logits: the drawn prompt, the fast or the official decoder, and the adapter if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from annotator.engine.sam2.adapted_decoder import AdaptedDecoder, AdaptedState, Adapter, decode_on_modules
from annotator.engine.sam2.adapter_network import AdapterMaps
from annotator.engine.sam2.dense_prompt import draw_prompts
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.fast_decoder import DecoderOutput, FastDecoder, ImageState
from annotator.engine.sam2.layout import UnsupportedDecoderError


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One decode: logits K x L x L and predicted IoU K, float32 on the CPU, object score, adapter's maps (one row)."""

    masks: Tensor
    iou: Tensor
    object_score: float
    maps: AdapterMaps | None


class PromptDecoder:
    """A model's answers to prompts, in one dtype on one device.

    Args:
        model: eval-mode ``SAM2Base`` on its device.
        dtype: of the fast decoder.
        dense_prompt: how prompts are drawn (:mod:`annotator.engine.sam2.dense_prompt`), "" for not at all.
        use_fast: false takes the official decoder module, which also serves models that the fast one does not know.
    """

    def __init__(self, model: nn.Module, *, dtype: torch.dtype, dense_prompt: str, use_fast: bool) -> None:
        self._model: Any = model
        self._dense_prompt = dense_prompt
        self._device = next(model.parameters()).device
        self._adapter: Adapter | None = None
        self._adapted: AdaptedDecoder | None = None
        self.fast: FastDecoder | None = None
        if use_fast:
            try:
                self.fast = FastDecoder(model, dtype=dtype)
            except UnsupportedDecoderError:
                self.fast = None

    @property
    def can_join(self) -> bool:
        """Whether prompts on several images are worth one pass: of small models, which are the ones that draw them."""
        return bool(self._dense_prompt) and self.fast is not None

    def set_adapter(self, adapter: Adapter | None) -> None:
        """Decode with an adapter of this model from now on, or without."""
        if adapter is not None:
            adapter.network.to(self._device)
            if self.fast is not None and (self._adapted is None or self._adapted.adapter is not adapter.network):
                self._adapted = AdaptedDecoder(self.fast, adapter.network)
        self._adapter = adapter  # the adapted decoder stays: off and on again (A/B) costs nothing

    @torch.inference_mode()
    def decode(
        self,
        embeddings: Sequence[Sam2Embedding],
        points: Tensor | None,
        labels: Tensor | None,
        *,
        mask_input: Tensor | None,
        multimask: bool,
    ) -> list[RawAnswer]:
        """One prompt set on each embedding, or several on one, all of one shape.

        Args:
            embeddings: on the decoder's device; one for all prompts, or B; more prompts than one need the fast decoder.
            points: B x N x 2 in the model's S x S square, box corners first; labels: B x N; None for no points.
            mask_input: B x 1 x S/4 x S/4 logits or None.
            multimask: the three candidates, or the single mask.
        """
        sparse, dense, has_mask = self._encoded(embeddings, points, labels, mask_input)
        if self.fast is None and self._adapter is None:
            return [self._decode_official(embeddings[0], sparse, dense, multimask)]
        output, maps = self._decode_all(embeddings, sparse, dense, has_mask=has_mask)
        scores = output.object_score[:, 0].tolist()
        if multimask:
            masks, iou = output.masks(1, 4).cpu(), output.iou[:, 1:].cpu()
        else:
            masks, iou = output.masks(0, 1), output.iou[:, :1]
            if self._model.sam_mask_decoder.dynamic_multimask_via_stability:
                masks, iou = self._stable(output, masks, iou)
            masks, iou = masks.cpu(), iou.cpu()
        return [
            RawAnswer(masks[i], iou[i], scores[i], None if maps is None else maps.row(i)) for i in range(len(scores))
        ]

    @torch.inference_mode()
    def decode_points(self, embedding: Sam2Embedding, points: Tensor) -> DecoderOutput:
        """Many prompts of one positive point each, on one image.

        Args:
            points: B x 2 in the model's S x S square.
        """
        labels = torch.ones(points.shape[0], 1, device=self._device, dtype=torch.int)
        sparse, dense, has_mask = self._encoded([embedding], points[:, None], labels, None)
        if self.fast is not None or self._adapter is not None:
            return self._decode_all([embedding], sparse, dense, has_mask=has_mask)[0]
        masks, iou, _, score = self._on_modules(embedding, sparse, dense, multimask=True)

        def made(start: int, stop: int, rows: Tensor | None = None) -> Tensor:
            chosen: Tensor = masks[:, start - 1 : stop - 1] if rows is None else masks[rows, start - 1 : stop - 1]
            return chosen.float()

        return DecoderOutput(made, torch.cat([torch.zeros_like(iou[:, :1]), iou], 1).float(), score)

    def _encoded(
        self,
        embeddings: Sequence[Sam2Embedding],
        points: Tensor | None,
        labels: Tensor | None,
        mask_input: Tensor | None,
    ) -> tuple[Tensor, Tensor, bool]:
        """Sparse and dense prompt embeddings, and whether the dense ones say anything."""
        encoder = self._model.sam_prompt_encoder
        if self._dense_prompt:
            count = 1 if mask_input is None else mask_input.shape[0]
            xy = torch.zeros(count, 1, 2, device=self._device) if points is None else points
            kind = -torch.ones(count, 1, device=self._device, dtype=torch.int) if labels is None else labels
            thumbnail = _joined([e.thumbnail for e in embeddings]).float()
            mask_input = draw_prompts(self._dense_prompt, xy, kind, thumbnail, mask_input)
            # These models learned from exact positions; SAM 2's encoder adds half a pixel of its own.
            points, labels = xy - 0.5, kind
        given = None if points is None else (points, labels)
        sparse, dense = encoder(points=given, boxes=None, masks=mask_input)
        return sparse, dense, mask_input is not None

    def _decode_all(
        self, embeddings: Sequence[Sam2Embedding], sparse: Tensor, dense: Tensor, *, has_mask: bool
    ) -> tuple[DecoderOutput, AdapterMaps | None]:
        """All four masks, with the adapter if there is one."""
        if self.fast is None:
            assert self._adapter is not None
            embedding = embeddings[0]
            features = (embedding.fine, embedding.coarse, embedding.low)
            found = decode_on_modules(
                self._model, self._adapter.network, features, embedding.thumbnail, (sparse, dense)
            )

            def made(start: int, stop: int, rows: Tensor | None = None) -> Tensor:
                chosen = found.masks[:, start:stop] if rows is None else found.masks[rows, start:stop]
                return chosen.float()

            return DecoderOutput(made, found.iou.float(), found.object_score), found.maps
        fast, states = self.fast, [_plain_state(e, self.fast) for e in embeddings]
        shown = dense if has_mask else None
        if self._adapter is None or self._adapted is None:
            return fast.decode(ImageState.stacked(states), sparse, dense=shown), None
        adapted = [_adapted_state(e, s, self._adapted) for e, s in zip(embeddings, states, strict=True)]
        return self._adapted.decode(AdaptedState.stacked(adapted), sparse, dense=shown)

    def _stable(self, output: DecoderOutput, masks: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """SAM 2's rule for one mask: where it is not stable, the best of the candidates takes its place."""
        unstable = [i for i in range(len(masks)) if not self._is_stable(masks[i, 0])]
        if not unstable:
            return masks, iou
        masks, iou = masks.clone(), iou.clone()
        for i in unstable:
            best = int(output.iou[i, 1:].argmax()) + 1
            masks[i], iou[i] = output.masks(best, best + 1)[i], output.iou[i, best : best + 1]
        return masks, iou

    def _is_stable(self, logits: Tensor) -> bool:
        decoder = self._model.sam_mask_decoder
        delta = decoder.dynamic_multimask_stability_delta
        inner, outer = int((logits > delta).sum()), int((logits > -delta).sum())
        return outer == 0 or inner / outer >= float(decoder.dynamic_multimask_stability_thresh)

    def _decode_official(self, embedding: Sam2Embedding, sparse: Tensor, dense: Tensor, multimask: bool) -> RawAnswer:
        masks, iou, _, score = self._on_modules(embedding, sparse, dense, multimask=multimask)
        return RawAnswer(masks[0].float().cpu(), iou[0].float().cpu(), float(score[0, 0]), None)

    def _on_modules(self, embedding: Sam2Embedding, sparse: Tensor, dense: Tensor, *, multimask: bool) -> Any:
        """sam2's own decoder module: masks, predicted IoU, tokens, object score."""
        return self._model.sam_mask_decoder(
            image_embeddings=embedding.low.float(),
            image_pe=self._model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=sparse.shape[0] > 1,
            high_res_features=[embedding.fine.float(), embedding.coarse.float()],
        )


def _plain_state(embedding: Sam2Embedding, fast: FastDecoder) -> ImageState:
    state = embedding.states.get(fast)
    if state is None:
        state = fast.prepare(embedding.low, embedding.fine, embedding.coarse)
        embedding.states[fast] = state
    return state


def _adapted_state(embedding: Sam2Embedding, plain: ImageState, decoder: AdaptedDecoder) -> AdaptedState:
    state = embedding.states.get(decoder)
    if state is None:
        for old in [key for key in embedding.states if isinstance(key, AdaptedDecoder)]:
            del embedding.states[old]  # one adapter's terms at a time: they are quickly made
        state = decoder.prepare(plain, embedding.thumbnail)
        embedding.states[decoder] = state
    return state


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(list(rows))
