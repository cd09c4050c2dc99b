"""What an adapter is trained and judged on: accepted objects of projects or COCO sets, split by image or series."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.counting import noun_for
from annotator.domain.errors import ImportFormatError, ProjectError, UserError
from annotator.domain.mask import Mask
from annotator.evaluate.objects import EvaluationImage, EvaluationObject, read_evaluation_set
from annotator.io.project.image_folder import is_inside
from annotator.io.project.place import SUFFIX, find_project
from annotator.io.project.soundness import mask_problem
from annotator.io.project.store import ProjectStore
from annotator.train.data.windows import TrainingImage, images_dir

_log = logging.getLogger(__name__)

GROUP_KEYS = ("PatientID", "patient_id", "patient", "SeriesInstanceUID", "series_id", "series", "group")
"""Fields of an image that say which images belong together: they never stand on both sides of a split."""
LEAST_AREA_PX = 16
MOST_SHARE = 0.9
"""Objects that fill (almost) the whole image have no border to learn, and no window shows one."""
VALIDATION_SHARE = 0.1
LEAST_FOR_VALIDATION = 6
"""Groups that training must have before some of them are set aside for early stopping."""


@dataclass(frozen=True, slots=True)
class Source:
    """A project or a COCO set.

    Attributes:
        name: of the folder or project.
        objects: accepted ones, crowds left out.
        groups: by image id, what the image belongs to (patient, series); the image itself where nothing is known.
        digest: SHA-256 of the annotations; it names results, so it is the same wherever the images lie.
    """

    name: str
    objects: tuple[EvaluationObject, ...]
    groups: Mapping[int, str]
    digest: str

    def training_digest(self) -> str:
        """SHA-256 of all that decides a training: the annotations, the images' groups and their files as they are now.

        Raises:
            ImportFormatError: an image is not there any more.
        """
        images = {item.image.id: item.image for item in self.objects}
        facts = [(image_id, self.groups[image_id], *_file_facts(image.path)) for image_id, image in images.items()]
        return hashlib.sha256(repr((self.digest, sorted(facts))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Split:
    """Objects by purpose: learned from, stopped early by (may be empty), and judged on. No group is in two of them."""

    train: tuple[EvaluationObject, ...]
    validation: tuple[EvaluationObject, ...]
    held_back: tuple[EvaluationObject, ...]

    def learned_digest(self) -> str:
        """SHA-256 of which objects are learned from and stopped by."""
        sides = [[(item.image.file_name, item.id) for item in side] for side in (self.train, self.validation)]
        return hashlib.sha256(repr(sides).encode()).hexdigest()

    def describe(self) -> str:
        """In counts, for the adapter's card."""
        parts = ((self.train, "trained on"), (self.validation, "stopped by"), (self.held_back, "judged on"))
        return ", ".join(f"{what} {_amount(o)}" for o, what in parts if o)


def read_source(path: Path) -> Source:
    """A project (file or folder) or a COCO set (a folder with ``annotations.json``, or the JSON itself).

    Raises:
        UserError: it is neither, or cannot be read, or holds no objects.
    """
    if path.suffix == SUFFIX:
        return _read_project(path)
    if path.suffix == ".json":
        return _read_coco(path, path.parent)
    if not path.is_dir():
        raise ImportFormatError(
            f"There is no project or COCO set {brief(path)}.", "Name a folder, a .annot or a .json file."
        )
    if (path / "annotations.json").is_file():
        return _read_coco(path / "annotations.json", path)
    project = find_project(path)
    if project is None:
        raise ImportFormatError(
            f"{brief(path)} holds neither a project nor annotations.json.", "Open it first, or import."
        )
    return _read_project(project)


def _read_coco(file: Path, folder: Path) -> Source:
    found = read_evaluation_set(file, images_dir(folder))
    for line in found.remarks:
        _log.warning("%s: %s", file, line)
    groups = {item.image.id: _group(found.image_rows[item.image.id], item.image) for item in found.objects}
    return Source(folder.resolve().name, found.objects, groups, found.sha256)


def _read_project(path: Path) -> Source:
    objects: list[EvaluationObject] = []
    groups: dict[int, str] = {}
    digest = hashlib.sha256()
    with ProjectStore.open(path, read_only=True) as store:
        for record in store.images():
            if not is_inside(record.path):
                _log.warning("%s: %r is left out: that path leaves the image folder", path, record.path)
                continue
            for annotation in store.annotations(record.id):
                if annotation.is_crowd:
                    continue
                if problem := mask_problem(annotation):
                    _log.warning("%s: object %s is left out: %s", path, annotation.id, problem)
                    continue
                width, height = annotation.image_width, annotation.image_height
                image = EvaluationImage(record.id, record.name, store.image_path(record), width, height, record.frame)
                segmentation = {"size": [height, width], "counts": annotation.rle.decode("ascii")}
                objects.append(EvaluationObject(annotation.id, image, segmentation))
                groups[record.id] = _group(record.extra, image)
                digest.update(f"{record.name} {annotation.id}".encode() + annotation.rle)
    if not objects:
        raise ProjectError(f"{brief(path.name)} holds no accepted objects.", "Label some images first.")
    return Source(path.stem, tuple(objects), groups, digest.hexdigest())


def _group(extra: Mapping[str, Any], image: EvaluationImage) -> str:
    attributes = extra.get("attributes")
    for fields in (extra, attributes if isinstance(attributes, Mapping) else {}):
        for key in GROUP_KEYS:
            if fields.get(key):
                return f"{key}={fields[key]}"
    return _alone(image)


def _alone(image: EvaluationImage) -> str:
    """The group of an image that belongs to none."""
    return f"image={image.file_name}"


def _file_facts(path: Path) -> tuple[int, int]:
    try:
        file = path.stat()
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the set.") from error
    return file.st_size, file.st_mtime_ns


def split(sources: Sequence[Source], *, held_back: float = 0.2, max_images: int | None = None, seed: int = 0) -> Split:
    """Divide every source by groups, in an order that depends on their names and the seed only.

    What one source holds back, a group or an image's file, no other one learns from; the same goes for what is stopped
    by.

    Args:
        held_back: share of the groups that is judged on, 0..1; at least one group each.
        max_images: of training (and validation) of all sources together, in turns; what is judged on stays the same.

    Raises:
        UserError: a source has one group only, or there is nothing left to learn from.
    """
    orders = [_order(source, seed) for source in sources]
    counts = [min(len(names) - 1, max(1, math.ceil(held_back * len(names)))) for names in orders]
    judged = [_of_groups(source, names[:n]) for source, names, n in zip(sources, orders, counts, strict=True)]
    left = [_of_groups(source, names[n:]) for source, names, n in zip(sources, orders, counts, strict=True)]
    if len(sources) > 1:
        left = _without(sources, left, judged)
    if max_images is not None:
        left = _first_images(sources, orders, left, max_images)
    train, validation = [], []
    for source, names, objects in zip(sources, orders, left, strict=True):
        present = {source.groups[item.image.id] for item in objects}
        kept = [name for name in names if name in present]
        aside = max(1, round(VALIDATION_SHARE * len(kept))) if len(kept) >= LEAST_FOR_VALIDATION else 0
        chosen = set(kept[:aside])
        validation.append([item for item in objects if source.groups[item.image.id] in chosen])
        train.append([item for item in objects if source.groups[item.image.id] not in chosen])
    if len(sources) > 1:
        train = _without(sources, train, validation)
    if not any(train):
        raise UserError(
            "No image is left to learn from: each is held back, or stopped by, in one source or another.",
            "Name fewer sources that share images, or add images.",
        )
    return Split(*(tuple(item for objects in side for item in objects) for side in (train, validation, judged)))


def _order(source: Source, seed: int) -> list[str]:
    names = sorted(set(source.groups.values()), key=lambda n: hashlib.sha256(f"{seed} {n}".encode()).digest())
    if len(names) < 2:
        raise UserError(
            f"{brief(source.name)} has objects in one image (or series) only.",
            "Label at least one more: an adapter is judged on images that it was not trained on.",
        )
    return names


def _of_groups(source: Source, names: Collection[str]) -> list[EvaluationObject]:
    chosen = set(names)
    return [item for item in source.objects if source.groups[item.image.id] in chosen]


Sides = list[list[EvaluationObject]]
"""Objects by source."""


def _without(sources: Sequence[Source], objects: Sides, taken: Sides) -> Sides:
    """The objects that share neither a group nor an image's file with those that are taken, over any source."""
    marks = {id(item): _marks(source, item) for source in sources for item in source.objects}
    found = {mark for side in taken for item in side for mark in marks[id(item)]}
    size = 0
    while len(found) != size:  # a file of a taken group may belong, in another source, to one more group
        size = len(found)
        found.update(mark for own in marks.values() if not own.isdisjoint(found) for mark in own)
    return [[item for item in side if marks[id(item)].isdisjoint(found)] for side in objects]


def _marks(source: Source, item: EvaluationObject) -> frozenset[str]:
    """What names an object's image in every source: its file, and its group where that is more than a file's name."""
    group = source.groups[item.image.id]
    file = f"file={item.image.path.resolve()}"
    return frozenset((file,)) if group == _alone(item.image) else frozenset((file, group))


def _first_images(sources: Sequence[Source], orders: Sequence[Sequence[str]], left: Sides, most: int) -> Sides:
    """The objects in the first ``most`` images: in the groups' order, the sources in turns."""
    lines = []
    for source, names, objects in zip(sources, orders, left, strict=True):
        place = {name: number for number, name in enumerate(names)}
        images = {
            (place[source.groups[item.image.id]], item.image.file_name, item.image.path.resolve()) for item in objects
        }
        lines.append([path for *_, path in sorted(images)])
    turns = [path for turn in zip_longest(*lines) for path in turn if path is not None]
    chosen = set(list(dict.fromkeys(turns))[:most])
    return [[item for item in objects if item.image.path.resolve() in chosen] for objects in left]


def training_images(objects: Iterable[EvaluationObject], set_name: str) -> list[TrainingImage]:
    """Images with their decoded masks; objects of a few pixels and those that fill the image are left out.

    Raises:
        UserError: nothing is left. ImportFormatError: a segmentation is damaged.
    """
    by_frame: dict[tuple[Path, int], list[Mask]] = {}
    for item in objects:
        mask = item.mask()
        if LEAST_AREA_PX <= mask.area <= MOST_SHARE * mask.width * mask.height:
            by_frame.setdefault((item.image.path, item.image.frame), []).append(mask)
    if not by_frame:
        raise UserError(
            f"{brief(set_name)} holds no objects to learn from ({LEAST_AREA_PX} pixels or more, not the whole image).",
            "Label some first.",
        )
    return [TrainingImage(path, set_name, tuple(masks), frame) for (path, frame), masks in by_frame.items()]


def image_count(objects: Iterable[EvaluationObject]) -> int:
    return len({(item.image.path, item.image.frame) for item in objects})


def _amount(objects: Sequence[EvaluationObject]) -> str:
    images = image_count(objects)
    return f"{len(objects)} {noun_for(len(objects), 'object')} in {images} {noun_for(images, 'image')}"
