"""YOLO segmentation: ``data.yaml`` and a text file per image, as ultralytics trains on.

A row of a label file is a class index and one polygon, x and y as shares of the image's width and height. Several parts
and holes become one polygon: rings are joined by lines that are walked there and back, which enclose nothing where a
reader fills by the even-odd rule (ultralytics does, and so does COCO's rasteriser, which the self-check reads with).
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError, ImageError, ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.media import frame_stem
from annotator.domain.polygon import (
    DEFAULT_TOLERANCE_PX,
    MIN_IOU,
    bridged_ring,
    mask_to_polygons,
)
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.files.atomic import export_errors
from annotator.io.formats.coco.import_ import ImportReport, import_coco
from annotator.io.formats.image_copies import ImageCopies
from annotator.io.formats.report import (
    CheckReport,
    ExportReport,
    Selection,
    object_name,
    select_images,
    shortened,
    writable_objects,
)
from annotator.io.formats.staging import check_folder, put_files, staging
from annotator.io.formats.yolo_files import label_files, mask_of, names_of, parsed
from annotator.io.images.reading import read_size
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.store import ProjectStore

YAML_NAME = "data.yaml"
_DECIMALS = 8
_TEXT_FACTOR = 12
"""Memory that a label file takes, as lines, numbers and polygons, for each of its bytes."""


@dataclass(frozen=True, slots=True)
class YoloReport(ExportReport):
    """``bridged``: objects of several parts or with holes; ``mean_iou``: of all objects, 1 when there are none."""

    bridged: int = 0
    mean_iou: float = 1.0

    def lines(self) -> list[str]:
        """See :class:`ExportReport`."""
        joined = f"bridged into one polygon each, with holes or several parts: {counted(self.bridged)}"
        loss = f"loss: the polygons cover the masks with a mean IoU of {self.mean_iou:.4f}"
        return [*ExportReport.lines(self), *([joined] if self.bridged else []), loss]


def export_yolo(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    images: str = "none",
    tolerance_px: float = DEFAULT_TOLERANCE_PX,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> YoloReport:
    """Write ``data.yaml`` and ``labels/IMAGE.txt`` beside the folder, read all of it back, and only then put it there.

    Args:
        out_path: a folder; made when missing.
        images: "none", or "copy" to put the image files into ``images/``, where ultralytics looks for them.
        tolerance_px: how far a polygon may leave out vertices; its IoU stays at 0.98 or more.
        others: as in :func:`annotator.io.formats.coco.export.export_coco`.

    Raises:
        ExportError: it cannot be written, two images would share a label file, or reading back gave other data;
            nothing in the folder was changed.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    check_folder(target)
    if images == "copy" and target.is_relative_to(store.image_root):
        raise ExportError(
            f"Copies in {brief(target)} would become images of this project.", "Choose a folder elsewhere."
        )
    with store.snapshot(), export_errors(target), staging(target) as made:
        selection = select_images(store, include_unfinished=include_unfinished, all_images=all_images)
        categories = {category.id: category for category in store.categories()}
        warnings = list(selection.warnings)
        objects = _by_image(store, selection, categories, warnings)
        total = sum(map(len, objects.values()))
        names = [category.name for category in categories.values()]
        (made / YAML_NAME).write_bytes(_yaml(names))
        writer = _Writer(made, categories, tolerance_px)
        copies = ImageCopies(made / "images", store)
        for image in selection.images:
            writer.write(image, objects[image.id])
            if images == "copy":
                copies.add(image)
            if progress is not None:
                progress(len(writer.ious), total)
        check = writer.check()
        if not check.is_ok or names_of(made / YAML_NAME) != dict(enumerate(names)):
            detail = "; ".join(shortened(check.problems)[:3]) or "the class names"
            raise ExportError(f"{brief(target.name)} was not written: reading it back gave other data ({detail}).")
        warnings += [*copies.warnings(), *_others(target, made)]
        put_files(made, target, is_last=lambda file: file.name == YAML_NAME)
    mean = sum(iou for iou, _ in writer.ious) / total if total else 1.0
    counts = (len(selection.images), total, len(names))
    return YoloReport(target, *counts, selection.left_out, tuple(warnings), check, writer.bridged, mean)


class _Writer:
    """Writes the label files into a folder and reads each back; ``ious`` are (IoU, name) of the objects."""

    def __init__(self, folder: Path, categories: dict[int, Category], tolerance_px: float) -> None:
        self._folder, self._categories, self._tolerance_px = folder, categories, tolerance_px
        self._index = {category_id: number for number, category_id in enumerate(categories)}
        self.ious: list[tuple[float, str]] = []
        self.bridged = 0

    def write(self, image: ImageRecord, objects: list[Annotation]) -> None:
        """Raises: OSError."""
        rows = [self._row(annotation) for annotation in objects]
        file = _label_path(self._folder, image)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{row}\n" for row in rows), "ascii")
        found = [parsed(line) for line in file.read_text("ascii").splitlines()]
        for annotation, (index, shares) in zip(objects, found, strict=True):
            is_class = index == self._index[annotation.category_id]
            iou = mask_of(shares, image.width, image.height).iou(annotation.mask()) if is_class else 0.0
            self.ious.append((iou, object_name(annotation, image, self._categories)))

    def _row(self, annotation: Annotation) -> str:
        """The row of an object. Where the simplified rings of several parts cross, exact ones do not."""
        mask, row, rings = annotation.mask(), "", []
        for tolerance in (self._tolerance_px, 0.0):
            parts = mask_to_polygons(mask, tolerance_px=tolerance)
            rings = [ring for part in parts for ring in (part.exterior, *part.holes)]
            shares = bridged_ring(rings) / (mask.width, mask.height)
            numbers = (f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in shares.ravel())
            row = " ".join([str(self._index[annotation.category_id]), *numbers])
            if mask_of(parsed(row)[1], mask.width, mask.height).iou(mask) >= MIN_IOU:
                break
        self.bridged += len(rings) > 1
        return row

    def check(self) -> CheckReport:
        """Of all that was read back."""
        worst = min(self.ious, default=(1.0, ""))
        problems = tuple(f"{name}: IoU {iou:.4f}" for iou, name in self.ious if iou < MIN_IOU)
        return CheckReport(len(self.ious), worst_iou=worst[0], worst_name=worst[1], problems=problems)


def _by_image(
    store: ProjectQueries, selection: Selection, categories: dict[int, Category], warnings: list[str]
) -> dict[int, list[Annotation]]:
    """The objects of each image, without crowds.

    Raises:
        ExportError: two images would share a label file.
    """
    by_label: dict[Path, str] = {}
    for image in selection.images:
        other = by_label.setdefault(_label_path(Path(), image), image.name)
        if other != image.name:
            both = f"{brief(other)} and {brief(image.name)}"
            message = f"{both} would share one label file: the format knows images by name only."
            raise ExportError(message, "Rename one of them.")
    found: dict[int, list[Annotation]] = {image.id: [] for image in selection.images}
    crowds = 0
    for image, annotation in writable_objects(store, selection, categories, warnings):
        crowds += annotation.is_crowd
        if not annotation.is_crowd:
            found[image.id].append(annotation)
    if crowds:
        warnings.append(f"left out: {counted(crowds, 'crowd object')}, which the format does not have")
    return found


def _label_path(root: Path, image: ImageRecord) -> Path:
    stem = root.joinpath("labels", *frame_stem(image.path, image.frame).split("/"))
    return stem.with_name(f"{stem.name}.txt")


def _yaml(names: list[str]) -> bytes:
    """Without ``path``, so that ultralytics takes the file's own folder. JSON's strings are YAML's."""
    lines = ["train: images", "val: images", "names:", *(f"  {i}: {json.dumps(name)}" for i, name in enumerate(names))]
    return ("\n".join(lines) + "\n").encode("ascii")


def _others(target: Path, made: Path) -> list[str]:
    """Labels that an earlier export may have left: whoever trains from the folder reads them, too."""
    written = {path.relative_to(made) for path in made.rglob("*.txt")}
    others = sorted({path.relative_to(target) for path in (target / "labels").rglob("*.txt")} - written)
    return [f"{counted(len(others), 'label file')} there not of this export, such as {others[0]}"] if others else []


# --- in ---------------------------------------------------------------------------------------------------------------


def import_yolo(store: ProjectStore, yaml_path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in the polygons of a data set's label files; rows of a box only are counted as boxes without masks.

    Images are known by their path below ``images``, else by a file name that only one has, without the suffix. What the
    project has already, as far as polygons can tell (IoU 0.98), is not added again.

    Args:
        progress: called with (entries done, in all), label files and then objects; what it raises stops the import.

    Raises:
        ImportFormatError: ``data.yaml`` cannot be used, or there are no labels; nothing was changed.
        ProjectError: as :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    path = Path(yaml_path).absolute()
    _ = store.readable_root
    names = names_of(path)
    labels, elsewhere = label_files(path)
    if not labels:
        message = f"There are no label files beside {brief(path.name)}."
        raise ImportFormatError(message, elsewhere or "They are expected in labels/, one .txt per image.")
    reader = _LabelReader(store, names)
    if elsewhere:
        reader.problems.append(elsewhere)
    for done, (file, stem) in enumerate(labels, start=1):
        reader.read(file, stem)
        if progress is not None:
            progress(done, len(labels))
    with tempfile.TemporaryDirectory(prefix="annotator-yolo-") as folder:
        document = Path(folder) / path.name  # the name of the step to undo
        categories = [{"id": index + 1, "name": name} for index, name in names.items()]
        parts = {"images": list(reader.images.values()), "annotations": reader.annotations, "categories": categories}
        document.write_text(json.dumps(parts), "utf-8")
        report = import_coco(store, document, progress=progress)
    return replace(
        report,
        path=path,
        already_there=report.already_there + reader.already_there,
        skipped=report.skipped + len(reader.problems),
        problems=(*reader.problems, *report.problems),
    )


class _LabelReader:
    """Turns label files into the rows of a COCO file, whose import does the rest."""

    def __init__(self, store: ProjectStore, names: dict[int, str]) -> None:
        self._store, self._names = store, names
        images = store.images()
        stems = {frame_stem(image.path, image.frame): image for image in images}
        bases = Counter(stem.rpartition("/")[2] for stem in stems)
        self._by_base = {base: i for stem, i in stems.items() if bases[base := stem.rpartition("/")[2]] == 1}
        self._by_path = stems
        self._categories = {category.name: category.id for category in store.categories()}
        self.images: dict[int, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []
        self.already_there = 0
        self.problems: list[str] = []

    def read(self, file: Path, stem: str) -> None:
        """The rows of one file, for the image of this path without suffix."""
        budget.ask(file.name, file.stat().st_size * _TEXT_FACTOR, error=ImportFormatError)
        lines = file.read_text("utf-8", "replace").splitlines()
        image = self._by_path.get(stem) or self._by_base.get(stem.rpartition("/")[2])
        try:
            if image is None:
                raise ImageError("No image of the project has this name.")
            size = (
                (image.width, image.height)
                if image.width
                else read_size(self._store.image_path(image), frame=image.frame)
            )
        except ImageError as error:
            if any(map(str.strip, lines)):
                self.problems.append(f"{brief(file.name)}: {error.message} Its objects are left out.")
            return
        self.images[image.id] = {"id": image.id, "file_name": image.name, "width": size[0], "height": size[1]}
        present = self._store.annotations(image.id)
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    self._add(line, image, present, size)
            except ValueError as error:
                self.problems.append(f"{file.name}, line {number}: {error}")

    def _add(self, line: str, image: ImageRecord, present: list[Annotation], size: tuple[int, int]) -> None:
        index, shares = parsed(line)
        if index not in self._names:
            raise ValueError(f"class {index} is not in {YAML_NAME}")
        entry: dict[str, Any] = {"image_id": image.id, "category_id": index + 1}
        if len(shares) == 2:
            (x, y), (w, h) = (shares * size).tolist()
            entry["bbox"] = [x - w / 2, y - h / 2, w, h]
        else:
            mask = mask_of(shares, *size)
            if mask.is_empty:
                raise ValueError("the polygon covers no pixel")
            own = self._categories.get(self._names[index])
            if any(other.category_id == own and _is_same(other, mask) for other in present):
                self.already_there += 1
                return
            entry["segmentation"] = {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")}
        self.annotations.append({"id": len(self.annotations) + 1, **entry})


def _is_same(annotation: Annotation, mask: Mask) -> bool:
    if (annotation.image_width, annotation.image_height) != (mask.width, mask.height):
        return False
    smaller, larger = sorted((annotation.area, mask.area))
    return smaller >= MIN_IOU * larger and annotation.mask().iou(mask) >= MIN_IOU
