"""Where pictures lie in space: a plane each, and the lattice that the slices of a series make. Pure.

Space is in millimetres in the patient's coordinates (LPS). Pixels are counted by their centres: the first is (0, 0).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.slices import Vector

FloatArray = npt.NDArray[np.float64]

SAME_MM = 1e-3
"""Places closer than this are one."""
_SAME_SHARE = 0.01
"""Of a step or a pixel: what differs by less is the same lattice."""
_SAME_DIRECTION = 1e-3


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the pixels of a picture lie.

    Attributes:
        origin: centre of the first pixel; row, column: unit vectors along a row (x) and a column (y) of pixels.
        spacing_xy: from pixel to pixel.
    """

    origin: Vector
    row: Vector
    column: Vector
    spacing_xy: tuple[float, float]

    @property
    def normal(self) -> Vector:
        """Unit vector, row x column."""
        normal = np.cross(self.row, self.column)
        x, y, z = normal / np.linalg.norm(normal)
        return float(x), float(y), float(z)

    @property
    def axes(self) -> FloatArray:
        """3 x 2: the way from pixel to pixel along x and y."""
        return np.stack([np.multiply(self.row, self.spacing_xy[0]), np.multiply(self.column, self.spacing_xy[1])], 1)

    def points(self, pixels_xy: npt.NDArray[Any]) -> FloatArray:
        """N x 3 places of N x 2 pixel positions."""
        found: FloatArray = np.asarray(self.origin) + np.asarray(pixels_xy, np.float64) @ self.axes.T
        return found

    def pixels(self, points: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """N x 2 pixel positions of N x 3 places, and how far each lies above the plane."""
        whole = np.column_stack([self.axes, self.normal])
        found = (np.asarray(points, np.float64) - self.origin) @ np.linalg.inv(whole).T
        return found[:, :2], found[:, 2]

    def is_same(self, other: Plane) -> bool:
        """Whether pixels of the same numbers lie at the same places, within a share of a pixel."""
        turned = max(math.dist(self.row, other.row), math.dist(self.column, other.column))
        scaled = max(abs(a / b - 1) for a, b in zip(self.spacing_xy, other.spacing_xy, strict=True))
        shift = math.dist(self.origin, other.origin)
        return turned < _SAME_DIRECTION and scaled < _SAME_SHARE and shift < 0.1 * min(self.spacing_xy)

    def to_data(self) -> list[Any]:
        """As plain JSON data."""
        return [self.origin, self.row, self.column, self.spacing_xy]

    @classmethod
    def from_data(cls, data: Sequence[Any]) -> Plane:
        origin, row, column, spacing = data
        return cls(tuple(origin), tuple(row), tuple(column), tuple(spacing))


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Slices at equal steps, some of which may be missing.

    Attributes:
        slots: the place of each slice, counted in steps; count: how many places there are.
        affine: 4 x 4, from (column, row, slot) to millimetres.
        off_mm: how far a slice lies from its place, at most: files round their numbers.
        is_sheared: whether slices do not lie straight above each other.
    """

    slots: tuple[int, ...]
    count: int
    affine: FloatArray
    off_mm: float
    is_sheared: bool


def lattice_of(planes: Sequence[Plane]) -> Lattice:
    """Of slices in their order along the normal; a single one gets a step of 1 mm.

    Raises:
        ValueError: they make none; the message says why, to follow the name of a series.
    """
    first = planes[0]
    for plane in planes[1:]:
        if max(math.dist(first.row, plane.row), math.dist(first.column, plane.column)) > _SAME_DIRECTION:
            raise ValueError("has slices in different directions")
        if any(abs(a / b - 1) > _SAME_SHARE for a, b in zip(first.spacing_xy, plane.spacing_xy, strict=True)):
            raise ValueError("has slices with pixels of different sizes")
    normal, origins = np.asarray(first.normal), np.array([plane.origin for plane in planes], np.float64)
    along = ((origins - origins[0]) @ normal).tolist()
    steps = [b - a for a, b in itertools.pairwise(along)]
    step = median_low(steps) if steps else 1.0
    if step < SAME_MM:
        raise ValueError("has several slices at one place, or not in order")
    slots = [round(place / step) for place in along]
    places = [*zip(along, slots, strict=True)]
    uneven = any(abs(place - slot * step) > _SAME_SHARE * step * max(1, slot) for place, slot in places)
    if uneven or len(set(slots)) < len(slots):
        raise ValueError("has steps of different lengths from slice to slice")
    way = (origins[-1] - origins[0]) / slots[-1] if len(slots) > 1 else normal * step
    off = np.linalg.norm(origins - origins[0] - np.outer(slots, way), axis=1)
    if float(off.max()) > max(SAME_MM, 0.05 * min(*first.spacing_xy, step)):
        raise ValueError("has slices that do not lie on a line")
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = first.axes, way, origins[0]
    sideways = float(np.linalg.norm(way - normal * (way @ normal)))
    return Lattice(tuple(slots), slots[-1] + 1, affine, float(off.max()), sideways > _SAME_SHARE * step)


_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))


def letters_of(direction: Sequence[float]) -> str:
    """Where a direction leads to in the patient: "L", or "LP" where nearly as much to the back; empty: nowhere."""
    ranked = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    most = abs(direction[ranked[0]])
    if most <= 0:
        return ""
    kept = [axis for axis in ranked if abs(direction[axis]) > 0.3 * most]
    return "".join(_LETTERS[axis][direction[axis] < 0] for axis in kept)
