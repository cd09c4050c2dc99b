"""An image ready to paint: its levels, and of one that is too large to be held what reads parts of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PySide6.QtGui import QImage

from annotator.domain.answering.zoom import Region
from annotator.domain.ports.engine import RgbArray

ReadRegion = Callable[[Region, tuple[int, int]], RgbArray]
"""A region of the image (its pixels) in the size (width, height) that is wanted; raises UserError."""
SMALLEST_LEVEL_PX = 1024
"""Halving stops when the longer side is this short."""
FAST_FORMAT_PIXELS = 32_000_000
"""Up to here the full image is kept in the format that paints fastest; beyond, its own memory is painted."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image ready to paint.

    Attributes:
        width, height: pixels of the full image.
        levels: the image at full size, half, quarter, ...
        pixels: arrays whose memory ``levels`` use; they live as long as these.
        read: of an image that is too large to be held; the levels are those of its overview then.
    """

    width: int
    height: int
    levels: tuple[QImage, ...]
    pixels: tuple[RgbArray, ...]
    read: ReadRegion | None = None

    @property
    def nbytes(self) -> int:
        """Memory beside the array it was made of."""
        return sum(level.sizeInBytes() for level in self.levels if level.format() == QImage.Format.Format_RGB32)


def prepare_image(
    rgb: RgbArray, *, size_wh: tuple[int, int] | None = None, read: ReadRegion | None = None
) -> PreparedImage:
    """The image and its halvings, ready to paint. For a worker thread: 100 megapixels take a moment.

    Args:
        rgb: H x W x 3 uint8; any strides.
        size_wh, read: of an image that ``rgb`` is only the overview of: its size, and what reads parts of it.

    Raises:
        ValueError: another shape or type, or no pixels.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"an H x W x 3 uint8 array is needed, not {rgb.shape} {rgb.dtype}")
    full = np.ascontiguousarray(rgb)
    height, width = full.shape[:2]
    view = _wrapped(full)
    levels = [view.convertToFormat(QImage.Format.Format_RGB32) if height * width <= FAST_FORMAT_PIXELS else view]
    smaller = full
    while max(smaller.shape[:2]) > SMALLEST_LEVEL_PX:
        h, w = smaller.shape[:2]
        half = (max(1, (w + 1) // 2), max(1, (h + 1) // 2))
        smaller = np.asarray(cv2.resize(smaller, half, interpolation=cv2.INTER_AREA), np.uint8)
        levels.append(_wrapped(smaller).convertToFormat(QImage.Format.Format_RGB32))
    whole_width, whole_height = size_wh or (width, height)
    return PreparedImage(whole_width, whole_height, tuple(levels), (full,), read)


def _wrapped(rgb: RgbArray) -> QImage:
    """A view on a C-contiguous array; the row length is given, because Qt's own guess is a multiple of four."""
    height, width = rgb.shape[:2]
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
