"""The images of a project that a COCO file speaks of, with what the file says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.errors import ImageError, ProjectError
from annotator.domain.project import ImageRecord, Status
from annotator.domain.tally import Tally
from annotator.io.formats.coco.matching import Matched, Place, match_images
from annotator.io.formats.coco.parse import clean_text, plain_json, whole_number
from annotator.io.formats.coco.stream import CocoFile
from annotator.io.formats.report import frame_fields
from annotator.io.images.reading import read_size
from annotator.io.project.store import ProjectStore

_KNOWN_FIELDS = frozenset(("id", "file_name", "width", "height", "license"))


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """By the file's own image id.

    Attributes:
        matched: the project's images, and why entries cannot be used.
        changed: the images with the file's extra fields (and its status, where ``has_status``).
    """

    matched: Matched
    changed: dict[int, ImageRecord]
    has_status: dict[int, bool]


def plan_images(
    coco: CocoFile,
    store: ProjectStore,
    *,
    tally: Tally,
    notes: list[str],
    progress: Callable[[int], None] | None = None,
) -> ImagePlan:
    """Match the file's images (:func:`annotator.io.formats.coco.matching.match_images`) and read their other fields."""
    place = Place(store.images(), store.image_root.name, "the project", lambda image: _with_size(image, store))
    matched = match_images(coco, place, tally=tally, notes=notes, progress=progress)
    plan = ImagePlan(matched, {}, {})
    for source_id, image in matched.by_id.items():
        plan.changed[source_id], plan.has_status[source_id] = _with_fields(matched.rows[source_id], image, coco, tally)
    return plan


def _with_fields(row: dict[str, Any], image: ImageRecord, coco: CocoFile, tally: Tally) -> tuple[ImageRecord, bool]:
    """The image with the entry's other fields, and whether the entry states a status of ours."""
    extra = dict(image.extra)
    for key, value in row.items():
        if key in _KNOWN_FIELDS:
            continue
        try:
            extra[clean_text(key)] = plain_json(value)
        except ValueError as error:
            tally.add(f"{image.name}:", f"the field {key[:40]!a} {error}; it was left out", noun="image")
    licence = whole_number(row.get("license"))
    if licence is not None and licence in coco.licences:
        extra["license"] = coco.licences[licence]
    attributes = extra.get("attributes")
    status, has_status = image.status, False
    if "attributes" in extra and not isinstance(attributes, dict):
        del extra["attributes"]
    elif isinstance(attributes, dict):
        kept = {key: value for key, value in attributes.items() if not _is_known(key, value, image)}
        stated = kept.pop("status", None)
        if stated in list(Status):
            status, has_status = Status(stated), True
        elif stated is not None:
            kept["status"] = stated
        if kept:
            extra["attributes"] = kept
        else:
            del extra["attributes"]
    return replace(image, extra=extra, status=status), has_status


def _is_known(key: str, value: Any, image: ImageRecord) -> bool:
    """Whether an attribute is only what an export wrote of a fact that reading the image showed."""
    imported = image.extra.get("attributes")
    is_imported = isinstance(imported, dict) and key in imported
    known = {**image.extra, **frame_fields(image)}
    return not is_imported and key in known and known[key] == value


def _with_size(image: ImageRecord, store: ProjectStore) -> ImageRecord:
    """The image with its size, read from the file's header when the project does not know it yet (and remembered)."""
    if image.width > 0 and image.height > 0:
        return image
    try:
        width, height = read_size(store.image_path(image), frame=image.frame)
    except (ImageError, ProjectError):  # said by the caller, who knows what is lost by it
        return image
    store.record_image_facts(image.id, sha256="", width=width, height=height)
    return replace(image, width=width, height=height)
