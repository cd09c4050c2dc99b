"""A file of objects that something found, with scores, against a file of objects that are annotated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.evaluate.detections import Found, at_threshold, average_precision, matched
from annotator.io.formats.coco.folder_set import FolderSet, open_folder_set

ALL = "all"
"""The class of everything, when classes do not count."""

Place = tuple[str, int]
"""An image: its path below the folder, and the frame."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well the objects of one class are found, over all images that were asked.

    Attributes:
        objects, found: how many are annotated, and how many are found.
        precision, recall: of what is found with the least score or more, at IoU 0.5; 0..1.
        ap50: average precision at IoU 0.5, interpolated at 101 recalls as COCO does; 0..1.
        best_iou: mean over the annotated objects of the largest IoU with anything found of the class; 0..1.
    """

    objects: int
    found: int
    precision: float
    recall: float
    ap50: float
    best_iou: float


@dataclass(frozen=True, slots=True)
class FoundFigures:
    """Figures by class, in the order of the annotated file, and what was left out, a line for each reason."""

    classes: Mapping[str, ClassFigures]
    images: int
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _File:
    """Masks and scores of a file, by class and image."""

    masks: dict[str, dict[Place, list[Mask]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    scores: dict[str, dict[Place, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))


def found_figures(
    truth: Path, found: Path, images: Path, *, is_class_blind: bool = False, least_score: float = 0.0
) -> FoundFigures:
    """Compare two COCO files on the images that both list. Classes go by name, upper and lower case alike.

    Args:
        found: with a ``score`` an object; one without counts as 1.
        images: the folder of the images of both.
        least_score: for precision and recall; average precision goes over all scores anyway.
        is_class_blind: all objects are of one class, :data:`ALL`.

    Raises:
        ImportFormatError: a file cannot be read, is not COCO, or the annotated one has no object that can be used.
    """
    said, answers = open_folder_set(truth, images), open_folder_set(found, images)
    asked = _places(answers) & _places(said)
    wanted, given = _read(said, is_class_blind), _read(answers, is_class_blind)
    if not wanted.masks:
        raise said.nothing()
    outside = sum(len(m) for by in wanted.masks.values() for place, m in by.items() if place not in asked)
    unknown = {name: sum(map(len, by.values())) for name, by in given.masks.items() if name not in wanted.masks}
    remarks = [
        *(f"annotated: {line}" for line in said.remarks()),
        *(f"found: {line}" for line in answers.remarks()),
        *([f"{counted(outside)} in images that {found.name} does not list"] if outside else []),
        *(
            f"found: {counted(n)} of {name!r}, a class that {truth.name} has no object of"
            for name, n in unknown.items()
        ),
    ]
    places = sorted(asked)
    return FoundFigures(
        {name: _figures(wanted.masks[name], given, name, places, least_score) for name in wanted.masks},
        len(places),
        tuple(remarks),
    )


def _places(file: FolderSet) -> set[Place]:
    return {(image.path, image.frame) for image in file.images.by_id.values()}


def _read(file: FolderSet, is_class_blind: bool) -> _File:
    names = {number: name.casefold() for number, name in file.class_names().items()}
    read = _File()
    for _, item in file.objects():
        name = ALL if is_class_blind or item.category_id is None else names[item.category_id]
        place = (item.image.path, item.image.frame)
        score = item.row.get("score")
        read.masks[name][place].append(item.mask)
        read.scores[name][place].append(float(score) if isinstance(score, int | float) else 1.0)
    return read


def _figures(
    wanted: Mapping[Place, list[Mask]], given: _File, name: str, places: Sequence[Place], least_score: float
) -> ClassFigures:
    masks, scores = given.masks.get(name, {}), given.scores.get(name, {})
    rows: list[Found] = []
    overlaps: list[float] = []
    for place in places:
        true, here = wanted.get(place, []), masks.get(place, [])
        rows.append(matched(here, scores.get(place, []), true))
        overlaps += [max((mask.iou(one) for one in here), default=0.0) for mask in true]
    precision, recall = at_threshold(rows, least_score)
    return ClassFigures(
        sum(row.objects for row in rows),
        sum(len(row.hits) for row in rows),
        precision,
        recall,
        average_precision(rows),
        sum(overlaps) / max(len(overlaps), 1),
    )
