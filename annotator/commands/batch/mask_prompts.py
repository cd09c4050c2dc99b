"""Masks that a batch refines: those of a COCO file, object by object."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from annotator.commands.batch.prompts import PromptFile, Question, complete_names
from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError


def read_masks(path: Path) -> PromptFile:
    """Every object of a COCO file with a usable mask; of crowds none is refined.

    Raises:
        ImportFormatError: it cannot be read, or is something else.
    """
    from annotator.io.formats.coco.parse import whole_number
    from annotator.io.formats.coco.stream import read_coco

    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the name.") from error
    file = read_coco(path)
    images = {whole_number(row.get("id")): row for row in file.images if isinstance(row, dict)}
    by_name: dict[str, list[Question]] = {}
    skipped = 0
    for row in file.annotations:
        image = images.get(whole_number(row.get("image_id"))) if isinstance(row, dict) else None
        question = None if image is None else _question(row, image)
        if image is None or question is None:
            skipped += 1
        else:
            by_name.setdefault(str(image["file_name"]).replace("\\", "/"), []).append(question)
    names = {whole_number(row.get("id")): str(row.get("name", "")) for row in file.categories if isinstance(row, dict)}
    used = {question.category_id for questions in by_name.values() for question in questions}
    known = {number: name for number, name in names.items() if number is not None}
    return PromptFile(by_name, categories=complete_names(known, used), skipped=skipped, sha256=sha256)


def _question(row: dict[str, Any], image: dict[str, Any]) -> Question | None:
    from annotator.io.formats.coco.parse import decode_segmentation, whole_number

    width, height = whole_number(image.get("width")), whole_number(image.get("height"))
    if not width or not height or not isinstance(image.get("file_name"), str) or row.get("iscrowd") in (1, True):
        return None
    try:
        mask, _ = decode_segmentation(row.get("segmentation"), width=width, height=height)
    except ValueError:
        return None
    category = whole_number(row.get("category_id"))
    number = 1 if category is None else category
    return None if mask.is_empty else Question(category_id=number, rle=mask.rle(), size_wh=(width, height))


def read_project(path: Path, *, as_boxes: bool) -> PromptFile:
    """The objects that a project has: their masks to refine, or the boxes round them.

    Raises:
        ProjectError: it cannot be read.
    """
    from annotator.domain.geometry import Box
    from annotator.io.project.store import ProjectStore

    mark, skipped = hashlib.sha256(), 0
    by_name: dict[str, list[Question]] = {}
    with ProjectStore.open(path, read_only=True) as store:
        names = {one.id: one.name for one in store.categories()}
        for image in store.images():
            key = f"{image.path}#{image.frame}" if image.frame else image.path
            for row in store.annotations(image.id):
                if not row.rle or not row.w or not row.h:
                    skipped += 1
                    continue
                mark.update(f"{key}|{row.id}|{row.category_id}|".encode() + row.rle)
                box = Box(row.x, row.y, row.x + row.w, row.y + row.h)
                size = (row.image_width, row.image_height)
                question = (
                    Question(box=box, category_id=row.category_id)
                    if as_boxes
                    else Question(category_id=row.category_id, rle=row.rle, size_wh=size)
                )
                by_name.setdefault(key, []).append(question)
    used = {question.category_id for questions in by_name.values() for question in questions}
    return PromptFile(by_name, categories=complete_names(names, used), skipped=skipped, sha256=mark.hexdigest())
