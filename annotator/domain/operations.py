"""Operations on a whole mask: holes, parts, smoothness, size. Pixels belong together when they share an edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain import outline as outlines
from annotator.domain.mask import BoolArray, Mask
from annotator.domain.outline import Outline

MOST_PX = 256
"""The largest amount in pixels of length."""
MOST_AREA_PX = 10_000_000
_Bytes = npt.NDArray[np.uint8]


class OperationKind(StrEnum):
    """What is done. The values stand in project files."""

    FILL_HOLES = "fill holes"
    KEEP_LARGEST = "keep largest part"
    DROP_ISLANDS = "drop islands"
    SMOOTH = "smooth"
    GROW = "grow"
    SHRINK = "shrink"
    INVERT = "invert"
    SUBTRACT = "subtract"
    SIMPLIFY = "simplify"
    RESHAPE = "reshape"
    OUTLINE = "outline"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step over a mask, among the strokes of an object.

    Attributes:
        amount: by how many pixels it smooths, grows or shrinks; which islands are too small, in pixels of area; else 0.
        other: what is taken away, of ``SUBTRACT``.
        rings: of ``RESHAPE`` a ring near the edge and what it becomes, and so on; of ``OUTLINE`` all that the mask is.
        after: how many clicks were made before it.

    Raises:
        ValueError: an amount out of range, or none where one is needed.
    """

    kind: OperationKind
    amount: int = 0
    other: Mask | None = None
    after: int = 0
    rings: Outline = ()

    def __post_init__(self) -> None:
        least, most = AMOUNTS.get(self.kind, (0, 0))
        if not least <= self.amount <= most:
            raise ValueError(f"{self.kind.value} by {self.amount}")
        if (self.other is not None) is not (self.kind is OperationKind.SUBTRACT):
            raise ValueError("what is to be taken away?")
        if bool(self.rings) is not (self.kind in (OperationKind.RESHAPE, OperationKind.OUTLINE)):
            raise ValueError("what is the outline?")
        if self.kind is OperationKind.RESHAPE and len(self.rings) % 2:
            raise ValueError("a ring that becomes none")

    is_positive = False
    """It makes no object of nothing."""
    is_area = False

    def covers(self, x: float, y: float) -> bool:
        """A click never takes an operation away."""
        return False

    def applied(self, mask: Mask) -> Mask:
        """The mask after it, tight."""
        return _OPERATIONS[self.kind](mask.tight(), self)

    def to_json(self) -> dict[str, Any]:
        """Plain data: ``operation``, ``amount``, ``after``, and of what is taken away ``size`` [height, width] and
        ``counts``."""
        other = self.other
        runs = {} if other is None else {"size": [other.height, other.width], "counts": other.rle().decode("ascii")}
        rings = {"rings": outlines.to_json(self.rings)} if self.rings else {}
        return {"operation": self.kind.value, "amount": self.amount, "after": self.after, **runs, **rings}

    @classmethod
    def from_json(cls, data: dict[str, Any], *, max_crop_bytes: int = 512 << 20) -> Operation:
        """Raises:
        ValueError, TypeError, AttributeError, OverflowError: the data are damaged.
        """
        other = None
        if data.get("counts"):
            height, width = (int(side) for side in data.get("size") or ())
            other = Mask.from_rle(str(data["counts"]), width, height, max_crop_bytes=max_crop_bytes)
        kind = OperationKind(str(data.get("operation")))
        rings = outlines.from_json(data.get("rings") or ())
        return cls(kind, int(data.get("amount") or 0), other, int(data.get("after") or 0), rings)


AMOUNTS: Mapping[OperationKind, tuple[int, int]] = {
    OperationKind.DROP_ISLANDS: (2, MOST_AREA_PX),
    OperationKind.SMOOTH: (1, MOST_PX),
    OperationKind.GROW: (1, MOST_PX),
    OperationKind.SHRINK: (1, MOST_PX),
    OperationKind.SIMPLIFY: (1, 64),
}
"""Least and largest amount; an operation that is not here has none."""


def parts(mask: Mask) -> tuple[Mask, ...]:
    """The connected parts, largest first, equal ones by their first pixel."""
    tight = mask.tight()
    if tight.is_empty:
        return ()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(_bytes(tight.bits), connectivity=4)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        bits = labels[y : y + height, x : x + width] == label
        found.append((area, Mask(bits, tight.x + x, tight.y + y, mask.width, mask.height)))
    return tuple(part for _, part in sorted(found, key=lambda one: -one[0]))


# --- one by one -----------------------------------------------------------------------------------------------------


def _fill_holes(mask: Mask, _operation: Operation) -> Mask:
    if mask.is_empty:
        return mask
    background = np.ones((mask.bits.shape[0] + 2, mask.bits.shape[1] + 2), np.uint8)
    background[1:-1, 1:-1] = ~mask.bits
    cv2.floodFill(background, None, (0, 0), 0, flags=4)
    return _like(mask, mask.bits | background[1:-1, 1:-1].astype(np.bool_))


def _keep_largest(mask: Mask, _operation: Operation) -> Mask:
    found = parts(mask)
    return found[0] if found else mask


def _drop_islands(mask: Mask, operation: Operation) -> Mask:
    if mask.is_empty:
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_bytes(mask.bits), connectivity=4)
    stays = stats[:, cv2.CC_STAT_AREA] >= operation.amount
    stays[0] = False
    return _like(mask, stays[labels])


def _smooth(mask: Mask, operation: Operation) -> Mask:
    """A soft brush over the edge: what is more than half inside stays. The rim of the image counts as it is."""
    if mask.is_empty:
        return mask
    room = 2 * operation.amount + 2
    framed, x0, y0 = _framed(mask, room)
    soft = cv2.GaussianBlur(framed * 255, (0, 0), float(operation.amount), borderType=cv2.BORDER_REPLICATE)
    return Mask(np.asarray(soft) > 127, x0, y0, mask.width, mask.height).tight()


def _grow(mask: Mask, operation: Operation) -> Mask:
    if mask.is_empty:
        return mask
    framed, x0, y0 = _framed(mask, operation.amount)
    reach = np.asarray(cv2.distanceTransform(1 - framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    return Mask(reach <= operation.amount + 1e-3, x0, y0, mask.width, mask.height).tight()


def _shrink(mask: Mask, operation: Operation) -> Mask:
    """From all sides but the rim of the image, where nobody knows how it goes on."""
    if mask.is_empty:
        return mask
    framed, x0, y0 = _framed(mask, 1)
    reach = np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    return Mask(reach > operation.amount + 1e-3, x0, y0, mask.width, mask.height).tight()


def _invert(mask: Mask, _operation: Operation) -> Mask:
    return _like(mask, ~mask.bits)


def _subtract(mask: Mask, operation: Operation) -> Mask:
    other = operation.other
    if other is None or (other.width, other.height) != (mask.width, mask.height):
        return mask
    return mask.subtract(other)


def simplified(mask: Mask, tolerance_px: float) -> Outline:
    """An outline with fewer corners, however much of the mask it keeps."""
    return outlines.outline_of(mask, tolerance_px=tolerance_px, min_iou=0.0)


def _simplify(mask: Mask, operation: Operation) -> Mask:
    return outlines.area_of(simplified(mask, operation.amount), mask.width, mask.height)


def _reshape(mask: Mask, operation: Operation) -> Mask:
    for before, after in zip(operation.rings[0::2], operation.rings[1::2], strict=True):
        mask = outlines.reshaped(mask, before, after)
    return mask


def _outline(mask: Mask, operation: Operation) -> Mask:
    return outlines.area_of(operation.rings, mask.width, mask.height)


_OPERATIONS: Mapping[OperationKind, Callable[[Mask, Operation], Mask]] = {
    OperationKind.FILL_HOLES: _fill_holes,
    OperationKind.KEEP_LARGEST: _keep_largest,
    OperationKind.DROP_ISLANDS: _drop_islands,
    OperationKind.SMOOTH: _smooth,
    OperationKind.GROW: _grow,
    OperationKind.SHRINK: _shrink,
    OperationKind.INVERT: _invert,
    OperationKind.SUBTRACT: _subtract,
    OperationKind.SIMPLIFY: _simplify,
    OperationKind.RESHAPE: _reshape,
    OperationKind.OUTLINE: _outline,
}


def _bytes(bits: BoolArray) -> _Bytes:
    return np.ascontiguousarray(bits).view(np.uint8)


def _like(mask: Mask, bits: BoolArray) -> Mask:
    return Mask(bits, mask.x, mask.y, mask.width, mask.height).tight()


def _framed(mask: Mask, room_px: int) -> tuple[_Bytes, int, int]:
    """The crop with room around it, as far as the image goes, and its place (x, y)."""
    height, width = mask.bits.shape
    x0, y0 = max(0, mask.x - room_px), max(0, mask.y - room_px)
    x1, y1 = min(mask.width, mask.x + width + room_px), min(mask.height, mask.y + height + room_px)
    plane = np.zeros((y1 - y0, x1 - x0), np.uint8)
    plane[mask.y - y0 : mask.y - y0 + height, mask.x - x0 : mask.x - x0 + width] = mask.bits
    return plane, x0, y0


# --- cutting --------------------------------------------------------------------------------------------------------


def cut(mask: Mask, line: tuple[tuple[float, float], ...]) -> tuple[Mask, ...]:
    """What a line (image positions) parts a mask into, largest first; no pixel is lost.

    Islands that the line does not part stay with the largest piece; so one mask comes back where nothing is parted.
    """
    tight = mask.tight()
    if tight.is_empty or len(line) < 2:
        return () if tight.is_empty else (tight,)
    barrier = np.zeros(tight.bits.shape, np.uint8)
    points = np.floor(np.array(line, np.float64) - (tight.x, tight.y)).astype(np.int32)
    # A line of single pixels with steps over corners holds back what is joined by edges.
    cv2.polylines(barrier, [points[:, None]], False, 1, 1, cv2.LINE_8)
    cut_off = _bytes(tight.bits & (barrier == 0))
    count, found_labels = cv2.connectedComponents(cut_off, connectivity=4)
    labels = np.asarray(found_labels, np.int32)
    if count <= 2:
        return (tight,)
    on_line = tight.bits & (barrier != 0)
    _, nearest = cv2.distanceTransformWithLabels(1 - cut_off, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    seeds = np.zeros(int(nearest.max()) + 1, np.int32)
    inside = cut_off.view(np.bool_)
    seeds[nearest[inside]] = labels[inside]
    labels[on_line] = seeds[nearest[on_line]]
    found = [Mask(bits, tight.x, tight.y, mask.width, mask.height).tight() for bits in _sides(tight, labels)]
    return tuple(sorted(found, key=lambda part: -part.area))


def _sides(mask: Mask, labels: npt.NDArray[np.int32]) -> list[BoolArray]:
    """The pieces of parts that were parted; the largest of them with everything else."""
    _, whole = cv2.connectedComponents(_bytes(mask.bits), connectivity=4)
    numbers, first, areas = np.unique(labels[mask.bits], return_index=True, return_counts=True)
    parts_of = whole[mask.bits][first]
    is_broken = np.isin(parts_of, [part for part in np.unique(parts_of) if (parts_of == part).sum() > 1])
    if not is_broken.any():
        return [mask.bits]
    main = numbers[is_broken][areas[is_broken].argmax()]
    sides = [labels == number for number in numbers[is_broken] if number != main]
    return [mask.bits & ~np.logical_or.reduce(sides), *sides]


def union(masks: tuple[Mask, ...], *, width: int, height: int) -> Mask:
    """All of them together; memory follows the frame around them."""
    there = [mask for mask in masks if not mask.is_empty]
    if not there:
        return Mask.empty(width, height)
    x0, y0 = min(mask.x for mask in there), min(mask.y for mask in there)
    x1 = max(mask.x + mask.bits.shape[1] for mask in there)
    y1 = max(mask.y + mask.bits.shape[0] for mask in there)
    plane = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for mask in there:
        rows, columns = mask.bits.shape
        plane[mask.y - y0 : mask.y - y0 + rows, mask.x - x0 : mask.x - x0 + columns] |= mask.bits
    return Mask(plane, x0, y0, width, height).tight()
