"""Points and boxes in image pixels: the one place that states the pixel convention.

Pixel (column i, row j) covers the half-open square [i, i + 1) x [j, j + 1); its centre is (i + 0.5, j + 0.5).
x runs right, y runs down, the origin is the outer corner of the top left pixel. Boxes are edges, not pixel
indices: a box that covers exactly pixel (0, 0) is (0, 0, 1, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in image pixels: edges ``x0 <= x1``, ``y0 <= y1`` (floats)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def from_corners(cls, ax: float, ay: float, bx: float, by: float) -> Box:
        """A box from any two opposite corners.

        Raises:
            ValueError: a coordinate is not finite.
        """
        if not all(math.isfinite(v) for v in (ax, ay, bx, by)):
            raise ValueError(f"box corners must be finite numbers, not {(ax, ay, bx, by)}")
        return cls(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def clipped(self, width: int, height: int) -> Box:
        """The part inside an image of ``width`` x ``height`` pixels (may be empty: zero area)."""

        def clamp(value: float, top: int) -> float:
            return min(max(value, 0.0), float(top))

        return Box(clamp(self.x0, width), clamp(self.y0, height), clamp(self.x1, width), clamp(self.y1, height))

    def as_xyxy(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1

    def as_xywh(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.width, self.height


def clamp_point(x: float, y: float, *, width: int, height: int) -> tuple[float, float]:
    """The nearest position inside the image; prompts from outside are pulled to its edge.

    Raises:
        ValueError: a coordinate is not finite.
    """
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"a point needs finite coordinates, not ({x}, {y})")
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))
