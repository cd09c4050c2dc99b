"""Strokes of a brush or eraser, and areas, over a mask. What a hand has painted stays, whatever the model says then."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.areas import filled
from annotator.domain.difference import differs_within
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation
from annotator.domain.spare_copy import plane_of

LARGEST_RADIUS_PX = 512.0
MOST_STROKE_POINTS = 20_000
_SHIFT = 4
"""Bits of a pixel's fraction that OpenCV draws with."""
_STEP_PX, _PART_PX, _PART_POINTS = 128.0, 256.0, 64
"""Strokes are drawn in parts of about this extent beside the radius, made of few steps of at most that length."""
_MARGIN_PX = 4
_KEPT_BYTES = 64 << 20
_PIXEL_REACH = 0.71
"""From a pixel's centre to its corner."""


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A round brush drawn along a line, or the area inside a closed one.

    Attributes:
        path: (x, y) image positions in pixels (pixel centre at +0.5), at least one; may leave the image. Of an area at
            least three, and the last one joins the first.
        radius_px: of the brush, more than 0, at most :data:`LARGEST_RADIUS_PX`; 0 of an area.
        is_positive: paints; else it erases.
        after: how many clicks were made before it.
        is_area: it has the pixels whose centres are inside the path (even-odd), and no brush.

    Raises:
        ValueError: too few or too many positions, one that is not finite, or a radius out of range.
    """

    path: tuple[Point, ...]
    radius_px: float
    is_positive: bool = True
    after: int = 0
    is_area: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.path) <= MOST_STROKE_POINTS:
            raise ValueError(f"a stroke has 1 to {MOST_STROKE_POINTS} positions, not {len(self.path)}")
        if not all(math.isfinite(x) and math.isfinite(y) for x, y in self.path):
            raise ValueError("a stroke has a position that is not a number")
        if self.is_area and (len(self.path) < 3 or self.radius_px != 0):
            raise ValueError("an area has three positions or more, and no radius")
        if not self.is_area and not 0 < self.radius_px <= LARGEST_RADIUS_PX:
            raise ValueError(f"a brush of {self.radius_px} pixels")

    @classmethod
    def rectangle(cls, box: Box, *, is_positive: bool = True) -> Stroke:
        """The area of a box."""
        path = ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))
        return cls.area(path, is_positive=is_positive)

    @classmethod
    def ellipse(cls, box: Box, *, is_positive: bool = True) -> Stroke:
        """The area of the ellipse inside a box, as a ring that is nowhere further from it than a tenth of a pixel."""
        rx, ry = box.width / 2, box.height / 2
        largest = max(rx, ry, 1.0)
        count = max(12, math.ceil(math.pi / math.acos(1 - 0.1 / largest)))
        angles = (2 * math.pi * step / count for step in range(count))
        centre = box.x0 + rx, box.y0 + ry
        ring = tuple((centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles)
        return cls.area(ring, is_positive=is_positive)

    @classmethod
    def area(cls, ring: Sequence[Point], *, is_positive: bool = True) -> Stroke:
        """What a ring encloses by the even-odd rule, wherever it crosses itself.

        Raises:
            ValueError: fewer than three or too many positions, or one that is not finite.
        """
        return cls(tuple(ring), 0.0, is_positive, is_area=True)

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

    def has_pixels(self, width: int, height: int) -> bool:
        """Whether it has any pixel of an image of this size."""
        return any(part.bits.any() for part in _drawn(self, width, height))

    def covers(self, x: float, y: float) -> bool:
        """Whether the pixel at an image position is under the stroke, or touches it."""
        if self.is_area:
            column, row = math.floor(x), math.floor(y)
            return bool(filled(self.path, (column, row, column + 1, row + 1))[0, 0])
        points = np.asarray(self.path, np.float64)
        starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
        nearest2 = float(_distances2(np.array([[x, y]]), starts, ends).min())
        return nearest2 <= (self.radius_px + _PIXEL_REACH) ** 2

    def to_json(self) -> dict[str, Any]:
        """Plain data: ``paint`` 1 or 0, ``radius_px``, ``after``, ``path`` [x, y, x, y, ...], ``area`` 1 of an area."""
        return {
            "paint": int(self.is_positive),
            "radius_px": self.radius_px,
            "after": self.after,
            "path": [value for position in self.path for value in position],
            **({"area": 1} if self.is_area else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Stroke:
        """Raises:
        ValueError, TypeError, AttributeError, OverflowError: the data are damaged.
        """
        flat = [float(value) for value in data.get("path") or ()]
        path = tuple(zip(flat[0::2], flat[1::2], strict=True))
        radius_px, after = float(data.get("radius_px") or 0), int(data.get("after") or 0)
        return cls(path, radius_px, bool(data.get("paint")), after, is_area=bool(data.get("area")))


def thinned(path: Sequence[Point], tolerance_px: float) -> tuple[Point, ...]:
    """A path without positions that it does not need: none is further than ``tolerance_px`` from what is left (Douglas
    and Peucker, 1973, by the distance to the line's part between its ends)."""
    points = np.asarray(path, np.float64)
    is_kept = np.zeros(len(points), np.bool_)
    is_kept[[0, -1]] = True
    ranges = [(0, len(points) - 1)]
    while ranges:
        first, last = ranges.pop()
        if last - first < 2:
            continue
        distances2 = _distances2(points[first + 1 : last], points[first], points[last])
        furthest = int(distances2.argmax())
        if distances2[furthest] > tolerance_px**2:
            middle = first + 1 + furthest
            is_kept[middle] = True
            ranges += [(first, middle), (middle, last)]
    return tuple(position for position, keep in zip(path, is_kept.tolist(), strict=True) if keep)


def _distances2(
    points: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Squared distances of points (or of one point, N x 2 each) to lines with ends."""
    along = end - start
    to_points = points - start
    length2 = np.maximum((along**2).sum(axis=-1), 1e-12)
    shares = np.clip((to_points * along).sum(axis=-1) / length2, 0.0, 1.0)
    return np.asarray(((to_points - along * shares[..., None]) ** 2).sum(axis=-1))


Correction = Stroke | Operation
"""What a hand does to a mask, beside clicks."""


def correction_from_json(data: dict[str, Any]) -> Correction:
    """Raises:
    ValueError, TypeError, AttributeError, OverflowError: the data are damaged.
    """
    return Operation.from_json(data) if "operation" in data else Stroke.from_json(data)


def painted(mask: Mask, corrections: tuple[Correction, ...]) -> Mask:
    """The mask with strokes over it and operations done to it, in their order; tight. Memory follows the object, not
    the image.

    Painting in one go and step by step gives the same.
    """
    for is_operation, group in groupby(corrections, key=lambda one: isinstance(one, Operation)):
        if is_operation:
            for operation in group:
                mask = cast(Operation, operation).applied(mask)
        else:
            mask = _with_strokes(mask, cast(tuple[Stroke, ...], tuple(group)))
    return mask


def _with_strokes(mask: Mask, strokes: tuple[Stroke, ...]) -> Mask:
    """A pixel belongs to a stroke when its centre is within the radius of the path, to a pixel."""
    drawn = [(stroke.is_positive, _drawn(stroke, mask.width, mask.height)) for stroke in strokes]
    frames = [part.frame for is_positive, parts in drawn if is_positive for part in parts]
    height, width = mask.bits.shape
    if mask.bits.size:
        frames.append((mask.x, mask.y, mask.x + width, mask.y + height))
    if not frames:
        return mask
    lefts, tops, rights, bottoms = zip(*frames, strict=True)
    x0, y0, x1, y1 = max(0, min(lefts)), max(0, min(tops)), min(mask.width, max(rights)), min(mask.height, max(bottoms))
    if x1 <= x0 or y1 <= y0:
        return Mask.empty(mask.width, mask.height)
    plane = plane_of(mask, (x0, y0, x1, y1))
    for is_positive, parts in drawn:
        for part in parts:
            part.put(plane, x0, y0, is_positive=is_positive)
    after = Mask(plane, x0, y0, mask.width, mask.height).tight()
    differs_within(mask, after, [part.frame for _, parts in drawn for part in parts])
    return after


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Some of a stroke's pixels: a crop at a place in the image, which it may leave."""

    bits: npt.NDArray[np.bool_]
    x: int
    y: int

    @property
    def frame(self) -> tuple[int, int, int, int]:
        height, width = self.bits.shape
        return self.x, self.y, self.x + width, self.y + height

    def put(self, plane: npt.NDArray[np.bool_], x0: int, y0: int, *, is_positive: bool) -> None:
        """Set or clear these pixels of a plane that lies at (x0, y0)."""
        left, top, right, bottom = self.frame
        left, top = max(left, x0), max(top, y0)
        right, bottom = min(right, x0 + plane.shape[1]), min(bottom, y0 + plane.shape[0])
        if left < right and top < bottom:
            bits = self.bits[top - self.y : bottom - self.y, left - self.x : right - self.x]
            under = plane[top - y0 : bottom - y0, left - x0 : right - x0]
            (np.logical_or if is_positive else np.greater)(under, bits, out=under)


class _DrawnStrokes:
    """The strokes that were drawn last: they are wanted again when one among them, or the mask under them, changes."""

    def __init__(self) -> None:
        self._parts: OrderedDict[tuple[Stroke, int, int], tuple[_Part, ...]] = OrderedDict()
        self._nbytes = 0

    def get(self, stroke: Stroke, width: int, height: int) -> tuple[_Part, ...]:
        key = (stroke, width, height)
        if key in self._parts:
            self._parts.move_to_end(key)
            return self._parts[key]
        parts = self._parts[key] = _parts_of(stroke, width, height)
        self._nbytes += _nbytes(parts)
        while self._nbytes > _KEPT_BYTES and len(self._parts) > 1:
            self._nbytes -= _nbytes(self._parts.popitem(last=False)[1])
        return parts


def _nbytes(parts: Sequence[_Part]) -> int:
    return sum(part.bits.nbytes for part in parts)


_drawn = _DrawnStrokes().get


def _parts_of(stroke: Stroke, width: int, height: int) -> tuple[_Part, ...]:
    """The pixels under a stroke. Nothing depends on the mask that it is painted over."""
    if not stroke.touches(width, height):
        return ()
    if stroke.is_area:
        return _area(stroke, width, height)
    within = -_MARGIN_PX, -_MARGIN_PX, width + _MARGIN_PX, height + _MARGIN_PX
    runs = list(_runs(stroke, width, height))
    parts = [_part([run], stroke.radius_px, within) for run in runs[:1]]
    largest = max(1, math.prod(_size(_frame(runs, stroke.radius_px, within)))) if runs else 0
    for run in runs[1:]:
        parts.append(_part([run], stroke.radius_px, within))
        if _nbytes(parts) > largest:  # they overlap so much that one crop for all is smaller
            return (_part(runs, stroke.radius_px, within),)
    return tuple(parts)


def _area(stroke: Stroke, width: int, height: int) -> tuple[_Part, ...]:
    left, top, right, bottom = stroke.frame_xyxy
    frame = (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(width, math.ceil(right)),
        min(height, math.ceil(bottom)),
    )
    return (_Part(filled(stroke.path, frame), frame[0], frame[1]),) if math.prod(_size(frame)) else ()


def _runs(stroke: Stroke, width: int, height: int) -> Iterator[list[Point]]:
    """What of the path can reach the image, in runs of short steps."""
    if len(stroke.path) == 1:
        yield [stroke.path[0]]
        return
    reach = stroke.radius_px + 2
    lowest, highest = (-reach, -reach), (width + reach, height + reach)
    run: list[Point] = []
    for start, end in pairwise(stroke.path):
        for first, last in _steps(start, end, lowest, highest):
            is_full = len(run) >= _PART_POINTS or (run and not _is_short([run[0], run[len(run) // 2], last]))
            if run and (run[-1] != first or is_full):
                yield run
                run = []
            run += [last] if run else [first, last]
    if run:
        yield run


def _is_short(points: list[Point]) -> bool:
    return all(max(axis) - min(axis) <= _PART_PX for axis in zip(*points, strict=True))


def _steps(start: Point, end: Point, lowest: Point, highest: Point) -> Iterator[tuple[Point, Point]]:
    """What of a line is inside a rectangle, in short steps: the crop of a long line is most of an image."""
    inside = _clipped(start, end, lowest, highest)
    if inside is None:
        return
    (ax, ay), (bx, by) = inside
    count = max(1, math.ceil(max(abs(bx - ax), abs(by - ay)) / _STEP_PX))
    corners = [(ax + (bx - ax) * step / count, ay + (by - ay) * step / count) for step in range(count)]
    yield from pairwise([*corners, (bx, by)])


def _clipped(start: Point, end: Point, lowest: Point, highest: Point) -> tuple[Point, Point] | None:
    """The part of a line inside a rectangle, None when there is none (Liang and Barsky, 1984)."""
    along = end[0] - start[0], end[1] - start[1]
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        if along[axis] == 0:
            if not lowest[axis] <= start[axis] <= highest[axis]:
                return None
            continue
        shares = sorted(((lowest[axis] - start[axis]) / along[axis], (highest[axis] - start[axis]) / along[axis]))
        enter, leave = max(enter, shares[0]), min(leave, shares[1])
    if enter > leave:
        return None

    def at(share: float) -> Point:
        return start[0] + along[0] * share, start[1] + along[1] * share

    return (start if enter == 0 else at(enter)), (end if leave == 1 else at(leave))


def _frame(runs: Sequence[list[Point]], radius_px: float, within: tuple[int, int, int, int]) -> tuple[int, ...]:
    """What these runs may touch, with room round it, but nothing outside of ``within``."""
    xs, ys = ([point[axis] for run in runs for point in run] for axis in (0, 1))
    x0, y0 = (math.floor(min(values) - radius_px) - 2 for values in (xs, ys))
    x1, y1 = (math.ceil(max(values) + radius_px) + 3 for values in (xs, ys))
    return max(x0, within[0]), max(y0, within[1]), min(x1, within[2]), min(y1, within[3])


def _size(frame: tuple[int, ...]) -> tuple[int, int]:
    return max(0, frame[3] - frame[1]), max(0, frame[2] - frame[0])


def _part(runs: Sequence[list[Point]], radius_px: float, within: tuple[int, int, int, int]) -> _Part:
    """Runs of a path, drawn in one crop. (OpenCV draws a line differently where it has to cut it: the crop must always
    be the same.)"""
    frame = _frame(runs, radius_px, within)
    plane = np.zeros(_size(frame), np.uint8)
    for run in runs:
        # OpenCV's positions are those of pixel centres, ours of pixel edges.
        local = np.array(run) - (frame[0] + 0.5, frame[1] + 0.5)
        if radius_px <= 0.5:
            pixels = np.floor(local + 0.5).astype(np.int32)
            cv2.polylines(plane, [np.concatenate([pixels, pixels[-1:]])[:, None]], False, 1, 1)
        else:
            # Every pixel that an edge touches is filled, half a pixel too far.
            _fill(plane, local, radius_px - 0.5)
    return _Part(plane.view(np.bool_), frame[0], frame[1])


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
