"""The objects of a volume as segments: one for each class, or one for each object through its slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.project import Annotation, Category
from annotator.io.formats.medical.volumes import Volume

BY_CLASS, BY_OBJECT = "class", "object"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One segment.

    Attributes:
        number: from 1; in a label map the number of its pixels.
        name: of its class, and of several objects which one.
        track_id: of its object; 0 for a class, or an object of one slice.
        objects: in the order of ids; by image, those that are in it.
    """

    number: int
    name: str
    category: Category
    track_id: int
    objects: tuple[Annotation, ...]

    @property
    def rgb(self) -> tuple[int, int, int]:
        text = self.category.colour
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def segments_of(
    volume: Volume, objects: Mapping[int, list[Annotation]], categories: Mapping[int, Category], *, by: str
) -> list[Segment]:
    """Of one volume.

    Args:
        objects: by image id.
        by: :data:`BY_CLASS` or :data:`BY_OBJECT`; slices of a track are one object.
    """
    mine = sorted((one for image in volume.images for one in objects.get(image.id, ())), key=lambda one: one.id)
    if by == BY_CLASS:
        place = {category_id: number for number, category_id in enumerate(categories, start=1)}
        groups: dict[tuple[int, int, int], list[Annotation]] = {}
        for one in mine:
            groups.setdefault((one.category_id, 0, 0), []).append(one)
        return [
            Segment(place[category_id], categories[category_id].name, categories[category_id], 0, tuple(members))
            for (category_id, _, _), members in sorted(groups.items(), key=lambda item: place[item[0][0]])
        ]
    groups = {}
    for one in mine:
        # The class is part of it: a track whose slices have different classes is several segments.
        groups.setdefault((one.category_id, one.track_id, 0 if one.track_id else one.id), []).append(one)
    found: list[Segment] = []
    count: dict[int, int] = {}
    for number, ((category_id, track_id, _), members) in enumerate(groups.items(), start=1):
        count[category_id] = count.get(category_id, 0) + 1
        name = f"{categories[category_id].name} {count[category_id]}"
        found.append(Segment(number, name, categories[category_id], track_id, tuple(members)))
    return found


def by_image(segments: Iterable[Segment]) -> dict[int, list[tuple[Segment, Annotation]]]:
    """Segments and their objects by image id, in the order in which they are painted: what was made later lies on
    top."""
    found: dict[int, list[tuple[Segment, Annotation]]] = {}
    for segment in segments:
        for one in segment.objects:
            found.setdefault(one.image_id, []).append((segment, one))
    for several in found.values():
        several.sort(key=lambda pair: pair[1].id)
    return found


def painted(
    members: Iterable[tuple[Segment, Annotation]], width: int, height: int, dtype: npt.DTypeLike
) -> tuple[npt.NDArray[np.unsignedinteger], dict[int, int]]:
    """Height x width numbers of segments, and by number how many pixels others have taken."""
    plane = np.zeros((height, width), dtype)
    lost: dict[int, int] = {}
    for segment, one in members:
        mask = one.mask()
        h, w = mask.bits.shape
        part = plane[mask.y : mask.y + h, mask.x : mask.x + w]
        covered = part[mask.bits]
        for number in np.unique(covered[(covered != 0) & (covered != segment.number)]).tolist():
            lost[number] = lost.get(number, 0) + int(np.count_nonzero(covered == number))
        part[mask.bits] = segment.number
    return plane, lost


def layers_of(segments: list[Segment]) -> dict[int, int]:
    """By number the layer of a segment: segments that share a pixel are in different ones, as few as is easily done."""
    at = by_image(segments)
    clashes: dict[int, set[int]] = {segment.number: set() for segment in segments}
    for members in at.values():
        boxes = [(segment.number, one) for segment, one in members]
        for place, (number, one) in enumerate(boxes):
            for other_number, other in boxes[:place]:
                if other_number != number and other_number not in clashes[number] and _overlap(one, other):
                    clashes[number].add(other_number)
                    clashes[other_number].add(number)
    layers: dict[int, int] = {}
    for segment in segments:
        taken = {layers[other] for other in clashes[segment.number] if other in layers}
        layers[segment.number] = next(layer for layer in range(len(segments)) if layer not in taken)
    return layers


def _overlap(one: Annotation, other: Annotation) -> bool:
    is_apart = (
        one.x + one.w <= other.x or other.x + other.w <= one.x or one.y + one.h <= other.y or other.y + other.h <= one.y
    )
    return not is_apart and one.mask().intersection_area(other.mask()) > 0
