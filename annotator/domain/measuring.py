"""Lengths and angles on an image, in pixels and, where the size of a pixel is known, in millimetres."""

from __future__ import annotations

import math

from annotator.domain.brush import Point

Spacing = tuple[float, float]
"""Size (x, y) of a pixel in millimetres."""
_SQUARE = (1.0, 1.0)


def length(start: Point, end: Point, spacing: Spacing = _SQUARE) -> float:
    """From place to place (image pixels), in pixels, or with a spacing in millimetres."""
    return math.hypot((end[0] - start[0]) * spacing[0], (end[1] - start[1]) * spacing[1])


def slope_deg(start: Point, end: Point, spacing: Spacing | None = None) -> float:
    """The angle between a line and the image's rows, 0..90: as it is in space where the spacing is known."""
    across, down = spacing or _SQUARE
    return math.degrees(math.atan2(abs(end[1] - start[1]) * down, abs(end[0] - start[0]) * across))


def angle_deg(corner: Point, one: Point, other: Point, spacing: Spacing | None = None) -> float:
    """The angle at a corner between two arms, 0..180; 0 when an arm has no length."""
    across, down = spacing or _SQUARE
    ax, ay = (one[0] - corner[0]) * across, (one[1] - corner[1]) * down
    bx, by = (other[0] - corner[0]) * across, (other[1] - corner[1]) * down
    return abs(math.degrees(math.atan2(ax * by - ay * bx, ax * bx + ay * by)))


def straightened(start: Point, end: Point, *, step_deg: float = 45.0) -> Point:
    """The end moved to the nearest direction that is a multiple of a step, as far along it as it was."""
    across, down = end[0] - start[0], end[1] - start[1]
    step = math.radians(step_deg)
    angle = round(math.atan2(down, across) / step) * step
    reach = across * math.cos(angle) + down * math.sin(angle)
    return start[0] + reach * math.cos(angle), start[1] + reach * math.sin(angle)
