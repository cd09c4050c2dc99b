"""Level files (``.levels``): the line "LEVELS 1", one with width, height and the highest value, then rows of numbers.

LEVELS 1
3 2 100
0 50 100
100 50 0
"""

from typing import BinaryIO

import cv2
import numpy as np

from annotator.domain.errors import ImageError
from annotator.io.images.reader import Pixels, RgbArray, check_frame, check_size

MAGIC = b"LEVELS 1"


class LevelsReader:
    """The entry point: a class without arguments for its constructor."""

    name = "levels"
    version = 1
    suffixes = frozenset((".levels",))

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        width, height, _ = self._header(stream, name)
        return width, height

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        check_frame(name, frame, 1)
        width, height, highest = self._header(stream, name)
        check_size(name, width, height, max_pixels)  # before anything is allocated
        values = np.array(stream.read().split(), np.int64)
        if values.size < width * height:
            raise EOFError("truncated")  # reported as "the file ends before the picture does"
        if values.size > width * height or values.min() < 0 or values.max() > highest:
            raise ValueError("the numbers do not fit the header")  # reported as "is damaged"
        grey = (values.reshape(height, width) * 255 // highest).astype(np.uint8)
        return Pixels(rgb=np.repeat(grey[..., None], 3, axis=2), note=f"levels 0..{highest}")

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        rgb = self.read(stream, name, frame=0, max_pixels=max_pixels).rgb
        scale = min(1.0, max_side / max(rgb.shape[:2]))
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)

    def _header(self, stream: BinaryIO, name: str) -> tuple[int, int, int]:
        if stream.readline(64).strip() != MAGIC:
            raise ImageError(f"{name} is no level file.", "Its first line has to be LEVELS 1.")
        width, height, highest = (int(word) for word in stream.readline(64).split())
        if highest < 1:
            raise ValueError("no levels")
        return width, height, highest
