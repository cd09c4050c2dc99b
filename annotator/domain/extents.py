"""How large a mask is: area, longest diameter, centre; in millimetres where the pixel's size is known."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

Spacing = tuple[float, float]
"""Of a pixel, x and y."""
_SQUARE: Spacing = (1.0, 1.0)


def area_of_pixels(count: int, spacing: Spacing) -> float:
    """In the square of the spacing's unit."""
    return count * spacing[0] * spacing[1]


def centre_of(mask: Mask) -> tuple[float, float]:
    """x and y of the middle of all pixels, in image positions. The mask is not empty."""
    rows, columns = np.nonzero(mask.bits)
    return float(columns.mean()) + mask.x + 0.5, float(rows.mean()) + mask.y + 0.5


def hull_corners(mask: Mask) -> npt.NDArray[np.float64]:
    """N x 2: the pixel corners (x, y) of a mask that its convex hull has, in image positions; none for an empty one."""
    rows = np.flatnonzero(mask.bits.any(axis=1))
    if rows.size == 0:
        return np.empty((0, 2))
    lines = mask.bits[rows]
    left = lines.argmax(axis=1)
    right = lines.shape[1] - lines[:, ::-1].argmax(axis=1)
    corners = [np.column_stack([x, y]) for x in (left, right) for y in (rows, rows + 1)]
    hull = cv2.convexHull(np.concatenate(corners).astype(np.int32))[:, 0].astype(np.float64)
    found: npt.NDArray[np.float64] = hull + np.array([mask.x, mask.y])
    return found


def longest_diameter(mask: Mask, spacing: Spacing = _SQUARE) -> float:
    """The largest distance of two places of the mask, from pixel edge to pixel edge, in the spacing's unit; 0 for an
    empty one. All parts count as one."""
    hull = hull_corners(mask) * spacing
    return float(max((np.hypot(*(hull - corner).T).max() for corner in hull), default=0.0))


def volume_ml(pixels: int, spacing: Spacing, step_mm: float) -> float:
    """Of pixels of slices that lie so many millimetres apart."""
    return area_of_pixels(pixels, spacing) * step_mm / 1000
