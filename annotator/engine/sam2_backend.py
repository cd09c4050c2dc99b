"""Encode and decode on SAM 2's own modules: ``forward_image``, ``sam_prompt_encoder``, ``sam_mask_decoder``.

Preprocessing and the decode path are ours: no torchvision, no hydra, no image-sized float masks. The official decoder
module stays as the fallback for models that the fast one does not know.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.errors import DeviceMemoryError, EncodeCancelled, ImageError, PromptError
from annotator.domain.geometry import clamp_point
from annotator.domain.logits import mask_from_logits, stability
from annotator.domain.ports import Candidate, Candidates, Embedding, LogitsArray, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.engine.adapted_decoder import AdaptedDecoder, Adapter, check_base, decode_on_modules, uncertainty_map
from annotator.engine.dense_prompt import draw_prompts
from annotator.engine.fast_decoder import DecoderOutput, FastDecoder, UnsupportedDecoderError
from annotator.engine.mask_prompt import mask_to_logits
from annotator.engine.prompt_adapter import AdapterMaps

PREPROCESSING_VERSION = 1
EXACT_PIXELS_LIMIT = 2_500_000
"""Above this the image is resized as 8-bit (within one grey level of the float path, a tenth of its time)."""
FED_BACK_LIMIT = 32.0
"""Logits that a decode takes as its dense prompt are clamped to this on both sides, as in SAM 2."""
LABELS_BY_AREA = ("part", "whole", "group")


@dataclass(frozen=True, eq=False)
class Sam2Embedding:
    """One encoded image on the engine's device.

    Attributes:
        fine: 1 x C/8 x S/4 x S/4; coarse: 1 x C/4 x S/8 x S/8; low: 1 x C x S/16 x S/16 (``no_mem_embed`` added).
        thumbnail: 1 x 3 x S/4 x S/4 RGB in 0..1, what click stamps take colours from.
    """

    key: str
    width: int
    height: int
    encode_ms: float
    fine: Tensor
    coarse: Tensor
    low: Tensor
    thumbnail: Tensor
    _states: dict[object, Any] = field(default_factory=dict, repr=False)

    @property
    def nbytes(self) -> int:
        tensors = (self.fine, self.coarse, self.low, self.thumbnail)
        return sum(t.numel() * t.element_size() for t in tensors)

    def to(self, device: torch.device) -> Sam2Embedding:
        moved = {name: getattr(self, name).to(device) for name in ("fine", "coarse", "low", "thumbnail")}
        return replace(self, **moved, _states={})


class Sam2Segmenter:
    """A SAM 2 model behind the ``Segmenter`` protocol. Not for several threads at once.

    Args:
        model: eval-mode ``SAM2Base`` on its device.
        info: what the status bar shows.
        dtype: float32 or bfloat16 (autocast in the encoder, cast weights in the decoder).
        dense_prompt: "stamps-1" for models trained with stamped clicks, else "".
        use_fast_decoder: false takes the official decoder module.
    """

    def __init__(
        self,
        model: nn.Module,
        info: ModelInfo,
        *,
        dtype: torch.dtype = torch.float32,
        dense_prompt: str = "",
        use_fast_decoder: bool = True,
    ) -> None:
        self._model: Any = model.eval().requires_grad_(False)
        self._info, self._dtype, self._dense_prompt = info, dtype, dense_prompt
        self._device = next(model.parameters()).device
        sam: Any = model
        self._size = int(sam.image_size)
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor([0.229, 0.224, 0.225], device=self._device).view(1, 3, 1, 1)
        self._use_fast = use_fast_decoder
        self._fast = self._make_fast()
        self._adapter: Adapter | None = None
        self._adapted: AdaptedDecoder | None = None
        self._cancel: Callable[[], bool] | None = None
        self._hook_blocks()

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def model(self) -> nn.Module:
        return self._model  # type: ignore[no-any-return]

    @property
    def dense_prompt(self) -> str:
        return self._dense_prompt

    @property
    def adapter(self) -> Adapter | None:
        return self._adapter

    def set_adapter(self, adapter: Adapter | None) -> None:
        """Decode with a prompt adapter from now on, or without; embeddings stay valid, nothing is encoded again.

        Raises:
            ModelError: the adapter belongs to another base.
        """
        if adapter is not None:
            check_base(adapter.info, self._info)
            adapter.network.to(self._device)
            if self._fast is not None and (self._adapted is None or self._adapted.adapter is not adapter.network):
                self._adapted = AdaptedDecoder(self._fast, adapter.network)
        self._adapter = adapter  # the adapted decoder stays: off and on again (A/B) costs nothing

    def embedding_key(self, image_key: str) -> str:
        parts = (image_key, self._info.sha256, self._info.name, str(self._size), str(self._dtype))
        return hashlib.sha256("|".join((*parts, f"pre{PREPROCESSING_VERSION}")).encode()).hexdigest()

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> Sam2Embedding:
        """See :meth:`annotator.domain.ports.Segmenter.encode`."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ImageError(f"An image must be height x width x 3 bytes, not {image.shape} {image.dtype}.")
        try:
            return self._encode(image, image_key, is_cancelled)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if self._device.type == "cpu":
                raise DeviceMemoryError(
                    "There is not enough memory to encode this image.", "Close other programs or use a smaller model."
                ) from error
            self._fall_back_to_cpu()
            return self._encode(image, image_key, is_cancelled)

    def decode(
        self, embedding: Embedding, prompts: Prompts, *, previous_logits: LogitsArray | None = None
    ) -> Candidates:
        """See :meth:`annotator.domain.ports.Segmenter.decode`."""
        started = time.perf_counter()
        if not isinstance(embedding, Sam2Embedding):
            raise TypeError("this engine decodes its own embeddings")
        if prompts.is_empty:
            raise PromptError("There is nothing to decode.", "Click the object or draw a box.")
        if embedding.low.device != self._device:
            embedding = embedding.to(self._device)
        points, labels = self._prompt_arrays(prompts, embedding.width, embedding.height)
        masks, iou, score, maps = self._decode(
            embedding,
            points,
            labels,
            mask_input=self._mask_input(prompts, previous_logits),
            multimask=prompts.is_ambiguous,
        )
        items = self._candidates(masks, iou, embedding.width, embedding.height, maps)
        order = sorted(range(len(items)), key=lambda i: items[i].mask.area)
        best = int(np.argmax([items[i].predicted_iou for i in order]))
        if len(items) == 3:
            ordered = tuple(replace(items[i], label=LABELS_BY_AREA[rank]) for rank, i in enumerate(order))
        else:
            ordered = tuple(items[i] for i in order)
        return Candidates(ordered, best, score, (time.perf_counter() - started) * 1e3)

    def decode_raw(
        self,
        embedding: Sam2Embedding,
        points: Tensor | None,
        labels: Tensor | None,
        *,
        mask_input: Tensor | None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor, float]:
        """Low-resolution logits of one prompt set.

        Args:
            points: 1 x N x 2 in the model's S x S square, box corners first; labels: 1 x N; None for no points.
            mask_input: 1 x 1 x S/4 x S/4 logits or None.

        Returns:
            Logits K x S/4 x S/4 (not clamped) and predicted IoU K, float32 on the CPU, and the object score.
        """
        return self._decode(embedding, points, labels, mask_input=mask_input, multimask=multimask)[:3]

    @torch.inference_mode()
    def _decode(
        self,
        embedding: Sam2Embedding,
        points: Tensor | None,
        labels: Tensor | None,
        *,
        mask_input: Tensor | None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor, float, AdapterMaps | None]:
        """As :meth:`decode_raw`, and what the adapter thinks, if there is one."""
        encoder = self._model.sam_prompt_encoder
        if self._dense_prompt:
            xy = torch.zeros(1, 1, 2, device=self._device) if points is None else points
            kind = -torch.ones(1, 1, device=self._device, dtype=torch.int) if labels is None else labels
            mask_input = draw_prompts(self._dense_prompt, xy, kind, embedding.thumbnail.float(), mask_input)
            # These models learned from exact positions; SAM 2's encoder adds half a pixel of its own.
            points, labels = xy - 0.5, kind
        given = None if points is None else (points, labels)
        sparse, dense = encoder(points=given, boxes=None, masks=mask_input)
        if self._fast is None and self._adapter is None:
            return (*self._decode_official(embedding, sparse, dense, multimask), None)
        output, maps = self._decode_all(embedding, sparse, dense, has_mask=mask_input is not None)
        if multimask:
            masks, iou = output.masks(1, 4), output.iou[:, 1:]
        else:
            masks, iou = output.masks(0, 1), output.iou[:, :1]
            decoder = self._model.sam_mask_decoder
            if decoder.dynamic_multimask_via_stability and not self._is_stable(masks[0, 0]):
                best = int(output.iou[0, 1:].argmax()) + 1
                masks, iou = output.masks(best, best + 1), output.iou[:, best : best + 1]
        return masks[0].cpu(), iou[0].cpu(), float(output.object_score[0, 0]), maps

    def _decode_all(
        self, embedding: Sam2Embedding, sparse: Tensor, dense: Tensor, *, has_mask: bool
    ) -> tuple[DecoderOutput, AdapterMaps | None]:
        """All four masks, with the adapter if there is one."""
        if self._fast is None:
            assert self._adapter is not None
            features = (embedding.fine, embedding.coarse, embedding.low)
            found = decode_on_modules(
                self._model, self._adapter.network, features, embedding.thumbnail, (sparse, dense)
            )
            output = DecoderOutput(lambda a, b: found.masks[:, a:b].float(), found.iou.float(), found.object_score)
            return output, found.maps
        state = embedding._states.get(self._fast)
        if state is None:
            state = self._fast.prepare(embedding.low, embedding.fine, embedding.coarse)
            embedding._states[self._fast] = state
        shown = dense if has_mask else None
        if self._adapter is None or self._adapted is None:
            return self._fast.decode(state, sparse, dense=shown), None
        adapted = embedding._states.get(self._adapted)
        if adapted is None:
            for old in [key for key in embedding._states if isinstance(key, AdaptedDecoder)]:
                del embedding._states[old]  # one adapter's terms at a time: they are quickly made
            adapted = self._adapted.prepare(state, embedding.thumbnail)
            embedding._states[self._adapted] = adapted
        return self._adapted.decode(adapted, sparse, dense=shown)

    def _is_stable(self, logits: Tensor) -> bool:
        decoder = self._model.sam_mask_decoder
        delta = decoder.dynamic_multimask_stability_delta
        inner, outer = int((logits > delta).sum()), int((logits > -delta).sum())
        return outer == 0 or inner / outer >= float(decoder.dynamic_multimask_stability_thresh)

    def _decode_official(
        self, embedding: Sam2Embedding, sparse: Tensor, dense: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor, float]:
        masks, iou, _, score = self._model.sam_mask_decoder(
            image_embeddings=embedding.low.float(),
            image_pe=self._model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=False,
            high_res_features=[embedding.fine.float(), embedding.coarse.float()],
        )
        return masks[0].float().cpu(), iou[0].float().cpu(), float(score[0, 0])

    @torch.inference_mode()
    def _encode(self, image: RgbArray, image_key: str, is_cancelled: Callable[[], bool] | None) -> Sam2Embedding:
        started = time.perf_counter()
        pixels = self.preprocess(image)
        self._cancel = is_cancelled
        try:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16):
                normal = (pixels - self._mean) / self._std
                fine, coarse, low = self._model.forward_image(normal)["backbone_fpn"]
        finally:
            self._cancel = None
        if self._model.directly_add_no_mem_embed:
            low = low + self._model.no_mem_embed.view(1, -1, 1, 1)
        return Sam2Embedding(
            key=self.embedding_key(image_key),
            width=image.shape[1],
            height=image.shape[0],
            encode_ms=(time.perf_counter() - started) * 1e3,
            fine=fine.to(self._dtype),
            coarse=coarse.to(self._dtype),
            low=low.to(self._dtype),
            thumbnail=F.avg_pool2d(pixels, 4).to(self._dtype),
        )

    def preprocess(self, image: RgbArray) -> Tensor:
        """H x W x 3 uint8 to 1 x 3 x S x S float32 in 0..1: squashed, bilinear with antialias, as SAM 2 does."""
        whole = torch.from_numpy(np.array(image, np.uint8, copy=not image.flags.writeable, order="C"))
        whole = whole.permute(2, 0, 1)[None]
        if image.shape[0] * image.shape[1] > EXACT_PIXELS_LIMIT:
            small = F.interpolate(whole, (self._size, self._size), mode="bilinear", antialias=True)
            return small.to(self._device).float() / 255
        exact = (whole.to(self._device).float() / 255).contiguous()
        return F.interpolate(exact, (self._size, self._size), mode="bilinear", antialias=True)

    def _prompt_arrays(self, prompts: Prompts, width: int, height: int) -> tuple[Tensor | None, Tensor | None]:
        """Box corners and points scaled to S x S, or None, None for a mask prompt alone."""
        xy: list[tuple[float, float]] = []
        labels: list[int] = []
        try:
            if prompts.box is not None:
                box = prompts.box.clipped(width, height)
                if not all(math.isfinite(v) for v in prompts.box.as_xyxy()) or box.area <= 0:
                    raise PromptError("The box does not cover any of the image.", "Draw it over the object.")
                xy += [(box.x0, box.y0), (box.x1, box.y1)]
                labels += [2, 3]
            for point in prompts.points:
                xy.append(clamp_point(point.x, point.y, width=width, height=height))
                labels.append(int(point.is_positive))
        except ValueError as error:
            raise PromptError("A prompt is not a position in the image.", str(error)) from error
        if not xy:
            return None, None
        scale = torch.tensor([self._size / width, self._size / height], dtype=torch.float32)
        points = torch.tensor([xy], dtype=torch.float32) * scale
        return points.to(self._device), torch.tensor([labels], dtype=torch.int, device=self._device)

    def _mask_input(self, prompts: Prompts, previous_logits: LogitsArray | None) -> Tensor | None:
        side = self._size // 4
        if previous_logits is not None:
            given = torch.from_numpy(np.array(previous_logits, np.float32))  # a copy: candidates are read-only
            if given.shape != (side, side):
                raise PromptError(f"Previous logits must be {side} x {side}.", "Start the object again.")
            return given.clamp(-FED_BACK_LIMIT, FED_BACK_LIMIT)[None, None].to(self._device)
        if prompts.base_mask is not None:
            return torch.from_numpy(mask_to_logits(prompts.base_mask, side))[None, None].to(self._device)
        return None

    def _candidates(
        self, masks: Tensor, iou: Tensor, width: int, height: int, maps: AdapterMaps | None
    ) -> list[Candidate]:
        found, uncertain = [], None
        if maps is not None:
            uncertain = uncertainty_map(maps, (self._size // 16, self._size // 16), width=width, height=height)
        for raw, predicted in zip(masks.numpy(), iou.tolist(), strict=True):
            # As SAM 2: the outline lies where the raw logits cross zero; only what is fed back to the model is clamped.
            mask = mask_from_logits(raw, width=width, height=height)
            logits = raw.clip(-FED_BACK_LIMIT, FED_BACK_LIMIT)
            logits.setflags(write=False)
            found.append(Candidate(logits, float(predicted), stability(logits), mask, uncertainty=uncertain))
        return found

    def _make_fast(self) -> FastDecoder | None:
        if not self._use_fast:
            return None
        try:
            return FastDecoder(self._model, dtype=self._dtype)
        except UnsupportedDecoderError:
            return None

    def _hook_blocks(self) -> None:
        """Ask between the encoder's blocks whether the encode is still wanted."""
        trunk = self._model.image_encoder.trunk
        blocks = list(getattr(trunk, "blocks", [])) or [m for stage in trunk.stages for m in stage]

        def check(_module: nn.Module, _inputs: Any) -> None:
            if self._cancel is not None and self._cancel():
                raise EncodeCancelled

        for block in blocks:
            block.register_forward_pre_hook(check)

    def _fall_back_to_cpu(self) -> None:
        self._device = torch.device("cpu")
        self._dtype = torch.float32
        self._model = self._model.to(self._device).float()
        self._mean, self._std = self._mean.cpu(), self._std.cpu()
        note = "The graphics card ran out of memory; the processor is used now."
        self._info = replace(self._info, device="cpu", dtype="float32", note=note)
        self._fast, self._adapted = self._make_fast(), None
        self.set_adapter(self._adapter)


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or ("memory" in text and "alloc" in text)
