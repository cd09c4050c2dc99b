"""The engine: what is connected to a click and has about its grey level. There is nothing to load."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.geometry import clamp_point
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.engine.registry import ModelSource

LOGITS_SIDE = 128
TOLERANCE = 12  # grey levels of 255


@dataclass(frozen=True, slots=True, eq=False)
class LevelsEmbedding:
    """The grey image, H x W uint8, and what a cache wants to know."""

    key: str
    grey: np.ndarray
    encode_ms: float

    @property
    def width(self) -> int:
        return int(self.grey.shape[1])

    @property
    def height(self) -> int:
        return int(self.grey.shape[0])

    @property
    def nbytes(self) -> int:
        return int(self.grey.nbytes)


class LevelsSegmenter:
    """Same image and prompts, same answer."""

    info = ModelInfo(
        name="levels",
        sha256=hashlib.sha256(b"levels 1").hexdigest(),
        device="cpu",
        dtype="uint8",
        image_size=4 * LOGITS_SIDE,
        note="Grey levels only, nothing learned.",
    )

    def embedding_key(self, image_key: str) -> str:
        return f"{image_key}-levels1"

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> LevelsEmbedding:
        start = time.perf_counter()
        if is_cancelled is not None and is_cancelled():
            raise EncodeCancelled
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return LevelsEmbedding(self.embedding_key(image_key), grey, (time.perf_counter() - start) * 1e3)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        start = time.perf_counter()
        if not isinstance(embedding, LevelsEmbedding):
            raise TypeError(f"an embedding of {type(embedding).__name__} is not of this engine")
        if prompts.is_empty:
            raise PromptError("There is no prompt.", "Click the object or drag a box round it.")
        found = np.zeros(embedding.grey.shape, np.bool_)
        for point in sorted(prompts.points, key=lambda point: not point.is_positive):
            x, y = clamp_point(point.x, point.y, width=embedding.width, height=embedding.height)
            column, row = min(int(x), embedding.width - 1), min(int(y), embedding.height - 1)
            found[self._region(embedding.grey, column, row)] = point.is_positive
        if prompts.box is not None:
            box = prompts.box.clipped(embedding.width, embedding.height)
            inside = np.zeros_like(found)
            inside[int(box.y0) : int(np.ceil(box.y1)), int(box.x0) : int(np.ceil(box.x1))] = True
            found = found & inside if prompts.points else inside
        mask = Mask.from_full(found)
        share = cv2.resize(found.astype(np.float32), (LOGITS_SIDE, LOGITS_SIDE), interpolation=cv2.INTER_AREA)
        candidate = Candidate((share - 0.5) * 16, predicted_iou=0.5, stability=1.0, mask=mask)
        return Candidates((candidate,), 0, 0.0 if mask.is_empty else 8.0, (time.perf_counter() - start) * 1e3)

    def _region(self, grey: np.ndarray, column: int, row: int) -> np.ndarray:
        """What is connected to a pixel and within the tolerance of its level, H x W bool."""
        field = np.zeros((grey.shape[0] + 2, grey.shape[1] + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
        cv2.floodFill(grey.copy(), field, (column, row), 0, TOLERANCE, TOLERANCE, flags)
        return field[1:-1, 1:-1] == 1


def load(_source: ModelSource) -> LevelsSegmenter:
    """The loader that the row names."""
    return LevelsSegmenter()
