"""A SAM 2 model as the flow tracker asks it: with logits as its dense prompt, and its own features to recognise by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from annotator.domain.ports.engine import Candidates, Embedding, LogitsArray, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.tracking.feature_memory import joined

PIECE_MARGIN = 1.45
_COARSE, _LOW, _COLOUR = 0.7, 0.7, 0.5
_GREY, _CONTRAST = 0.45, 2.0


class _Decodes(Protocol):
    """What is needed of :class:`annotator.engine.sam2.segmenter.Sam2Segmenter`."""

    @property
    def info(self) -> ModelInfo: ...
    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> Embedding: ...
    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates: ...


class Sam2Pieces:
    """See :class:`annotator.engine.tracking.piece_model.PieceModel`."""

    margin = PIECE_MARGIN

    def __init__(self, segmenter: _Decodes) -> None:
        self._segmenter = segmenter
        self.dense_side = segmenter.info.image_size // 4

    def encode(self, pixels: RgbArray, key: str, *, is_cancelled: Callable[[], bool]) -> Embedding:
        """See :class:`annotator.engine.tracking.piece_model.PieceModel`."""
        return self._segmenter.encode(pixels, key, is_cancelled=is_cancelled)

    def ask(self, embedding: Embedding, prompts: Prompts, dense: LogitsArray) -> Candidates:
        """See :class:`annotator.engine.tracking.piece_model.PieceModel`."""
        return self._segmenter.decode_from(dense, embedding, prompts, tidies=True)

    def describe(self, embedding: Embedding, pixels: RgbArray) -> Tensor:
        """See :class:`annotator.engine.tracking.piece_model.PieceModel`."""
        if not isinstance(embedding, Sam2Embedding):
            raise TypeError("this engine describes its own embeddings")
        colour = (embedding.thumbnail.float() - _GREY) * _CONTRAST
        # Colours keep their length: how bright a place is tells as much as its hue.
        return joined([(embedding.coarse, _COARSE), (embedding.low, _LOW)], plain=(colour, _COLOUR))
