"""A model as the flow tracker asks it: about one piece of one frame at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.ports.engine import Candidates, Embedding, LogitsArray, RgbArray, Segmenter
from annotator.domain.prompt import Prompts
from annotator.engine.tracking.feature_memory import plain_descriptors


class PieceModel(Protocol):
    """What a model does for the flow tracker.

    ``margin`` is the side of a piece over the longer side of the object's box; ``dense_side`` that of a dense prompt.
    """

    margin: float
    dense_side: int

    def encode(self, pixels: RgbArray, key: str, *, is_cancelled: Callable[[], bool]) -> Embedding:
        """The embedding of a piece, h x w x 3.

        Raises:
            EncodeCancelled, DeviceMemoryError.
        """
        ...

    def ask(self, embedding: Embedding, prompts: Prompts, dense: LogitsArray) -> Candidates:
        """A mask from a box and a point in the piece's pixels, and logits of where the object probably is.

        Args:
            dense: dense_side x dense_side float32.
        """
        ...

    def describe(self, embedding: Embedding, pixels: RgbArray) -> Tensor:
        """D x CELLS x CELLS float32: what the places of the piece look like."""
        ...


class PlainPieces:
    """Any :class:`Segmenter`: the dense prompt goes in as a mask to refine, and pixels are compared with pixels."""

    margin = 1.45
    dense_side = 64

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def encode(self, pixels: RgbArray, key: str, *, is_cancelled: Callable[[], bool]) -> Embedding:
        """See :class:`PieceModel`."""
        return self._segmenter.encode(pixels, key, is_cancelled=is_cancelled)

    def ask(self, embedding: Embedding, prompts: Prompts, dense: LogitsArray) -> Candidates:
        """See :class:`PieceModel`."""
        likely = mask_from_logits(dense, width=embedding.width, height=embedding.height)
        base = None if likely.is_empty else likely
        return self._segmenter.decode(embedding, Prompts(prompts.points, prompts.box, base))

    def describe(self, embedding: Embedding, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """See :class:`PieceModel`."""
        return plain_descriptors(pixels)
