"""Where to look closer: the piece of an image that is encoded again for an object that covers little of it.

RITM (Sofiiuk et al., ICIP 2022) and FocalClick (Chen et al., CVPR 2022) do the same round the first answer. Training
draws its windows with the same function, so a model sees in use what it has learned from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from annotator.domain.geometry import Box


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of an image in whole pixels: columns x0..x1 - 1, rows y0..y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def contains(self, x: float, y: float) -> bool:
        """Whether a position in image pixels lies inside."""
        return self.x0 <= x < self.x1 and self.y0 <= y < self.y1

    def covers(self, box: Box) -> bool:
        """Whether a box in image pixels lies inside."""
        return self.x0 <= box.x0 and self.y0 <= box.y0 and box.x1 <= self.x1 and box.y1 <= self.y1


def zoom_region(box: Box, *, width: int, height: int, margin: float, least_px: int = 24) -> Region:
    """A square round a box, moved into the image, cut where the image is smaller.

    Args:
        box: in image pixels; its longer side times ``margin`` is the square's side.
        width, height: of the image in pixels, at least 1.
        margin: >= 1.
        least_px: the square's least side.

    Returns:
        A region of at least one pixel inside the image.
    """
    side = max(box.x1 - box.x0, box.y1 - box.y0) * margin
    side = max(float(least_px), side)
    x0, x1 = _span((box.x0 + box.x1) / 2, side, width)
    y0, y1 = _span((box.y0 + box.y1) / 2, side, height)
    return Region(x0, y0, x1, y1)


def _span(center: float, length: float, size: int) -> tuple[int, int]:
    whole = min(size, math.ceil(length))
    start = min(max(0, round(center - whole / 2)), size - whole)
    return start, start + whole
