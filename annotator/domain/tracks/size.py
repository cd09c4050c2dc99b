"""How large a track is as one object in space: its volume, and its longest diameter through all of its slices. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from annotator.domain.extents import Spacing, area_of_pixels, hull_corners
from annotator.domain.mask import Mask
from annotator.domain.media import Series
from annotator.domain.planes import FloatArray, Plane

Drift = tuple[float, float]
"""How far slices move along a row and a column of pixels for each millimetre along the normal: 0 where they lie
straight above each other, more in a tilted stack."""
STRAIGHT: Drift = (0.0, 0.0)
_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is needed of a mask on one slice: its pixels, and the corners of its convex hull (N x 2, pixels)."""

    pixels: int
    corners: FloatArray


@dataclass(frozen=True, slots=True)
class TrackSize:
    """Of one object through its slices.

    Attributes:
        slices: with pixels of it; pixels: in all of them.
        volume_mm3: each slice counts as thick as the series' step; None where pixels or steps have no known size.
        diameter: the largest distance of two of its places, from pixel edge to pixel edge and from slice to slice; the
            slices' own thickness does not count. In millimetres where ``is_mm``, else in pixels.
        has_depth: whether the diameter goes through the slices; else it is the longest within one.
    """

    slices: int
    pixels: int
    volume_mm3: float | None
    diameter: float
    is_mm: bool
    has_depth: bool


def part_of(mask: Mask) -> Part:
    return Part(mask.area, hull_corners(mask))


def drift_of(first: Plane, last: Plane) -> Drift:
    """Of a stack, by where its first and its last slice lie."""
    way = np.subtract(last.origin, first.origin)
    along = float(way @ np.asarray(first.normal))
    if abs(along) <= 1e-6:
        return STRAIGHT
    return float(way @ np.asarray(first.row)) / along, float(way @ np.asarray(first.column)) / along


def size_of(
    parts: Iterable[tuple[int, Part]], series: Series | None, spacing_mm: Spacing | None, *, drift: Drift = STRAIGHT
) -> TrackSize:
    """The size of an object.

    Args:
        parts: each with its place in the series; a slice may have several.
        spacing_mm: of a pixel (x, y), the same on all slices; None: not known.
    """
    shown = [(at, part) for at, part in parts if part.pixels]
    pixels, slices = sum(part.pixels for _, part in shown), len({at for at, _ in shown})
    step_mm = None if series is None or spacing_mm is None else series.step_mm
    spacing = spacing_mm or (1.0, 1.0)
    corners = [(at, part.corners * spacing) for at, part in shown]
    if series is None or step_mm is None:
        longest = max((_longest(one) for _, one in corners), default=0.0)
        return TrackSize(slices, pixels, None, longest, spacing_mm is not None, False)
    places = series.offsets_mm
    points = [_in_space(one, places[at] if at < len(places) else at * step_mm, drift) for at, one in corners]
    longest = _longest(np.concatenate(points)) if points else 0.0
    return TrackSize(slices, pixels, area_of_pixels(pixels, spacing) * step_mm, longest, True, True)


def _in_space(corners: FloatArray, place_mm: float, drift: Drift) -> FloatArray:
    """N x 3 of the N x 2 corners of a slice, in millimetres."""
    moved = corners + np.multiply(drift, place_mm)
    return np.column_stack([moved, np.full(len(moved), place_mm)])


def _longest(points: FloatArray) -> float:
    """The largest distance between two of N points (N x 2 or N x 3); N is at least 1.

    Exact: of points at the distances a and b from the middle none are further from each other than a + b, so that only
    those far out are compared.
    """
    reach = np.linalg.norm(points - (points.min(axis=0) + points.max(axis=0)) / 2, axis=1)
    order = np.argsort(-reach)
    points, reach = points[order], reach[order]
    best = 0.0
    for start in range(0, len(points), _AT_ONCE):
        if reach[start] + reach[0] <= best:
            break
        count = int(np.searchsorted(-reach, reach[start] - best, side="right"))
        part = points[start : start + _AT_ONCE]
        squared = ((part[:, None, :] - points[None, :count, :]) ** 2).sum(-1)
        best = max(best, float(np.sqrt(squared.max(initial=0.0))))
    return best
