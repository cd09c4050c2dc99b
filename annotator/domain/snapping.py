"""Places that a corner snaps to: the image's borders, and the outlines of the objects beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from annotator.domain.mask import BoolArray, Mask

Point = tuple[float, float]


def snapped(where: Point, masks: Iterable[Mask], size: tuple[int, int], *, reach_px: float) -> Point:
    """The nearest place on a border of the image or on the edge of a mask; the place itself when none is in reach.

    Edges of masks are met at corners of their pixels, so that an area drawn along them shares no pixel with the mask
    and leaves none out between.

    Args:
        size: (width, height) of the image in pixels.
        reach_px: how far a place may be, in image pixels.
    """
    found = [_on_border(where, size, reach_px)]
    found += [corner for mask in masks if (corner := _corner_of(mask, where, reach_px)) is not None]
    near = [(math.dist(where, place), place) for place in found if place is not None]
    distance, place = min(near, default=(math.inf, where))
    return place if distance <= math.hypot(reach_px, reach_px) else where


def _on_border(where: Point, size: tuple[int, int], reach_px: float) -> Point | None:
    """Each coordinate by itself, so that near a corner of the image it is that corner."""
    place = tuple(
        0.0 if abs(value) <= reach_px else float(side) if abs(value - side) <= reach_px else value
        for value, side in zip(where, size, strict=True)
    )
    return None if place == where else (place[0], place[1])


def _corner_of(mask: Mask, where: Point, reach_px: float) -> Point | None:
    """The nearest corner of pixels of which some are inside and some are not."""
    x0, y0 = math.floor(where[0] - reach_px), math.floor(where[1] - reach_px)
    x1, y1 = math.ceil(where[0] + reach_px) + 1, math.ceil(where[1] + reach_px) + 1
    bits = _window(mask, x0 - 1, y0 - 1, x1, y1)
    count = bits[:-1, :-1].astype(np.uint8) + bits[1:, :-1] + bits[:-1, 1:] + bits[1:, 1:]
    rows, columns = np.nonzero((count > 0) & (count < 4))
    if rows.size == 0:
        return None
    distances = np.hypot(columns + x0 - where[0], rows + y0 - where[1])
    at = int(distances.argmin())
    return (float(columns[at] + x0), float(rows[at] + y0)) if distances[at] <= reach_px else None


def _window(mask: Mask, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    """A part of the plane, which may leave the mask's crop and the image."""
    found = np.zeros((y1 - y0, x1 - x0), np.bool_)
    height, width = mask.bits.shape
    left, top, right, bottom = max(x0, mask.x), max(y0, mask.y), min(x1, mask.x + width), min(y1, mask.y + height)
    if left < right and top < bottom:
        bits = mask.bits[top - mask.y : bottom - mask.y, left - mask.x : right - mask.x]
        found[top - y0 : bottom - y0, left - x0 : right - x0] = bits
    return found
