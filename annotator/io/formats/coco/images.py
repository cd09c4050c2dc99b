"""Which image of the project each image entry of a COCO file means."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.errors import ImageError
from annotator.domain.project import ImageRecord, Status
from annotator.io.formats.coco.parse import CocoFile, clean_text, plain_json, shown, text_id, whole_number
from annotator.io.images.reading import read_size
from annotator.io.project.store import ProjectStore

_KNOWN_FIELDS = frozenset(("id", "file_name", "width", "height", "license"))


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """By the file's own image id.

    Attributes:
        by_id: the project's image.
        changed: the same with the file's extra fields (and its status, where ``has_status``).
        unusable: why an entry's objects cannot be placed.
    """

    by_id: dict[int, ImageRecord]
    changed: dict[int, ImageRecord]
    has_status: dict[int, bool]
    unusable: dict[int, str]


class _Names:
    """Images by what a file may call them."""

    def __init__(self, images: list[ImageRecord], names: Counter[str]) -> None:
        self._wanted_bases = names
        self._by_path = {image.path: image for image in images}
        composed = Counter(_composed(image.path) for image in images)
        self._by_composed = {_composed(i.path): i for i in images if composed[_composed(i.path)] == 1}
        bases = Counter(_base(image.path) for image in images)
        self._by_base = {_base(image.path): image for image in images if bases[_base(image.path)] == 1}

    def by_path(self, name: str, path: str) -> ImageRecord | None:
        """By the name as it stands (Linux allows a backslash in it), as a path, and with letters composed: macOS keeps
        an umlaut as two characters, most programs write it as one."""
        return self._by_path.get(name) or self._by_path.get(path) or self._by_composed.get(_composed(path))

    def by_base(self, path: str) -> ImageRecord | None:
        """By a file name that is unique on both sides."""
        return self._by_base.get(_base(path)) if self._wanted_bases[_base(path)] == 1 else None


def plan_images(
    coco: CocoFile,
    store: ProjectStore,
    *,
    problems: list[str],
    notes: list[str],
    progress: Callable[[int], None] | None = None,
) -> ImagePlan:
    """Match by relative path, else by a file name that is unique on both sides; a wrong size is no match.

    Args:
        progress: told how many entries are done: sizes that are not known yet are read from the files.
    """
    plan = ImagePlan({}, {}, {}, {})
    known = _Names(store.images(), Counter(_base(_path_of(row) or "") for row in coco.images))
    ids = Counter(whole_number(row.get("id")) for row in coco.images if isinstance(row, dict))
    taken: dict[int, str] = {}
    by_name_only = 0
    for number, row in enumerate(coco.images, start=1):
        if progress is not None:
            progress(number)
        source_id = whole_number(row.get("id")) if isinstance(row, dict) else None
        path = _path_of(row)
        if source_id is None or path is None:
            why = text_id(row) if isinstance(row, dict) else ""
            problems.append(f"image {number}: {why}" if why else f"image {number} has no usable id or file_name")
            continue
        reason = f"image id {source_id} is used {ids[source_id]} times" if ids[source_id] > 1 else ""
        image = known.by_path(row["file_name"], path)
        if image is None and not reason:
            image = known.by_base(path)
            by_name_only += image is not None
        if image is not None and not reason:
            image = _with_size(image, store)
        reason = reason or _mismatch(row, path, image, taken)
        if reason or image is None:
            if source_id not in plan.unusable:
                problems.append(reason)
            plan.unusable[source_id] = reason
            continue
        taken[image.id] = path
        plan.by_id[source_id] = image
        plan.changed[source_id], plan.has_status[source_id] = _with_fields(row, image, coco, problems)
    if by_name_only:
        notes.append(f"{by_name_only} image(s) were matched by file name only, in another folder")
    return plan


def _mismatch(row: dict[str, Any], path: str, image: ImageRecord | None, taken: dict[int, str]) -> str:
    """Why an entry cannot be used, or an empty text."""
    if image is None:
        return f"{path[:200]!a} is not in the project"
    if image.id in taken:
        return f"{path!a} and {taken[image.id]!a} are the same image"
    if image.width <= 0:
        return f"{image.path} cannot be read, so its size is unknown"
    if "width" not in row or "height" not in row:
        return ""
    width, height = whole_number(row["width"]), whole_number(row["height"])
    if (width, height) == (image.width, image.height):
        return ""
    turned = (height, width) == (image.width, image.height)
    why = "; width and height are swapped (EXIF orientation?)" if turned else ""
    claimed = f"{shown(row['width'])} x {shown(row['height'])}"
    return f"{image.path} is {image.width} x {image.height} pixels, the file says {claimed}{why}"


def _with_fields(
    row: dict[str, Any], image: ImageRecord, coco: CocoFile, problems: list[str]
) -> tuple[ImageRecord, bool]:
    """The image with the entry's other fields, and whether the entry states a status of ours."""
    extra = dict(image.extra)
    for key, value in row.items():
        if key in _KNOWN_FIELDS:
            continue
        try:
            extra[clean_text(key)] = plain_json(value)
        except ValueError as error:
            problems.append(f"{image.path}: the field {key[:40]!a} {error}; it was left out")
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
    return not is_imported and key in image.extra and image.extra[key] == value


def _with_size(image: ImageRecord, store: ProjectStore) -> ImageRecord:
    """The image with its size, read from the file's header when the project does not know it yet (and remembered)."""
    if image.width > 0 and image.height > 0:
        return image
    try:
        width, height = read_size(store.image_path(image))
    except ImageError:  # said by the caller, who knows what is lost by it
        return image
    store.record_image_facts(image.id, sha256="", width=width, height=height)
    return replace(image, width=width, height=height)


def _path_of(row: Any) -> str | None:
    name = row.get("file_name") if isinstance(row, dict) else None
    if not isinstance(name, str) or not name:
        return None
    path = name.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    return path or None


def _base(path: str) -> str:
    return _composed(path.rsplit("/", 1)[-1])


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
