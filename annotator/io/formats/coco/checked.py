"""The images of a COCO file with their objects, one after the other, as the checks want them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.domain.checks.objects import CheckedObject
from annotator.domain.checks.project import CheckedImage
from annotator.domain.errors import UserError
from annotator.domain.palette import OKABE_ITO
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Category, ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.coco.categories import usable_categories
from annotator.io.formats.coco.parse import decode_segmentation, shown, whole_number
from annotator.io.formats.coco.stream import CocoFile, Rows, read_coco
from annotator.io.images.reading import load_image


@dataclass(frozen=True, slots=True, eq=False)
class CheckedCoco:
    """A COCO file, read so far that its images can be gone through.

    Attributes:
        notes: about the file as a whole, for the person.
    """

    categories: tuple[Category, ...]
    notes: tuple[str, ...]
    _file: CocoFile
    _images: dict[int, ImageRecord]

    def images(self, progress: Progress | None = None, *, folder: Path | None = None) -> Iterator[CheckedImage]:
        """As :func:`annotator.io.project.checked.checked_images`; rows are read again when their image comes.

        Args:
            folder: of the images, where they are to be looked at.
        """
        places: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        lost: list[tuple[int, str]] = []
        for at, row in enumerate(self._file.annotations):
            image_id = whole_number(row.get("image_id")) if isinstance(row, dict) else None
            if image_id in self._images:
                places[image_id].append(at)
            else:
                lost.append((_id(row, at), f"is on image {shown(image_id)}, which is not listed with its size"))
        if lost:
            yield CheckedImage(ImageRecord(0, ""), (), lost, is_marked=False)
        for done, (image_id, image) in enumerate(self._images.items()):
            if progress is not None:
                progress(done, len(self._images))
            entry = self._checked(image, places.get(image_id, array("q")))
            yield entry if folder is None else replace(entry, pixels=partial(_pixels, folder, image))
        if progress is not None:
            progress(len(self._images), len(self._images))

    def _checked(self, image: ImageRecord, places: array[int]) -> CheckedImage:
        objects: list[CheckedObject] = []
        unusable: list[tuple[int, str]] = []
        for at in places:
            row: dict[str, Any] = self._file.annotations[at]
            object_id = _id(row, at)
            try:
                mask, _ = decode_segmentation(row.get("segmentation"), width=image.width, height=image.height)
                if mask.is_empty:
                    raise ValueError("covers no pixel")
            except ValueError as error:
                unusable.append((object_id, str(error)))
                continue
            score = row.get("score")
            is_score = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1
            trusted = float(score) if score is not None and is_score else None
            category_id = whole_number(row.get("category_id")) or 0
            objects.append(
                CheckedObject(
                    object_id, category_id, mask, mask.rle(), trusted, is_crowd=row.get("iscrowd") in (1, True, "1")
                )
            )
        return CheckedImage(image, objects, unusable, is_marked=False)


def _pixels(folder: Path, image: ImageRecord) -> RgbArray | None:
    """None: there is none that can be read, in the folder."""
    place = PurePosixPath(image.path.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in image.path or not image.path:
        return None
    try:
        return load_image(folder / place).rgb
    except UserError:
        return None


def open_checked(path: Path) -> CheckedCoco:
    """Read a COCO file for the checks.

    Raises:
        ImportFormatError: it is none.
    """
    file = read_coco(path)
    tally, notes = Tally(), list(file.notes)
    classes = usable_categories(file.categories, tally, notes) or []
    categories = tuple(Category(one.source_id, one.name, OKABE_ITO[0]) for one in classes)
    return CheckedCoco(categories, (*notes, *tally.lines()), file, _images(file.images))


def _images(rows: Rows) -> dict[int, ImageRecord]:
    """Those with a usable id and size."""
    found: dict[int, ImageRecord] = {}
    for row in rows:
        if isinstance(row, dict):
            image_id, width, height = (whole_number(row.get(key)) for key in ("id", "width", "height"))
            if image_id is not None and width and height and width > 0 and height > 0:
                found[image_id] = ImageRecord(image_id, str(row.get("file_name", "")), width=width, height=height)
    return found


def _id(row: Any, at: int) -> int:
    """The row's own id; where it has none its place in the list, from 1, as a negative number."""
    found = whole_number(row.get("id")) if isinstance(row, dict) else None
    return -(at + 1) if found is None else found
