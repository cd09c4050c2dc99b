"""One segmenter for all promptable models of the library: an encode per image, a decode per click."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from annotator.domain.answering.everything import Begun, EverythingSettings, FloatArray, GridAnswer
from annotator.domain.answering.logits import stability
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, EverythingStep, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.engine.cache import StoredEmbedding
from annotator.engine.devices import is_out_of_memory, memory_errors
from annotator.engine.everything import everything_by_crops
from annotator.engine.hf.layout import Placing, Preprocessing
from annotator.engine.pixels import check_rgb
from annotator.engine.sam2.arrays import mask_input_of, prompt_arrays
from annotator.engine.sam2.candidates import FED_BACK_LIMIT, by_area

PREPROCESSING_VERSION = 1
_KEPT_LOGITS = 64
_CORNERS = (2, 3)

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, eq=False)
class RawMasks:
    """What a network answers to P prompts: logits P x K x L x L, predicted IoU P x K, object score P or None."""

    masks: Tensor
    iou: Tensor
    object_score: Tensor | None


class Network(Protocol):
    """A promptable network of the library, as its family calls it.

    Attributes:
        model: evaluation mode; preprocessing: of its images; mask_side: L of its logits.
    """

    model: Any
    preprocessing: Preprocessing
    mask_side: int

    def levels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Features of 1 x 3 x side x side pixels that decodes need."""
        ...

    def answer(
        self,
        levels: tuple[Tensor, ...],
        *,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask: bool,
    ) -> RawMasks:
        """Masks for P prompts on one image.

        Args:
            points: 1 x P x N x 2 in pixels of the square; labels: 1 x P x N, 1 or 0; boxes: 1 x P x 4; or None.
            masks: P x 1 x L x L logits or None.
        """
        ...


@dataclass(frozen=True, eq=False)
class HubEmbedding:
    """One encoded image: the feature levels of its family, on one device."""

    key: str
    width: int
    height: int
    encode_ms: float
    levels: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(level.numel() * level.element_size() for level in self.levels)

    def to(self, device: torch.device) -> HubEmbedding:
        return replace(self, levels=tuple(level.to(device) for level in self.levels))


class HubSegmenter:
    """A network behind the ``Segmenter`` protocol. Not for several threads at once.

    Args:
        network: its model is on its device already.
        info: what the status bar shows.
        dtype: float32, or bfloat16 (autocast in the encoder; decodes are in single precision).
    """

    def __init__(self, network: Network, info: ModelInfo, *, dtype: torch.dtype = torch.float32) -> None:
        self._network, self._info, self._dtype = network, info, dtype
        self._device: torch.device = next(network.model.parameters()).device
        self._is_cancelled: Callable[[], bool] | None = None
        self._raw: OrderedDict[str, np.ndarray[Any, np.dtype[np.float32]]] = OrderedDict()
        """Logits of the whole square by the token of their candidate: what is fed back is what the model said."""
        self._tokens = 0
        self._hook_blocks()

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def device(self) -> torch.device:
        return self._device

    def embedding_key(self, image_key: str) -> str:
        """See :meth:`annotator.domain.ports.engine.Segmenter.embedding_key`."""
        side = self._network.preprocessing.side
        parts = (image_key, self._info.sha256, self._info.name, str(side), str(self._dtype), "hf")
        return hashlib.sha256("|".join((*parts, f"pre{PREPROCESSING_VERSION}")).encode()).hexdigest()

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> HubEmbedding:
        """See :meth:`annotator.domain.ports.engine.Segmenter.encode`."""
        check_rgb(image)
        self._is_cancelled = is_cancelled
        try:
            return self._in_memory(lambda: self._encode(image, self.embedding_key(image_key)))
        finally:
            self._is_cancelled = None

    @torch.inference_mode()
    def _encode(self, image: RgbArray, key: str) -> HubEmbedding:
        started = time.perf_counter()
        pixels = self._network.preprocessing.tensor(image, self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            levels = tuple(level.float() for level in self._network.levels(pixels))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # or the encode's time would be taken for the first click's
        encode_ms = (time.perf_counter() - started) * 1e3
        return HubEmbedding(key, image.shape[1], image.shape[0], encode_ms, levels)

    def stored(self, embedding: Embedding) -> StoredEmbedding:
        """See :class:`annotator.engine.cache.EmbeddingCodec`."""
        own = _own(embedding)
        tensors = {f"level{at}": level.cpu() for at, level in enumerate(own.levels)}
        facts = {"width": str(own.width), "height": str(own.height), "encode_ms": f"{own.encode_ms:.3f}"}
        return StoredEmbedding(tensors, facts)

    def restored(self, key: str, stored: StoredEmbedding, image: RgbArray) -> HubEmbedding:
        """See :class:`annotator.engine.cache.EmbeddingCodec`; it is taken to the device by the first decode."""
        width, height, encode_ms = (stored.facts[name] for name in ("width", "height", "encode_ms"))
        levels = tuple(stored.tensors[f"level{at}"] for at in range(len(stored.tensors)))
        if not levels or (int(height), int(width)) != image.shape[:2]:
            raise ValueError(f"it is of {width} x {height} pixels")
        return HubEmbedding(key, int(width), int(height), float(encode_ms), levels)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """See :meth:`annotator.domain.ports.engine.Segmenter.decode`."""
        started, own = time.perf_counter(), _own(embedding)
        if prompts.is_empty:
            raise PromptError("There is nothing to decode.", "Click the object or draw a box.")
        return self._in_memory(lambda: self._decode(own, prompts, continue_from, started))

    @torch.inference_mode()
    def _decode(
        self, embedding: HubEmbedding, prompts: Prompts, continue_from: Candidate | None, started: float
    ) -> Candidates:
        embedding = embedding.to(self._device)
        place = self._place(embedding)
        points, labels, boxes = self._arrays(embedding, prompts, place)
        raw = self._network.answer(
            embedding.levels,
            points=points,
            labels=labels,
            boxes=boxes,
            masks=self._mask_input(prompts, continue_from, place),
            multimask=prompts.is_ambiguous,
        )
        masks, iou = raw.masks[0].float().cpu(), raw.iou[0].float().cpu()
        score = float(raw.object_score.flatten()[0]) if raw.object_score is not None else float(masks.max())
        items = self._cut(masks, iou, place)
        return by_area(items, object_score=score, decode_ms=(time.perf_counter() - started) * 1e3)

    @property
    def everything_settings(self) -> EverythingSettings:
        """Those of the official generator."""
        return EverythingSettings()

    def everything(
        self,
        embedding: Embedding,
        image: RgbArray,
        settings: EverythingSettings,
        *,
        has_to_yield: Callable[[], bool] | None = None,
        begun: Begun | None = None,
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.engine.AnswersEverything`."""
        return everything_by_crops(self, embedding, image, settings, has_to_yield=has_to_yield, begun=begun)

    def decode_grid(self, embedding: Embedding, points_xy: FloatArray, *, least_iou: float) -> GridAnswer:
        """One click per prompt, three candidates: see :class:`annotator.engine.everything.GridDecoder`."""
        own = _own(embedding)
        return self._in_memory(lambda: self._decode_grid(own, points_xy, least_iou))

    @torch.inference_mode()
    def _decode_grid(self, embedding: HubEmbedding, points_xy: FloatArray, least_iou: float) -> GridAnswer:
        embedding = embedding.to(self._device)
        place = self._place(embedding)
        points = torch.from_numpy(np.ascontiguousarray(points_xy, np.float32)) * torch.tensor(place.scale_xy)
        points = points.to(self._device)[None, :, None]
        labels = torch.ones(points.shape[:3], dtype=torch.long, device=self._device)
        raw = self._network.answer(
            embedding.levels, points=points, labels=labels, boxes=None, masks=None, multimask=True
        )
        prompt, candidate = torch.nonzero(raw.iou > least_iou, as_tuple=True)
        logits = place.squashed(raw.masks[prompt, candidate].float()).cpu().numpy()
        iou = raw.iou[prompt, candidate].float().cpu().numpy()
        return GridAnswer(prompt.cpu().numpy(), candidate.cpu().numpy(), iou, logits)

    def _place(self, embedding: HubEmbedding) -> Placing:
        return self._network.preprocessing.placed(embedding.width, embedding.height)

    def _arrays(
        self, embedding: HubEmbedding, prompts: Prompts, place: Placing
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Points 1 x 1 x N x 2 with their labels, and the box 1 x 1 x 4, in pixels of the square."""
        size = (embedding.width, embedding.height)
        xy, labels = prompt_arrays(prompts, size, model_size=1, device=self._device)
        if xy is None or labels is None:
            return None, None, None
        xy = xy * torch.tensor([place.used_width, place.used_height], device=self._device)
        is_corner = torch.isin(labels[0], torch.tensor(_CORNERS, device=self._device))
        boxes = xy[:, is_corner].reshape(1, 1, 4) if bool(is_corner.any()) else None
        if bool(is_corner.all()):
            return None, None, boxes
        return xy[:, None, ~is_corner], labels[:, None, ~is_corner].long(), boxes

    def _mask_input(self, prompts: Prompts, continue_from: Candidate | None, place: Placing) -> Tensor | None:
        side = self._network.mask_side
        kept = self._raw.get(continue_from.token) if continue_from is not None else None
        if kept is not None:
            return torch.from_numpy(kept)[None, None].to(self._device)
        logits = None if continue_from is None else continue_from.logits
        given = mask_input_of(prompts, logits, side=side, device=self._device)
        if given is None:
            return None
        return place.unsquashed(given[:, 0]).clamp(-FED_BACK_LIMIT, FED_BACK_LIMIT)[:, None]

    def _cut(self, masks: Tensor, iou: Tensor, place: Placing) -> list[Candidate]:
        """Candidates at image resolution of K x L x L logits."""
        found = []
        flat = place.squashed(masks).numpy()
        for raw, logits, predicted in zip(masks.numpy(), flat, iou.tolist(), strict=True):
            kept = np.ascontiguousarray(logits.clip(-FED_BACK_LIMIT, FED_BACK_LIMIT))
            kept.setflags(write=False)
            token = self._keep(raw.clip(-FED_BACK_LIMIT, FED_BACK_LIMIT))
            mask = place.mask(raw)
            found.append(Candidate(kept, float(predicted), stability(kept), mask, token=token))
        return found

    def _keep(self, raw: np.ndarray[Any, np.dtype[np.float32]]) -> str:
        self._tokens += 1
        token = f"hf-{id(self):x}-{self._tokens}"
        self._raw[token] = raw
        while len(self._raw) > _KEPT_LOGITS:
            self._raw.popitem(last=False)
        return token

    def _hook_blocks(self) -> None:
        """Ask between the encoder's blocks whether the encode is still wanted."""

        def check(_module: nn.Module, _inputs: Any) -> None:
            if self._is_cancelled is not None and self._is_cancelled():
                raise EncodeCancelled

        for part in self._network.model.vision_encoder.modules():
            if isinstance(part, nn.ModuleList):
                for block in part:
                    block.register_forward_pre_hook(check)

    def _in_memory(self, work: Callable[[], _Answer]) -> _Answer:
        """Do it; where a graphics card has no room for it, move to the processor and do it there.

        Raises:
            DeviceMemoryError: the processor has no room for it either.
        """
        if self._device.type == "cpu":
            with memory_errors("Close other programs or use a smaller model."):
                return work()
        try:
            return work()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._device, self._dtype = torch.device("cpu"), torch.float32
        self._network.model.to(self._device).float()
        note = "The graphics card ran out of memory; the processor is used now."
        self._info = replace(self._info, device="cpu", dtype="float32", note=note)
        torch.cuda.empty_cache()
        return self._in_memory(work)


def _own(embedding: Embedding) -> HubEmbedding:
    if not isinstance(embedding, HubEmbedding):
        raise TypeError("this engine decodes its own embeddings")
    return embedding
