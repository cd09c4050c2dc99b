"""Outlines: closed rings whose inside, by the even-odd rule, is a mask. What was drawn as a polygon stays one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from annotator.domain.areas import filled
from annotator.domain.difference import differs_within
from annotator.domain.mask import BoolArray, Mask
from annotator.domain.polygon import MIN_IOU, mask_to_polygons
from annotator.domain.spare_copy import plane_of

Point = tuple[float, float]
OutlineRing = tuple[Point, ...]
"""(x, y) image positions; the last one joins the first."""
Outline = tuple[OutlineRing, ...]
OUTLINE_KEY = "outline"
"""Where an object's prompts have its outline: a list of rings, each [x, y, x, y, ...]."""
MOST_CORNERS = 100_000
HANDLES_PX = 1.0
"""How far the outline that is shown for a mask may be from it."""
_Edge = tuple[Point, Point]


def area_of(outline: Iterable[OutlineRing], width: int, height: int) -> Mask:
    """The pixels whose centres are inside (even-odd over all rings), cut at the image."""
    rings = [ring for ring in outline if len(ring) >= 3]
    if not rings:
        return Mask.empty(width, height)
    xs, ys = zip(*(point for ring in rings for point in ring), strict=True)
    x0, y0 = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    x1, y1 = min(width, math.ceil(max(xs))), min(height, math.ceil(max(ys)))
    if x1 <= x0 or y1 <= y0:
        return Mask.empty(width, height)
    plane = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for ring in rings:
        plane ^= filled(ring, (x0, y0, x1, y1))
    return Mask(plane, x0, y0, width, height).tight()


def outline_of(mask: Mask, *, tolerance_px: float = HANDLES_PX, min_iou: float = MIN_IOU) -> Outline:
    """Rings near the edge of a mask, with few corners. 0: on pixel edges, exact."""
    parts = mask_to_polygons(mask, tolerance_px=tolerance_px, min_iou=min_iou)
    rings = (ring for part in parts for ring in (part.exterior, *part.holes))
    return tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings)


def reshaped(mask: Mask, before: OutlineRing, after: OutlineRing) -> Mask:
    """The mask when a ring near its edge becomes another one: between the two a pixel is what the new one says, and
    everywhere else nothing changes."""
    edges = Counter(_edges(before))
    edges.subtract(_edges(after))
    changed = [edge for edge, count in edges.items() if count % 2]
    if not changed:
        return mask
    xs, ys = zip(*(point for edge in changed for point in edge), strict=True)
    frame = (
        max(0, math.floor(min(xs))),
        max(0, math.floor(min(ys))),
        min(mask.width, math.ceil(max(xs))),
        min(mask.height, math.ceil(max(ys))),
    )
    if frame[2] <= frame[0] or frame[3] <= frame[1]:
        return mask
    inside = filled(after, frame) if len(after) >= 3 else np.zeros(_shape(frame), np.bool_)
    was_inside = filled(before, frame) if len(before) >= 3 else np.zeros(_shape(frame), np.bool_)
    return _patched(mask, frame, inside, inside ^ was_inside)


def _patched(mask: Mask, frame: tuple[int, int, int, int], inside: BoolArray, turned: BoolArray) -> Mask:
    """The mask with the ``turned`` pixels of a frame as ``inside`` says; copied once, as it may be large."""
    rows, columns = mask.bits.shape
    x0, y0, x1, y1 = frame
    if mask.bits.size:
        x0, y0, x1, y1 = min(x0, mask.x), min(y0, mask.y), max(x1, mask.x + columns), max(y1, mask.y + rows)
    plane = plane_of(mask, (x0, y0, x1, y1))
    part = plane[frame[1] - y0 : frame[3] - y0, frame[0] - x0 : frame[2] - x0]
    np.copyto(part, inside, where=turned)
    after = Mask(plane, x0, y0, mask.width, mask.height).tight()
    differs_within(mask, after, [frame])
    return after


def to_json(outline: Sequence[OutlineRing]) -> list[list[float]]:
    """Plain data: a list per ring, [x, y, x, y, ...]."""
    return [[value for point in ring for value in point] for ring in outline]


def from_json(data: Any) -> Outline:
    """Raises:
    ValueError, TypeError: the data are damaged, or have too many corners.
    """
    rings = []
    count = 0
    for flat in data:
        values = [float(value) for value in flat]
        count += len(values) // 2
        if count > MOST_CORNERS or not all(math.isfinite(value) for value in values):
            raise ValueError("an outline with too many corners, or one that is not a number")
        rings.append(tuple(zip(values[0::2], values[1::2], strict=True)))
    return tuple(rings)


def kept_outline(prompts: Mapping[str, Any], mask: Mask) -> Outline | None:
    """The outline that an object was drawn with, if its mask still is what that encloses; else None."""
    try:
        outline = from_json(prompts.get(OUTLINE_KEY) or ())
    except (ValueError, TypeError):
        return None
    return outline if outline and area_of(outline, mask.width, mask.height).same_pixels(mask) else None


def _edges(ring: OutlineRing) -> list[_Edge]:
    """Both ways round the same edge is the same."""
    return [(min(a, b), max(a, b)) for a, b in pairwise([*ring, *ring[:1]]) if a != b]


def _shape(frame: tuple[int, int, int, int]) -> tuple[int, int]:
    return frame[3] - frame[1], frame[2] - frame[0]
