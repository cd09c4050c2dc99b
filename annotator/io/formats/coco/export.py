"""COCO instances: one JSON file for pycocotools, detectron2, mmdetection, torchvision and FiftyOne.

Ids start at 1 and are never renumbered, ``counts`` is text, areas and boxes come from the pixels, polygons run on pixel
edges, crowds are only where a person said so, the bytes are the same every time, and nothing is put into place before
it was read back and compared with the stored masks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO, Literal

from annotator.domain.attributes import Attribute, of_image, of_object, to_json
from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.polygon import (
    DEFAULT_TOLERANCE_PX,
    MIN_IOU,
    PolygonPart,
    has_holes,
    mask_to_polygons,
    polygons_to_mask,
)
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import PLACE_KEY, Annotation, Category, ImageRecord
from annotator.files.atomic import atomic_file, export_errors, remove_left, sync
from annotator.io.formats.coco.attributes import with_all_values
from annotator.io.formats.coco.check import check_coco
from annotator.io.formats.drawn import drawn_parts
from annotator.io.formats.report import (
    ExportReport,
    Selection,
    attributes_of,
    frame_fields,
    object_name,
    select_images,
    shortened,
    writable_objects,
)
from annotator.io.formats.target import check_target
from annotator.io.images.content import SAMPLES_FACT
from annotator.io.images.reader import BURNED_IN_FACT, CHANNEL_FACT, DIRECTIONS_FACT
from annotator.io.project.identifiers import SERIES_FACT, keeps_uids, without_uids
from annotator.io.project.queries import ProjectQueries

__all__ = ["SEGMENTATIONS", "check_coco", "export_coco"]

Segmentation = Literal["auto", "rle", "polygon"]

SEGMENTATIONS: tuple[Segmentation, ...] = ("auto", "rle", "polygon")
"""What each is, and which readers it suits, stands in the format's row (:mod:`annotator.io.formats.registry`)."""

_IMAGE_ATTRIBUTES = (
    *("SOPInstanceUID", "SeriesInstanceUID", SERIES_FACT, "Modality", "spacing_mm"),
    *(DIRECTIONS_FACT, BURNED_IN_FACT, CHANNEL_FACT),
)
_IMAGE_KEYS = ("id", "file_name", "width", "height", "license", "attributes")
# "ignore" makes detectron2 stop and mmdetection skip the object.
_ANNOTATION_KEYS = (
    *("id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes", "ignore"),
)


def export_coco(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    segmentation: Segmentation = "auto",
    include_unfinished: bool = True,
    all_images: bool = False,
    tolerance_px: float = DEFAULT_TOLERANCE_PX,
    progress: Progress | None = None,
) -> ExportReport:
    """Write, read back, compare, and only then put the file into place.

    Args:
        segmentation: see :data:`SEGMENTATIONS`.
        include_unfinished: also images in progress, as far as they have objects.
        all_images: also images without objects that nobody marked done or empty.
        tolerance_px: how far a polygon may leave out vertices (its IoU stays at 0.98 or more, per part).
        progress: called with (images done, images in all) while files are looked at, then the same of objects.

    Raises:
        ExportError: the file cannot be written, would take the place of the project or an image, or the self-check
            found a difference; an existing file is untouched.
        ProjectError: the project cannot be read.
    """
    if segmentation not in SEGMENTATIONS:
        raise ExportError(f"There is no segmentation {segmentation!r}.", f"Use one of {', '.join(SEGMENTATIONS)}.")
    target = Path(out_path).absolute()
    check_target(target, project=store.path)
    with store.snapshot(), export_errors(target):
        selection = select_images(
            store, include_unfinished=include_unfinished, all_images=all_images, progress=progress
        )
        categories = store.categories()
        warnings = list(selection.warnings)
        remove_left(target.parent.glob(f".{escape(target.name)}.*.part"))
        with atomic_file(target) as (stream, partial):
            writer = _Writer(stream, segmentation, tolerance_px)
            writer.head(store, selection, categories)
            total = sum(selection.counts.get(image.id, 0) for image in selection.images)
            by_id = {category.id: category for category in categories}
            objects = writable_objects(store, selection, by_id, warnings)
            ids = writer.objects(_counted(objects, total, progress), by_id)
            sync(stream)
            stream.close()
            check = check_coco(partial, store, expected_ids=ids)
            if not check.is_ok:
                detail = "; ".join(shortened(check.problems)[:3])
                raise ExportError(f"{brief(target.name)} was not written: reading it back gave other data ({detail}).")
    warnings.extend(_polygon_warnings(writer.filled, check.below))
    return ExportReport(
        target, len(selection.images), len(ids), len(categories), selection.left_out, tuple(warnings), check
    )


class _Writer:
    """Writes the parts one row a line, so that a dataset can be compared line by line and never sits in memory."""

    def __init__(self, stream: BinaryIO, segmentation: Segmentation, tolerance_px: float) -> None:
        self._stream = stream
        self._segmentation = segmentation
        self._tolerance_px = tolerance_px
        self._attributes: tuple[Attribute, ...] = ()
        self.filled: list[str] = []
        """Names of the objects that lost their holes."""

    def head(self, store: ProjectQueries, selection: Selection, categories: list[Category]) -> None:
        created = store.meta_get("created_at") or ""
        info = {
            "description": store.path.stem,
            "version": "1.0",
            "year": int(created[:4]) if created[:4].isdigit() else 0,
            "contributor": "",
            "date_created": created[:10],
        }
        licences, licence_ids = _licences(selection.images)
        self._text('{"info":' + _json(info) + ',\n"licenses":')
        self._rows(licences)
        self._text(',\n"categories":')
        self._rows(_category_row(category) for category in categories)
        self._attributes = tuple(store.attributes())
        if self._attributes:
            self._text(',\n"attributes":')
            self._rows(to_json(one) for one in self._attributes)
        self._text(',\n"images":')
        images: Iterable[ImageRecord] = selection.images
        if not keeps_uids(store):
            images = (replace(image, extra=without_uids(image.extra)) for image in images)
        own = of_image(self._attributes)
        self._rows(_image_row(image, licence_ids.get(image.id), own) for image in images)

    def objects(self, objects: Iterable[tuple[ImageRecord, Annotation]], categories: dict[int, Category]) -> set[int]:
        """The ids that were written."""
        ids: set[int] = set()

        def rows() -> Iterator[dict[str, Any]]:
            for image, annotation in objects:
                ids.add(annotation.id)
                if self._segmentation == "polygon" and not annotation.is_crowd and has_holes(annotation.mask()):
                    self.filled.append(object_name(annotation, image, categories))
                yield self._annotation_row(annotation)

        self._text(',\n"annotations":')
        self._rows(rows())
        self._text("}\n")
        return ids

    def _annotation_row(self, annotation: Annotation) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": annotation.id,
            "image_id": annotation.image_id,
            "category_id": annotation.category_id,
            "segmentation": self._segmentation_of(annotation),
            "area": annotation.area,
            "bbox": [float(v) for v in (annotation.x, annotation.y, annotation.w, annotation.h)],
            "iscrowd": int(annotation.is_crowd),
        }
        own = of_object(self._attributes, annotation.category_id)
        attributes = with_all_values(attributes_of(annotation), own)
        if attributes is not None:
            row["attributes"] = attributes
        return {**row, **{key: value for key, value in annotation.extra.items() if key not in _ANNOTATION_KEYS}}

    def _segmentation_of(self, annotation: Annotation) -> dict[str, Any] | list[list[float]]:
        mask = None if self._segmentation == "rle" or annotation.is_crowd else annotation.mask()
        if mask is None or (self._segmentation == "auto" and has_holes(mask)):
            size = [annotation.image_height, annotation.image_width]
            return {"size": size, "counts": annotation.rle.decode("ascii")}
        parts = _as_drawn(annotation, mask) or mask_to_polygons(mask, tolerance_px=self._tolerance_px)
        return [part.exterior.ravel().tolist() for part in parts]

    def _rows(self, rows: Iterable[dict[str, Any]]) -> None:
        separator = "[\n"
        for row in rows:
            self._text(separator + _json(row))
            separator = ",\n"
        self._text("[]" if separator == "[\n" else "\n]")

    def _text(self, text: str) -> None:
        self._stream.write(text.encode("ascii"))


def _as_drawn(annotation: Annotation, mask: Mask) -> tuple[PolygonPart, ...]:
    """The polygons that an object was drawn with, where COCO's readers get nearly its pixels from them."""
    parts = drawn_parts(annotation.prompts, mask)
    if not parts or any(part.holes for part in parts):
        return ()
    return parts if polygons_to_mask(parts, width=mask.width, height=mask.height).iou(mask) >= MIN_IOU else ()


def _category_row(category: Category) -> dict[str, Any]:
    extra = {key: value for key, value in category.extra.items() if key not in ("id", "name", PLACE_KEY)}
    return {"id": category.id, "name": category.name, "supercategory": "", **extra}


def _image_row(image: ImageRecord, licence_id: int | None, own: tuple[Attribute, ...] = ()) -> dict[str, Any]:
    row: dict[str, Any] = {"id": image.id, "file_name": image.name, "width": image.width, "height": image.height}
    if licence_id is not None:
        row["license"] = licence_id
    taken = (*_IMAGE_KEYS, *_IMAGE_ATTRIBUTES, SAMPLES_FACT)
    row.update({key: value for key, value in image.extra.items() if key not in taken})
    imported = image.extra.get("attributes")
    attributes = with_all_values(dict(imported) if isinstance(imported, dict) else {}, own) or {}
    attributes.update({key: image.extra[key] for key in _IMAGE_ATTRIBUTES if key in image.extra})
    attributes.update(frame_fields(image))
    # Says which images somebody finished: those in progress may lack objects.
    attributes["status"] = image.status.value
    row["attributes"] = attributes
    return row


def _licences(images: tuple[ImageRecord, ...]) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Imported licences that are in use, and by image id the licence's id (kept where two sources do not clash)."""
    found: dict[str, dict[str, Any]] = {}
    by_image: dict[int, int] = {}
    for image in images:
        licence = image.extra.get("license")
        if not isinstance(licence, dict):
            continue
        key = _json(licence)
        if key not in found:
            used = {int(other["id"]) for other in found.values()}
            wanted = licence.get("id")
            free = isinstance(wanted, int) and wanted not in used
            found[key] = {**licence, "id": wanted if free else max(used, default=0) + 1}
        by_image[image.id] = int(found[key]["id"])
    return sorted(found.values(), key=lambda row: int(row["id"])), by_image


def _polygon_warnings(filled: list[str], below: tuple[tuple[str, float], ...]) -> list[str]:
    """Objects that suffer most first; a hole of a few pixels is reported too, whatever its share of the object is."""
    low, why = dict(below), dict.fromkeys(filled, " (holes are filled)")
    lines = [
        f"{brief(name)}: the polygons cover it with IoU {iou:.3f}{why.get(name, '')}; use rle" for name, iou in below
    ]
    return lines + [f"{brief(name)}: its holes are filled; use rle" for name in filled if name not in low]


def _counted(
    objects: Iterable[tuple[ImageRecord, Annotation]], total: int, progress: Progress | None
) -> Iterator[tuple[ImageRecord, Annotation]]:
    for done, item in enumerate(objects, start=1):
        yield item
        if progress is not None:
            progress(done, total)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
