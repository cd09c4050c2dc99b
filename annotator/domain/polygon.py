"""Masks to rings with holes and back. Rings run on pixel edges, so an untouched ring is the mask, to the pixel.

Vertices are image positions (x right, y down): pixel (i, j) covers [i, i + 1) x [j, j + 1), so all vertices that come
out of a mask are whole numbers from 0 to the image's width and height. Pixels belong together when they share an edge;
two that touch at a corner are two parts, which keeps every ring simple and every polygon valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from pycocotools import mask as coco_mask

from annotator.domain.mask import BoolArray, Mask

Ring = npt.NDArray[np.float64]
_Labels = npt.NDArray[np.int32]
_Rle = dict[str, Any]
_Index = npt.NDArray[np.int64]

DEFAULT_TOLERANCE_PX = 0.75
"""Turns the stairs of a slanted edge (0.71 px high) into one line."""

MIN_IOU = 0.98
_ALWAYS_EXACT_BELOW_PX = 50
_LEAST_TOLERANCE_PX = 0.1
_BLOCK = 256
"""Vertices that are compared at a time."""


@dataclass(frozen=True, eq=False)
class PolygonPart:
    """One connected part of an object.

    Attributes:
        exterior: float64, N x 2 (x, y), not closed (the last vertex is not the first again), clockwise on the screen.
        holes: rings of the same form, counter-clockwise on the screen.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()


def mask_to_polygons(
    mask: Mask, *, tolerance_px: float = DEFAULT_TOLERANCE_PX, min_iou: float = MIN_IOU
) -> tuple[PolygonPart, ...]:
    """Every connected part with its holes, in the order of their first pixels (by rows).

    Args:
        tolerance_px: how far a left-out vertex may lie from the line, in pixels; 0 keeps the pixel edges.
        min_iou: each part, drawn by COCO's own rasteriser, overlaps the part of the mask at least this well; the
            tolerance is lowered until it does, down to the exact pixel edges (IoU 1).
    """
    exact = trace_parts(mask)
    if tolerance_px <= 0:
        return exact
    return tuple(_simplified(part, tolerance_px, min_iou) for part in exact)


def polygons_to_mask(parts: Iterable[PolygonPart], *, width: int, height: int) -> Mask:
    """The pixels of parts with holes, by COCO's rasteriser: union of (exterior without its holes).

    Vertices are expected inside the image; what lies outside is cut off.
    """
    total = Mask.empty(width, height)
    for part in parts:
        solid = rings_to_mask([part.exterior], width=width, height=height)
        if part.holes:
            solid = solid.subtract(rings_to_mask(part.holes, width=width, height=height))
        total = total.union(solid)
    return total


def rings_to_mask(rings: Sequence[Ring], *, width: int, height: int, max_crop_bytes: int | None = None) -> Mask:
    """The union of filled rings, as COCO's readers draw them (``annToMask``: no holes).

    Raises:
        ValueError: a ring has fewer than three vertices or one that is not finite, or the mask is larger than
            ``max_crop_bytes`` (:meth:`Mask.from_counts`).
    """
    counts = _rasterise(rings, width, height)["counts"]
    return Mask.from_rle(counts, width, height, max_crop_bytes=max_crop_bytes)


def bridged_ring(rings: Sequence[Ring]) -> Ring:
    """One ring through all rings, for formats that have one polygon per object.

    Each further ring is entered and left at its vertex that is nearest to what is there. Filled by the even-odd rule it
    is what the rings are: the ways between them are walked there and back, and enclose nothing.

    Args:
        rings: at least one, N x 2 (x, y) each, not closed.
    """
    whole = np.asarray(rings[0], np.float64)
    for ring in rings[1:]:
        at, entry = _nearest(whole, ring)
        detour = np.roll(ring, -entry, axis=0)
        whole = np.concatenate([whole[: at + 1], detour, detour[:1], whole[at:]])
    return whole


def _nearest(whole: Ring, ring: Ring) -> tuple[int, int]:
    """Indices of the vertices of two rings that are nearest to each other."""
    best, found = math.inf, (0, 0)
    for start in range(0, len(ring), _BLOCK):
        squares = ((whole[:, None] - ring[None, start : start + _BLOCK]) ** 2).sum(axis=2)
        at, entry = np.unravel_index(int(squares.argmin()), squares.shape)
        if squares[at, entry] < best:
            best, found = float(squares[at, entry]), (int(at), start + int(entry))
    return found


def has_holes(mask: Mask) -> bool:
    """Whether a part of the mask encloses background (also background that reaches out only over a corner).

    Background between several parts that touch at corners is no hole: the parts' polygons leave it free.
    """
    h, w = mask.bits.shape
    if h < 3 or w < 3:
        return False
    background = np.ones((h + 2, w + 2), np.uint8)
    background[1:-1, 1:-1] = ~mask.bits
    count, _ = cv2.connectedComponents(background, connectivity=4)
    # Label 0 is the mask, one more the outside. Without further ones there is nothing to look for.
    return int(count) > 2 and any(part.holes for part in trace_parts(mask))


def trace_parts(mask: Mask) -> tuple[PolygonPart, ...]:
    """Exact rings on pixel edges, grouped into parts."""
    tight = mask.tight()
    if tight.is_empty:
        return ()
    bits = np.zeros((tight.bits.shape[0] + 2, tight.bits.shape[1] + 2), np.bool_)
    bits[1:-1, 1:-1] = tight.bits
    labels = np.asarray(cv2.connectedComponents(bits.astype(np.uint8), connectivity=4)[1], np.int32)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    offset = np.array([tight.x - 1, tight.y - 1], np.float64)
    for ring in _rings(bits):
        label = _label_beside(ring, labels)
        placed = ring.astype(np.float64) + offset
        if _signed_area(ring) > 0:
            exteriors[label] = placed
        else:
            holes.setdefault(label, []).append(placed)
    return tuple(PolygonPart(exteriors[label], tuple(holes.get(label, ()))) for label in sorted(exteriors))


# --- tracing --------------------------------------------------------------------------------------------------------


def _rings(bits: BoolArray) -> list[_Index]:
    """Closed rings of corners (x, y), the mask on the right-hand side of the way, of a mask with an empty border.

    On every lattice row the corners pair up into horizontal edges, on every lattice column into vertical ones; a ring
    follows them in turn. A point where two pixels touch only at their corners counts as two corners.
    """
    x, y, follower, touches = _linked_corners(bits)
    rings: list[_Index] = []
    next_of = follower.tolist()
    seen = bytearray(len(next_of))
    is_touch = touches.tolist()
    for start in range(len(next_of)):
        if seen[start]:
            continue
        way: list[int] = []
        may_touch_itself = False
        at = start
        while not seen[at]:
            seen[at] = 1
            way.append(at)
            may_touch_itself |= is_touch[at]
            at = next_of[at]
        ring = np.stack([x[way], y[way]], axis=1)
        rings.extend(_split_at_touches(ring) if may_touch_itself else [ring])
    return rings


def _linked_corners(bits: BoolArray) -> tuple[_Index, _Index, _Index, BoolArray]:
    """All corners: x, y, the index of the next one on the ring, and whether two pixels touch there."""
    nw, ne, sw, se = bits[:-1, :-1], bits[:-1, 1:], bits[1:, :-1], bits[1:, 1:]
    count = nw.astype(np.int8) + ne + sw + se
    touch = (count == 2) & (nw == se)
    y, x = np.nonzero((count & 1).astype(np.bool_) | touch)
    times = 1 + touch[y, x].astype(np.int64)
    copy = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    x, y = np.repeat(x, times) + 1, np.repeat(y, times) + 1
    is_touch = np.repeat(times == 2, times)
    # np.nonzero goes by rows: copies 0 and 1 of a touch end the edge from the left and begin the one to the right.
    horizontal = np.arange(x.size).reshape(-1, 2)
    # Downwards, the copy that shares a pixel with the edge above comes first: the left one when that pixel is there.
    upper_left = bits[y - 1, x - 1]
    order = np.where(is_touch & ~upper_left, 1 - copy, copy)
    vertical = np.lexsort((order, y, x)).reshape(-1, 2)
    other_h = np.empty(x.size, np.int64)
    other_h[horizontal[:, 0]], other_h[horizontal[:, 1]] = horizontal[:, 1], horizontal[:, 0]
    other_v = np.empty(x.size, np.int64)
    other_v[vertical[:, 0]], other_v[vertical[:, 1]] = vertical[:, 1], vertical[:, 0]
    # An edge with the mask below it is walked to the right, one with the mask above it to the left.
    is_left_end = np.empty(x.size, np.bool_)
    is_left_end[horizontal[:, 0]], is_left_end[horizontal[:, 1]] = True, False
    left = np.where(is_left_end, np.arange(x.size), other_h)
    mask_below = bits[y[left], x[left]]
    leaves_sideways = is_left_end == mask_below
    return x, y, np.where(leaves_sideways, other_h, other_v), is_touch


def _split_at_touches(ring: _Index) -> list[_Index]:
    """A ring that meets itself at a point, as several rings that do not."""
    done: list[_Index] = []
    way: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        point = (x, y)
        if point in place:
            first = place[point]
            done.append(np.array(way[first:], np.int64))
            for dropped in way[first + 1 :]:
                del place[dropped]
            del way[first + 1 :]
        else:
            place[point] = len(way)
            way.append(point)
    done.append(np.array(way, np.int64))
    return done


def _label_beside(ring: _Index, labels: _Labels) -> int:
    """The part that a ring bounds: the pixel on the right-hand side of its first edge."""
    (x0, y0), (x1, y1) = ring[0].tolist(), ring[1].tolist()
    if y0 == y1:
        return int(labels[y0, x0] if x1 > x0 else labels[y0 - 1, x0 - 1])
    return int(labels[y0, x0 - 1] if y1 > y0 else labels[y0 - 1, x0])


def _signed_area(ring: npt.NDArray[np.int64]) -> int:
    """Twice the area, positive for clockwise on the screen."""
    x, y = ring[:, 0], ring[:, 1]
    return int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


# --- simplifying ----------------------------------------------------------------------------------------------------


def _simplified(part: PolygonPart, tolerance_px: float, min_iou: float) -> PolygonPart:
    """The part with as few vertices as the bound on the IoU allows."""
    low = np.floor(part.exterior.min(axis=0))
    width, height = (int(v) for v in np.ceil(part.exterior.max(axis=0)) - low)
    if width * height < _ALWAYS_EXACT_BELOW_PX:
        return part
    local = PolygonPart(part.exterior - low, tuple(hole - low for hole in part.holes))
    wanted = _rasterise_part(local, width, height)
    shape = shapely.Polygon(local.exterior, local.holes)
    tolerance = tolerance_px
    while tolerance > _LEAST_TOLERANCE_PX:
        simple = _from_shape(shape.simplify(tolerance, preserve_topology=True))
        if simple is not None and _iou(_rasterise_part(simple, width, height), wanted) >= min_iou:
            return PolygonPart(simple.exterior + low, tuple(hole + low for hole in simple.holes))
        tolerance /= 2
    return part


def _from_shape(shape: shapely.Geometry) -> PolygonPart | None:
    if not isinstance(shape, shapely.Polygon) or shape.is_empty or not shape.is_valid:
        return None
    rings = [np.asarray(ring.coords, np.float64)[:-1] for ring in (shape.exterior, *shape.interiors)]
    return PolygonPart(rings[0], tuple(rings[1:]))


def _rasterise_part(part: PolygonPart, width: int, height: int) -> _Rle:
    solid = _rasterise([part.exterior], width, height)
    if not part.holes:
        return solid
    holes = _rasterise(part.holes, width, height)
    # COCO's library knows no difference of masks.
    mask = Mask.from_rle(solid["counts"], width, height).subtract(Mask.from_rle(holes["counts"], width, height))
    return {"size": [height, width], "counts": mask.rle()}


def _rasterise(rings: Sequence[Ring], width: int, height: int) -> _Rle:
    flat: list[list[float]] = []
    for ring in rings:
        points = np.asarray(ring, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or points.shape[0] < 3 or not np.isfinite(points).all():
            raise ValueError("a ring needs three or more vertices with finite coordinates")
        flat.append(points.ravel().tolist())
    if not flat:
        return {"counts": Mask.empty(width, height).rle()}
    merged: _Rle = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
    return merged


def _iou(first: _Rle, second: _Rle) -> float:
    both = int(coco_mask.area(coco_mask.merge([first, second], intersect=True)))
    either = int(coco_mask.area(coco_mask.merge([first, second])))
    return 1.0 if either == 0 else both / either
