"""Encode and decode on SAM 2's own modules: ``forward_image``, ``sam_prompt_encoder``, ``sam_mask_decoder``.

Preprocessing and the decode path are ours: no torchvision, no hydra, no image-sized float masks. The official decoder
module stays as the fallback for models that the fast one does not know.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from annotator.domain.answering.everything import Begun, EverythingSettings, FloatArray, GridAnswer
from annotator.domain.errors import PromptError
from annotator.domain.ports.engine import (
    Candidate,
    Candidates,
    Embedding,
    EverythingStep,
    LogitsArray,
    ModelInfo,
    RgbArray,
)
from annotator.domain.ports.tracking import EmbeddingOf, Propagator
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.tracks.track import Direction
from annotator.engine.cache import StoredEmbedding
from annotator.engine.devices import is_out_of_memory, memory_errors
from annotator.engine.everything import everything_by_crops
from annotator.engine.like import LikeSearch
from annotator.engine.pixels import check_rgb
from annotator.engine.sam2.adapted_decoder import Adapter, check_base, uncertainty_map
from annotator.engine.sam2.arrays import mask_input_of, prompt_arrays
from annotator.engine.sam2.candidates import by_area, cut_candidates
from annotator.engine.sam2.decoder import PromptDecoder, RawAnswer
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.encoder import ImageEncoder
from annotator.engine.sam2.grid import grid_answer
from annotator.engine.sam2.memory_tracker import MemoryTracker, has_memory
from annotator.engine.sam2.together import Sam2Together
from annotator.engine.sam2.tracked_pieces import Sam2Pieces
from annotator.engine.tracking.flow_tracker import FlowTracker

_Answer = TypeVar("_Answer")

PREPROCESSING_VERSION = 1
PIECES_BELOW = 0.06
"""Examples smaller than this share of the image are looked for in pieces of it, each encoded again."""


class Sam2Segmenter:
    """A SAM 2 model behind the ``Segmenter`` protocol. Not for several threads at once.

    Args:
        model: eval-mode ``SAM2Base`` on its device.
        info: what the status bar shows.
        dtype: float32 or bfloat16 (autocast in the encoder, cast weights in the decoder).
        dense_prompt: "stamps-1" for models trained with stamped clicks, else "".
        use_fast_decoder: false takes the official decoder module.

    Attributes:
        together: the same for several images in one call.
        stays: the model does not leave a full graphics card: DeviceMemoryError.
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
        self.encoder = ImageEncoder(model, dtype=dtype)
        self._use_fast = use_fast_decoder
        self.decoder = self._make_decoder()
        self._adapter: Adapter | None = None
        self.stays = False
        self.together = Sam2Together(self)
        self.likeness = LikeSearch(self, piece_below=PIECES_BELOW)

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
        self.in_memory(lambda: self.decoder.set_adapter(adapter))
        self._adapter = adapter

    def embedding_key(self, image_key: str) -> str:
        parts = (image_key, self._info.sha256, self._info.name, str(self._size), str(self._dtype))
        return hashlib.sha256("|".join((*parts, f"pre{PREPROCESSING_VERSION}")).encode()).hexdigest()

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> Sam2Embedding:
        """See :meth:`annotator.domain.ports.engine.Segmenter.encode`."""
        check_rgb(image)
        key = self.embedding_key(image_key)
        return self.in_memory(lambda: self.encoder.encode(image, key, is_cancelled))

    def stored(self, embedding: Embedding) -> StoredEmbedding:
        """See :class:`annotator.engine.cache.EmbeddingCodec`."""
        if not isinstance(embedding, Sam2Embedding):
            raise TypeError("this engine keeps its own embeddings")
        return embedding.stored()

    def restored(self, key: str, stored: StoredEmbedding, image: RgbArray) -> Sam2Embedding:
        """See :class:`annotator.engine.cache.EmbeddingCodec`; it is taken to the device by the first decode."""
        found = Sam2Embedding.restored(key, stored)
        if (found.height, found.width) != image.shape[:2]:
            raise ValueError(f"it is of {found.width} x {found.height} pixels")
        return found

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """See :meth:`annotator.domain.ports.engine.Segmenter.decode`."""
        return self.decode_from(None if continue_from is None else continue_from.logits, embedding, prompts)

    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates:
        """As :meth:`decode`, for prompts that extend those of low-resolution logits.

        Args:
            logits: L x L float32, or None for prompts that begin.
            tidies: whether small islands and holes are taken out of the masks (:mod:`annotator.domain.answering.tidy`).

        Raises:
            DeviceMemoryError: there is too little memory, on the processor too.
        """
        started = time.perf_counter()
        mine = _own(embedding)
        if prompts.is_empty:
            raise PromptError("There is nothing to decode.", "Click the object or draw a box.")
        tidied_for = prompts.points if tidies else None
        return self.in_memory(lambda: self._decode(mine, prompts, logits, started, tidied_for))

    def _decode(
        self,
        embedding: Sam2Embedding,
        prompts: Prompts,
        logits: LogitsArray | None,
        started: float,
        tidied_for: Sequence[PointPrompt] | None,
    ) -> Candidates:
        embedding = self.here(embedding)
        points, labels = _arrays(embedding, prompts, self._size, self._device)
        side = self._size // 4
        mask_input = mask_input_of(prompts, logits, side=side, device=self._device)
        found = self.decoder.decode([embedding], points, labels, mask_input=mask_input, multimask=prompts.is_ambiguous)[
            0
        ]
        return self.candidates_of(found, embedding, started, tidied_for)

    def decode_each(self, requests: Sequence[tuple[Embedding, Prompts]], *, tidies: bool = False) -> list[Candidates]:
        """Answers to first prompts on several images or pieces: the same as of :meth:`decode` to rounding.

        Small models answer prompts of one kind (as many clicks everywhere) in one pass, in half the time.

        Raises:
            PromptError, TypeError, DeviceMemoryError: as :meth:`decode`.
        """
        return self.together.decode_first(requests, tidies=tidies)

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

    @torch.inference_mode()
    def decode_grid(self, embedding: Embedding, points_xy: FloatArray, *, least_iou: float) -> GridAnswer:
        """One positive point per prompt, three candidates each, at low resolution.

        Args:
            points_xy: B x 2, in the pixels of the embedding's image.
            least_iou: masks are only made of candidates that are predicted to be better than this.
        """
        mine = _own(embedding)
        scale = torch.tensor([self._size / embedding.width, self._size / embedding.height])
        points = torch.from_numpy(np.ascontiguousarray(points_xy, np.float32)) * scale
        return self.in_memory(
            lambda: grid_answer(self.decoder.decode_points(self.here(mine), points.to(self._device)), least_iou)
        )

    def propagator(self, *, frames: int, direction: Direction, embedding_of: EmbeddingOf) -> Propagator:
        """See :class:`annotator.domain.ports.tracking.Trackable`: with the model's video memory where it has one, else
        by motion, with its opinion."""
        if not has_memory(self._model):
            return FlowTracker(Sam2Pieces(self))
        return MemoryTracker(self._model, frames=frames, direction=direction, embedding_of=embedding_of, here=self.here)

    def candidates_of(
        self, found: RawAnswer, embedding: Sam2Embedding, started: float, tidied_for: Sequence[PointPrompt] | None
    ) -> Candidates:
        width, height = embedding.width, embedding.height
        uncertain = None
        if found.maps is not None:
            grid = (self._size // 16, self._size // 16)
            uncertain = uncertainty_map(found.maps, grid, width=width, height=height)
        items = cut_candidates(
            found.masks, found.iou, width=width, height=height, uncertainty=uncertain, tidied_for=tidied_for
        )
        return by_area(items, object_score=found.object_score, decode_ms=(time.perf_counter() - started) * 1e3)

    def _make_decoder(self) -> PromptDecoder:
        return PromptDecoder(self._model, dtype=self._dtype, dense_prompt=self._dense_prompt, use_fast=self._use_fast)

    def in_memory(self, work: Callable[[], _Answer]) -> _Answer:
        """Do it; where a graphics card has no room for it, move to the processor and do it there.

        Raises:
            DeviceMemoryError: the processor has no room for it either, or the model is to stay on the card.
        """
        if self._device.type == "cpu" or self.stays:
            with memory_errors("Close other programs or use a smaller model."):
                return work()
        try:
            return work()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._fall_back_to_cpu()
        return self.in_memory(work)

    def here(self, embedding: Sam2Embedding) -> Sam2Embedding:
        """The embedding on this device; a copy is made once."""
        if embedding.low.device == self._device:
            return embedding
        moved = embedding.states.get(self._device)
        if moved is None:
            moved = embedding.to(self._device)
            embedding.states[self._device] = moved
        return moved

    def _fall_back_to_cpu(self) -> None:
        """Leave the card. Its embeddings stay valid: they are copied when they are asked for."""
        self._device = torch.device("cpu")
        self._dtype = torch.float32
        self._model = self._model.to(self._device).float()
        self.encoder.move(self._device, torch.float32)
        note = "The graphics card ran out of memory; the processor is used now."
        self._info = replace(self._info, device="cpu", dtype="float32", note=note)
        self.decoder = self._make_decoder()
        self.decoder.set_adapter(self._adapter)
        torch.cuda.empty_cache()  # what was the model's is another program's now; without a card it does nothing


def _arrays(
    embedding: Embedding, prompts: Prompts, model_size: int, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    size = (embedding.width, embedding.height)
    return prompt_arrays(prompts, size, model_size=model_size, device=device)


def _own(embedding: Embedding) -> Sam2Embedding:
    if not isinstance(embedding, Sam2Embedding):
        raise TypeError("this engine decodes its own embeddings")
    return embedding
