"""Checks of the objects of one image: pairs that share pixels, and shapes that nobody draws on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely

from annotator.domain.checks.finding import Finding, mark_of
from annotator.domain.mask import Mask


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """From where on something is reported.

    Attributes:
        overlap: share of the smaller one's pixels that two objects have in common.
        contained: the same, from which on it lies inside.
        duplicate: IoU.
        speck_px: objects of fewer pixels.
        part: share of an object's pixels up to which a part or a hole of it is small.
    """

    overlap: float = 0.1
    contained: float = 0.95
    duplicate: float = 0.8
    speck_px: int = 10
    part: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class CheckedObject:
    """An object as the checks see it; ``rle`` names its pixels."""

    id: int
    category_id: int
    mask: Mask
    rle: bytes
    score: float | None = None
    is_crowd: bool = False


def check_objects(
    image_id: int, objects: Sequence[CheckedObject], names: Mapping[int, str], limits: CheckLimits
) -> Iterator[Finding]:
    """What is wrong with the objects of one image.

    Args:
        names: of the classes, by id.
    """
    yield from _pairs(image_id, [one for one in objects if not one.is_crowd], names, limits)
    for one in objects:
        for check, value, text in _shape(one.mask, limits):
            yield Finding(check, image_id, (one.id,), value, text, mark_of(check, image_id, (one.id,), (one.rle,)))


# --- pairs ----------------------------------------------------------------------------------------------------------


def _pairs(
    image_id: int, objects: list[CheckedObject], names: Mapping[int, str], limits: CheckLimits
) -> Iterator[Finding]:
    if len(objects) < 2:
        return
    x, y, w, h = np.array([one.mask.bbox_xywh for one in objects], np.float64).T
    # Half a pixel less on every side: boxes that only touch share no pixel.
    boxes = shapely.box(x + 0.25, y + 0.25, x + w - 0.25, y + h - 0.25)
    first, second = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        if a < b:
            found = _pair(image_id, objects[a], objects[b], names, limits)
            if found is not None:
                yield found


def _pair(
    image_id: int, a: CheckedObject, b: CheckedObject, names: Mapping[int, str], limits: CheckLimits
) -> Finding | None:
    shared = a.mask.intersection_area(b.mask)
    if not shared:
        return None
    small, large = sorted((a, b), key=lambda one: (one.mask.area, one.id))
    share, iou = shared / small.mask.area, shared / (a.mask.area + b.mask.area - shared)
    classes = f"{names.get(small.category_id, '?')} and {names.get(large.category_id, '?')}"
    if iou >= limits.duplicate:
        # The one that the model trusted less goes; of two alike the later one.
        worse, better = sorted((a, b), key=lambda one: (-1.0 if one.score is None else one.score, -one.id))
        return _finding("duplicate", image_id, (worse, better), iou, f"{classes} are the same by {iou:.0%}")
    if share >= limits.contained:
        return _finding("contained", image_id, (large, small), share, f"{classes}: {share:.0%} of the first inside")
    if share >= limits.overlap:
        return _finding("overlap", image_id, (large, small), share, f"{classes} share {share:.0%} of the smaller")
    return None


def _finding(check: str, image_id: int, pair: tuple[CheckedObject, CheckedObject], value: float, text: str) -> Finding:
    ids = tuple(one.id for one in pair)
    return Finding(check, image_id, ids, value, text, mark_of(check, image_id, ids, [one.rle for one in pair]))


# --- shapes ---------------------------------------------------------------------------------------------------------


def _shape(mask: Mask, limits: CheckLimits) -> Iterator[tuple[str, float, str]]:
    """(check, value, text) of one mask."""
    if mask.area < limits.speck_px:
        yield "speck", mask.area, f"{mask.area} px"
        return
    bits = np.pad(mask.bits, 1).astype(np.uint8)
    if float(cv2.distanceTransform(bits, cv2.DIST_C, 3).max()) < 2:
        yield "sliver", mask.area, f"{mask.area} px, nowhere wider than 2"
        return
    yield from _parts(mask, bits, limits)
    holes, hole_px = small_holes(mask, limits.part)
    if holes:
        yield "holes", hole_px, f"{holes} of together {hole_px} px"
    x, y, w, h = mask.bbox_xywh
    if x == 0 or y == 0 or x + w == mask.width or y + h == mask.height:
        yield "border", mask.area, "ends at the border"


def _parts(mask: Mask, bits: np.ndarray, limits: CheckLimits) -> Iterator[tuple[str, float, str]]:
    count, _, facts, centres = cv2.connectedComponentsWithStats(bits, connectivity=8)
    if count <= 2:
        return
    areas = facts[1:, cv2.CC_STAT_AREA]
    small = areas <= limits.part * mask.area
    if small.any():
        yield "islands", int(areas[small].sum()), f"{int(small.sum())} of together {int(areas[small].sum())} px"
    main = int(areas.argmax())
    far = []
    for at in np.flatnonzero(~small).tolist():
        distance = float(np.hypot(*(centres[1:][at] - centres[1:][main])))
        # Two discs that touch are their radii apart; four of them leave a gap as large as both.
        reach = 2 * (np.sqrt(areas[at] / np.pi) + np.sqrt(areas[main] / np.pi))
        if at != main and distance > reach:
            far.append(distance)
    if far:
        yield "apart", max(far), f"{len(far)} up to {max(far):.0f} px away"


def small_holes(mask: Mask, part: float) -> tuple[int, int]:
    """Number and pixels of the holes that are no more than this share of the mask."""
    labels, small, areas = _holes(mask, part)
    del labels
    return len(small), int(areas)


def without_small_holes(mask: Mask, part: float) -> Mask:
    """The mask with its small holes filled."""
    labels, small, _ = _holes(mask, part)
    bits = mask.bits | np.isin(labels, small)[1:-1, 1:-1]
    return Mask(bits, mask.x, mask.y, mask.width, mask.height).tight()


def _holes(mask: Mask, part: float) -> tuple[np.ndarray, list[int], int]:
    """Labels of the ground (padded by 1), which of them are small holes, and their pixels."""
    ground = np.pad(~mask.bits, 1, constant_values=True).astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(ground, connectivity=4)
    outside = int(labels[0, 0])
    areas = facts[:, cv2.CC_STAT_AREA]
    small = [at for at in range(1, count) if at != outside and areas[at] <= part * mask.area]
    return labels, small, int(areas[small].sum())


def without_islands(mask: Mask, part: float) -> Mask:
    """The mask without parts that are no more than this share of it; the largest stays."""
    bits = mask.bits.astype(np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(bits, connectivity=8)
    areas = facts[1:, cv2.CC_STAT_AREA]
    stay = [at + 1 for at in range(len(areas)) if areas[at] > part * mask.area or at == int(areas.argmax())]
    return Mask(np.isin(labels, stay), mask.x, mask.y, mask.width, mask.height).tight()
