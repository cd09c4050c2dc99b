"""Strokes of a brush or an eraser over a mask. What was painted by hand stays painted, whatever the model says then."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

LARGEST_RADIUS_PX = 2000.0
MOST_STROKE_POINTS = 20_000
_SHIFT = 4
"""Bits of a pixel's fraction that OpenCV draws with."""
_FAR_PX = 2.0**24
_SMALL_PIXELS, _SMALL_KEPT = 1 << 18, 256
"""Crops of strokes up to this size are kept, so many of them: 64 MiB at most."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A round brush drawn along a line.

    Attributes:
        path: (x, y) image positions in pixels (pixel centre at +0.5), at least one; may leave the image.
        radius_px: of the brush, more than 0, at most :data:`LARGEST_RADIUS_PX`.
        is_positive: paints; else it erases.
        after: how many clicks were made before it.

    Raises:
        ValueError: no or too many positions, one that is not finite, or a radius out of range.
    """

    path: tuple[tuple[float, float], ...]
    radius_px: float
    is_positive: bool = True
    after: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.path) <= MOST_STROKE_POINTS:
            raise ValueError(f"a stroke has 1 to {MOST_STROKE_POINTS} positions, not {len(self.path)}")
        if not all(math.isfinite(x) and math.isfinite(y) for x, y in self.path):
            raise ValueError("a stroke has a position that is not a number")
        if not 0 < self.radius_px <= LARGEST_RADIUS_PX:
            raise ValueError(f"a brush of {self.radius_px} pixels")

    @property
    def frame_xyxy(self) -> tuple[float, float, float, float]:
        """What it may reach, in image pixels."""
        xs, ys = zip(*self.path, strict=True)
        r = self.radius_px
        return min(xs) - r, min(ys) - r, max(xs) + r, max(ys) + r

    def touches(self, width: int, height: int) -> bool:
        """Whether it reaches an image of this size."""
        x0, y0, x1, y1 = self.frame_xyxy
        return x1 > 0 and y1 > 0 and x0 < width and y0 < height

    def covers(self, x: float, y: float) -> bool:
        """Whether an image position is under the stroke."""
        points = np.asarray(self.path, np.float64)
        starts, ends = points[:-1], points[1:]
        if len(points) == 1:
            starts = ends = points
        along, to_point = ends - starts, np.array([x, y]) - starts
        length2 = np.maximum((along**2).sum(axis=1), 1e-12)
        share = np.clip((along * to_point).sum(axis=1) / length2, 0.0, 1.0)
        nearest = to_point - along * share[:, None]
        return bool((nearest**2).sum(axis=1).min() <= self.radius_px**2)

    def to_json(self) -> dict[str, Any]:
        """Plain data: ``paint`` 1 or 0, ``radius_px``, ``after``, ``path`` [x, y, x, y, ...]."""
        return {
            "paint": int(self.is_positive),
            "radius_px": self.radius_px,
            "after": self.after,
            "path": [value for position in self.path for value in position],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Stroke:
        """Raises:
        ValueError, TypeError, AttributeError: the data are damaged.
        """
        flat = [float(value) for value in data.get("path") or ()]
        path = tuple(zip(flat[0::2], flat[1::2], strict=True))
        return cls(path, float(data.get("radius_px") or 0), bool(data.get("paint")), int(data.get("after") or 0))


def painted(mask: Mask, strokes: tuple[Stroke, ...]) -> Mask:
    """The mask with the strokes over it, in their order; tight. Memory follows the object, not the image.

    A pixel belongs to a stroke when its centre is within the radius of the path, to a pixel. Painting in one go and
    stroke by stroke gives the same.
    """
    drawn = [(stroke.is_positive, _drawn(stroke, mask.width, mask.height)) for stroke in strokes]
    parts = [part for is_positive, part in drawn if is_positive and part.bits.size]
    parts += [mask] if mask.bits.size else []
    if not parts:
        return mask
    x0, y0 = min(part.x for part in parts), min(part.y for part in parts)
    x1 = max(part.x + part.bits.shape[1] for part in parts)
    y1 = max(part.y + part.bits.shape[0] for part in parts)
    plane = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for is_positive, part in [(True, mask), *drawn]:
        height, width = part.bits.shape
        top, left = max(part.y, y0), max(part.x, x0)
        bottom, right = min(part.y + height, y1), min(part.x + width, x1)
        if top < bottom and left < right:
            bits = part.bits[top - part.y : bottom - part.y, left - part.x : right - part.x]
            under = plane[top - y0 : bottom - y0, left - x0 : right - x0]
            (np.logical_or if is_positive else np.greater)(under, bits, out=under)
    return Mask(plane, x0, y0, mask.width, mask.height).tight()


def _drawn(stroke: Stroke, width: int, height: int) -> Mask:
    """The pixels under a stroke, in a crop that depends on nothing but the stroke and the image."""
    if not stroke.touches(width, height):
        return Mask.empty(width, height)
    left, top, right, bottom = stroke.frame_xyxy
    x0, y0 = max(0, math.floor(left) - 1), max(0, math.floor(top) - 1)
    x1, y1 = min(width, math.ceil(right) + 1), min(height, math.ceil(bottom) + 1)
    draw = _drawn_before if (x1 - x0) * (y1 - y0) <= _SMALL_PIXELS else _drawn_anew
    return draw(stroke, (x0, y0, x1, y1), width, height)


def _drawn_anew(stroke: Stroke, crop_xyxy: tuple[int, int, int, int], width: int, height: int) -> Mask:
    x0, y0, x1, y1 = crop_xyxy
    plane = np.zeros((y1 - y0, x1 - x0), np.uint8)
    # OpenCV's positions are those of pixel centres, ours of pixel edges. Far outside nothing is seen.
    path = np.clip(np.asarray(stroke.path, np.float64) - (x0 + 0.5, y0 + 0.5), -_FAR_PX, _FAR_PX)
    if stroke.radius_px <= 0.5:
        pixels = np.floor(path + 0.5).astype(np.int32)
        cv2.polylines(plane, [np.concatenate([pixels, pixels[-1:]])[:, None]], False, 1, 1)
    else:
        # Every pixel that an edge touches is filled, half a pixel too far.
        _fill(plane, path, stroke.radius_px - 0.5)
    return Mask(plane.view(np.bool_), x0, y0, width, height)


_drawn_before = lru_cache(maxsize=_SMALL_KEPT)(_drawn_anew)
"""Strokes are drawn again whenever one among them, or the mask under them, changes."""


def _fill(plane: npt.NDArray[np.uint8], path: npt.NDArray[np.float64], radius_px: float) -> None:
    """A disc at every position, and what lies between two of them."""
    along = np.diff(path, axis=0)
    lengths = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    across = np.column_stack([-along[:, 1], along[:, 0]]) * (radius_px / lengths)[:, None]
    starts, ends = path[:-1], path[1:]
    between = np.stack([starts + across, ends + across, ends - across, starts - across], axis=1)
    scale = 1 << _SHIFT
    for corners in np.round(between * scale).astype(np.int32):
        cv2.fillConvexPoly(plane, corners, 1, shift=_SHIFT)
    for x, y in np.round(path * scale).astype(np.int32).tolist():
        cv2.circle(plane, (x, y), round(radius_px * scale), 1, cv2.FILLED, shift=_SHIFT)
