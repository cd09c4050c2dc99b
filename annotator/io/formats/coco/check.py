"""The self-check of a COCO export: read it as a training program would, and compare every object with the project."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.polygon import MIN_IOU
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.io.formats.report import CheckReport, object_name
from annotator.io.project.queries import ProjectQueries


def check_coco(path: str | Path, store: ProjectQueries, *, expected_ids: Collection[int] | None = None) -> CheckReport:
    """Reload with pycocotools, decode every object, compare pixels, boxes, areas, classes and crowd flags.

    Args:
        expected_ids: ids of objects that must be there, no more and no fewer; None: not asked.

    Raises:
        ExportError: pycocotools cannot read the file.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the library prints its progress
            dataset = COCO(str(path))
    except Exception as error:  # a reader's complaint, whatever its type, is the answer to the question
        raise ExportError(f"pycocotools cannot read the export ({error!r}).") from error
    images = {image.id: image for image in store.images()}
    categories = {category.id: category for category in store.categories()}
    problems = _id_problems(dataset, expected_ids)
    compared: list[tuple[float, str, bool]] = []
    crowd = 0
    for annotation in store.all_annotations():
        row = dataset.anns.get(annotation.id)
        if row is None:
            continue
        image = images[annotation.image_id]
        name = object_name(annotation, image, categories)
        try:
            rle = dataset.annToRLE(row)
            iou = _iou(rle, annotation)
        except Exception as error:  # as above: damaged run lengths raise anything
            problems.append(f"{brief(name)} cannot be decoded ({error!r})")
            continue
        is_rle = isinstance(row["segmentation"], dict)
        compared.append((iou, name, is_rle))
        crowd += int(row["iscrowd"])
        problems.extend(f"{name}: {line}" for line in _field_problems(row, annotation, dataset, image, categories))
        if is_rle and iou < 1.0:
            problems.append(f"{brief(name)}: the run lengths give IoU {iou:.6f}")
    worst = min(compared, default=(1.0, "", False))
    below = tuple(sorted(((name, iou) for iou, name, _ in compared if iou < MIN_IOU), key=lambda pair: pair[1]))
    return CheckReport(
        objects=len(compared),
        crowd=crowd,
        rle=sum(is_rle for _, _, is_rle in compared),
        worst_iou=worst[0],
        worst_name=worst[1],
        below=below,
        problems=tuple(problems),
    )


def _id_problems(dataset: COCO, expected_ids: Collection[int] | None) -> list[str]:
    problems: list[str] = []
    for what in ("images", "categories", "annotations"):
        ids = [row["id"] for row in dataset.dataset[what]]
        if len(set(ids)) != len(ids):
            problems.append(f"ids of {what} are not unique")
        if any(not isinstance(value, int) or value < 1 for value in ids):
            problems.append(f"ids of {what} must be whole numbers from 1")
    names = [row["file_name"] for row in dataset.dataset["images"]]
    if len(set(names)) != len(names):
        problems.append("file names are not unique")
    if expected_ids is not None and set(dataset.anns) != set(expected_ids):
        problems.append(f"{counted(len(dataset.anns), 'object')} instead of {len(expected_ids)}")
    return problems


def _field_problems(
    row: dict[str, Any], annotation: Annotation, dataset: COCO, image: ImageRecord, categories: dict[int, Category]
) -> list[str]:
    problems: list[str] = []
    if row["image_id"] != annotation.image_id or dataset.imgs[row["image_id"]]["file_name"] != image.name:
        problems.append("is on another image")
    if dataset.cats[row["category_id"]]["name"] != categories[annotation.category_id].name:
        problems.append("has another class")
    if bool(row["iscrowd"]) != annotation.is_crowd:
        problems.append("has another crowd flag")
    if row["area"] != annotation.area:
        problems.append("has another area")
    if row["bbox"] != [annotation.x, annotation.y, annotation.w, annotation.h]:
        problems.append("has another box")
    return problems


def _iou(rle: dict[str, Any], annotation: Annotation) -> float:
    """Exact, in whole pixels, on the runs."""
    stored = {"size": [annotation.image_height, annotation.image_width], "counts": annotation.rle}
    if list(rle["size"]) != stored["size"]:
        raise ValueError(f"size {rle['size']} instead of {stored['size']}")
    both = int(coco_mask.area(coco_mask.merge([rle, stored], intersect=True)))
    either = int(coco_mask.area(coco_mask.merge([rle, stored])))
    return both / either if either else 1.0
