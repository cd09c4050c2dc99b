"""Where to look closer: the piece of an image that is encoded again for an object that covers little of it.

RITM (Sofiiuk et al., ICIP 2022) and FocalClick (Chen et al., CVPR 2022) do the same round the first answer. Training
draws its windows with the same function, so a model sees in use what it has learned from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from annotator.domain.geometry import Box

WHOLE_SHARE = 0.6
"""A piece of more than this share of the image is not worth it: the whole image is taken."""


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


def zoom_region(box: Box, *, width: int, height: int, margin: float, least_px: float = 24) -> Region:
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


CLICK_SHARES = (1.0, 0.36, 0.13, 0.047)
"""Sides of the pieces round a first click, over the image's longer side."""
CLICK_GRID = 12
"""Pieces round clicks are centred on a grid of this many to their side: clicks close together share them."""


def click_regions(
    x: float, y: float, *, width: int, height: int, shares: tuple[float, ...] = CLICK_SHARES, least_px: int = 24
) -> tuple[Region, ...]:
    """Squares round a click, the whole image first, none twice, none of fewer than ``least_px`` pixels a side.

    Args:
        x, y: in image pixels, finite; outside the image they are pulled to its edge.
    """
    whole = Region(0, 0, width, height)
    found = [whole]
    x, y = min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))
    for share in shares:
        side = share * max(width, height)
        step = side / CLICK_GRID
        x_mid, y_mid = (math.floor(x / step) + 0.5) * step, (math.floor(y / step) + 0.5) * step
        region = zoom_region(Box(x_mid, y_mid, x_mid, y_mid), width=width, height=height, margin=1.0, least_px=side)
        if side >= least_px and region.width * region.height < WHOLE_SHARE * width * height and region not in found:
            found.append(region)
    return tuple(found)


def _span(center: float, length: float, size: int) -> tuple[int, int]:
    whole = min(size, math.ceil(length))
    start = min(max(0, round(center - whole / 2)), size - whole)
    return start, start + whole
