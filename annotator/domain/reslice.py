"""Cuts through a stack of slices in all three directions, as thin planes or thick slabs. Pure.

A stack is an array of (place along the normal, row, column); the places of missing slices stay empty. Directions are
those of the patient (LPS) where they are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask
from annotator.domain.planes import FloatArray, Plane, lattice_of, letters_of

MAX_BYTES = 256 << 20
"""Of a stack in memory: wider slices are thinned out to every second pixel, or every third, and so on."""
_FEW_GAPS = 2
Place = tuple[int, int, int]
"""(place along the normal, row, column)."""


class Slab(StrEnum):
    """What stands for the values of a thick slab."""

    MAX = "max"
    MEAN = "mean"
    MIN = "min"


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where the places of a stack lie.

    Attributes:
        slots: the place along the normal of each slice; counted from 0.
        steps: size of a place along the three axes; in millimetres where ``is_mm``, else 1 for what is not known.
        directions: 3 x 3, unit vectors of the three axes in the patient; None where that is not known.
        is_tilted: slices do not lie straight above each other, so that cuts across them are sheared.
    """

    slots: tuple[int, ...]
    steps: tuple[float, float, float]
    directions: FloatArray | None = None
    is_mm: bool = False
    is_tilted: bool = False

    @property
    def count(self) -> int:
        """Places along the normal."""
        return self.slots[-1] + 1


def space_of(
    count: int, planes: list[Plane] | None, spacing: tuple[float, float] | None, step_mm: float | None
) -> Space:
    """Of a series of ``count`` slices in order.

    Args:
        planes: where each lies; None where that is not known of all.
        spacing: of a pixel (x, y), and ``step_mm`` from slice to slice, where only they are known.
    """
    in_order = tuple(range(count))
    if planes is not None and len(planes) == count > 1:
        first = planes[0]
        way = np.subtract(planes[-1].origin, first.origin)
        along = first.normal if float(way @ np.asarray(first.normal)) >= 0 else tuple(-one for one in first.normal)
        directions = np.array([along, first.column, first.row], np.float64)
        right, down = first.spacing_xy
        mean = abs(float(way @ np.asarray(first.normal))) / (count - 1)
        try:
            lattice = lattice_of(planes)
        except ValueError:
            return Space(in_order, (max(mean, 1e-6), down, right), directions, True)
        step = float(lattice.affine[:3, 2] @ np.asarray(first.normal))
        slots = lattice.slots if lattice.count <= _FEW_GAPS * count else in_order
        return Space(slots, (abs(step), down, right), directions, True, lattice.is_sheared)
    is_mm = spacing is not None and step_mm is not None
    right, down = spacing or (1.0, 1.0)
    return Space(in_order, (step_mm or 1.0, down, right), None, is_mm)


@dataclass(frozen=True, slots=True)
class View:
    """How the cut across an axis is laid out.

    Attributes:
        axis: which it cuts across; vertical, horizontal: the others.
        flips_v, flips_h: whether they run upward, or to the left.
        name: of the plane, for people.
        letters: where left, right, top and bottom lead in the patient; empty where that is not known.
    """

    axis: int
    vertical: int
    horizontal: int
    flips_v: bool = False
    flips_h: bool = False
    name: str = ""
    letters: tuple[str, str, str, str] = ("", "", "", "")

    def laid_out(self, cut: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A cut, whose axes are in the order of the stack's, as it is shown."""
        shown = cut.swapaxes(0, 1) if self.vertical > self.horizontal else cut
        shown = shown[::-1] if self.flips_v else shown
        return shown[:, ::-1] if self.flips_h else shown

    def place_at(self, across: float, down: float, at: Place, shape: Place) -> Place:
        """The place under a point of the view, given as shares (0..1) of its width and height."""
        found = list(at)
        for axis, share, flips in (
            (self.horizontal, across, self.flips_h),
            (self.vertical, down, self.flips_v),
        ):
            index = int((1.0 - share if flips else share) * shape[axis])
            found[axis] = min(max(index, 0), shape[axis] - 1)
        return found[0], found[1], found[2]

    def shares_of(self, at: Place, shape: Place) -> tuple[float, float]:
        """Where a place is in the view, as shares of its width and height."""
        across = (at[self.horizontal] + 0.5) / shape[self.horizontal]
        down = (at[self.vertical] + 0.5) / shape[self.vertical]
        return 1.0 - across if self.flips_h else across, 1.0 - down if self.flips_v else down


_NAMES = ("Sagittal", "Coronal", "Axial")
_PLAIN_NAMES = ("Slice", "Rows", "Columns")


def views_of(space: Space) -> tuple[View, View, View]:
    """One across each axis: as radiologists look at them where directions are known (the right at the left, the front
    or the head above), else as the stack lies."""
    found = []
    for axis in range(3):
        first, second = (other for other in range(3) if other != axis)
        if space.directions is None:
            found.append(View(axis, first, second, name=_PLAIN_NAMES[axis]))
            continue
        main = [int(np.abs(direction).argmax()) for direction in space.directions]
        # Upright stands what leads to the feet, else to the back.
        vertical, horizontal = (first, second) if main[first] > main[second] else (second, first)
        down, right = space.directions[vertical], space.directions[horizontal]
        flips_v = bool(down[main[vertical]] > 0 if main[vertical] == 2 else down[main[vertical]] < 0)
        flips_h = bool(right[main[horizontal]] < 0)
        down, right = -down if flips_v else down, -right if flips_h else right
        left, to_right, top, bottom = (letters_of(one.tolist()) for one in (-right, right, -down, down))
        found.append(
            View(axis, vertical, horizontal, flips_v, flips_h, _NAMES[main[axis]], (left, to_right, top, bottom))
        )
    return found[0], found[1], found[2]


def thinning(count: int, size_wh: tuple[int, int], item_bytes: int, *, limit: int = MAX_BYTES) -> int:
    """Every how many pixels of a slice are kept, so that a stack fits into ``limit`` bytes."""
    step = 1
    while count * -(-size_wh[0] // step) * -(-size_wh[1] // step) * item_bytes > limit:
        step += 1
    return step


def cut_through(
    values: npt.NDArray[Any], is_filled: npt.NDArray[np.bool_], axis: int, at: int, *, reach: int = 0, slab: Slab
) -> npt.NDArray[Any]:
    """The plane at an index of an axis, or what a slab of ``reach`` places to both sides of it shows.

    Args:
        values: places x rows x columns; is_filled: which places have their slice.
    """
    low, high = max(0, at - reach), min(values.shape[axis], at + reach + 1)
    part: npt.NDArray[Any]
    if axis == 0:
        chosen = [place for place in range(low, high) if is_filled[place]]
        part = values[chosen] if chosen else values[at : at + 1]
    else:
        part = values[:, low:high] if axis == 1 else values[:, :, low:high]
    if part.shape[axis] == 1:
        return np.ascontiguousarray(part.take(0, axis))
    if slab is Slab.MEAN:
        mean: npt.NDArray[Any] = np.asarray(part.mean(axis, dtype=np.float32))
        return mean if values.dtype.kind == "f" else np.rint(mean).astype(values.dtype)
    return np.asarray(part.max(axis) if slab is Slab.MAX else part.min(axis))


def painted(
    shape: Place, thin: int, axis: int, at: int, objects: Iterable[tuple[int, int, Mask]]
) -> npt.NDArray[np.uint8]:
    """The objects that a plane cuts, as numbers; later ones lie over earlier ones.

    Args:
        shape: of the stack, whose slices keep every ``thin``-th pixel.
        objects: (place along the normal, number from 1 to 255, mask).
    """
    rest = [shape[other] for other in range(3) if other != axis]
    found = np.zeros(rest, np.uint8)
    for place, number, mask in objects:
        rows, columns = _kept(mask.y, mask.bits.shape[0], thin), _kept(mask.x, mask.bits.shape[1], thin)
        bits = mask.bits[rows.start * thin - mask.y :: thin, columns.start * thin - mask.x :: thin]
        if axis == 0 and place == at:
            found[rows, columns][bits] = number
        elif axis == 1 and rows.start <= at < rows.stop:
            found[place, columns][bits[at - rows.start]] = number
        elif axis == 2 and columns.start <= at < columns.stop:
            found[place, rows][bits[:, at - columns.start]] = number
    return found


def _kept(start: int, length: int, thin: int) -> slice:
    """Of places that begin at ``start``: the indices of those that are kept."""
    return slice(-(-start // thin), -(-(start + length) // thin))
