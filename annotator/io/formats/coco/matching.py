"""Which image each image entry of a COCO file means: the same answer for a project and for a folder."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.coco.parse import shown, text_id, whole_number
from annotator.io.formats.coco.stream import CocoFile

_MANY = {
    "twice": "is the same image as another entry",
    "turned": "has width and height swapped (EXIF orientation?)",
    "size": "is not of the size that the file says",
}
"""By kind of problem, what is said of several images."""
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*/?([^?#]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where images are looked for.

    Attributes:
        images: paths, and sizes as far as they are known.
        folder_name: of the folder that the paths are relative to; a file may repeat it ("images/a.png").
        name: for messages.
        measure: an image with its size, read from the file's header; 0 when it cannot be read.
    """

    images: Sequence[ImageRecord]
    folder_name: str
    name: str
    measure: Callable[[ImageRecord], ImageRecord]


@dataclass(frozen=True, slots=True)
class Matched:
    """By the file's own image id: the image, the entry, and which reason makes an entry unusable."""

    by_id: dict[int, ImageRecord] = field(default_factory=dict)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    unusable: dict[int, str] = field(default_factory=dict)


class _Names:
    """Images by what a file may call them."""

    def __init__(self, place: Place, wanted: Counter[str]) -> None:
        images = place.images
        self._wanted_bases = wanted
        self._prefix = f"{place.folder_name}/"
        self._by_path = {image.name: image for image in images}
        composed = Counter(_composed(image.name) for image in images)
        self._by_composed = {_composed(i.name): i for i in images if composed[_composed(i.name)] == 1}
        self._bases = Counter(_base(image.name) for image in images)
        self._by_base = {_base(image.name): image for image in images if self._bases[_base(image.name)] == 1}

    def by_path(self, names: Sequence[str]) -> ImageRecord | None:
        """By the name as it stands (Linux allows a backslash in it), as a path, and with letters composed: macOS keeps
        an umlaut as two characters, most programs write it as one."""
        for name in names:
            for path in (name, name.removeprefix(self._prefix)):
                found = self._by_path.get(path) or self._by_composed.get(_composed(path))
                if found is not None:
                    return found
        return None

    def by_base(self, names: Sequence[str]) -> ImageRecord | None:
        """By a file name that is unique on both sides."""
        if self._wanted_bases[_base(names[0])] != 1:
            return None
        return next((self._by_base[_base(name)] for name in names if _base(name) in self._by_base), None)

    def namesakes(self, names: Sequence[str]) -> int:
        """How many images have that name in some folder."""
        return max(self._bases[_base(name)] for name in names)


def match_images(
    coco: CocoFile, place: Place, *, tally: Tally, notes: list[str], progress: Callable[[int], None] | None = None
) -> Matched:
    """By relative path, else by a file name that is unique on both sides; a wrong size is no match.

    A name that is a URL, or has its letters percent-encoded, is read as what it stands for where the plain name is
    not there; an entry without a name has that of its ``coco_url``.

    Args:
        progress: called with how many entries are done: sizes that are not known yet are read from the files.
    """
    plan = Matched()
    wanted = Counter(_base(names[0]) if (names := names_of(row)) else "" for row in coco.images)
    known = _Names(place, wanted)
    ids = Counter(whole_number(row.get("id")) for row in coco.images if isinstance(row, dict))
    taken: dict[int, str] = {}
    by_name_only = 0
    for number, row in enumerate(coco.images, start=1):
        if progress is not None:
            progress(number)
        source_id = whole_number(row.get("id")) if isinstance(row, dict) else None
        names = names_of(row)
        if source_id is None or not names:
            why = text_id(row) if isinstance(row, dict) else ""
            subject = f"image {number}{':' if why else ''}"
            tally.add(subject, why or "has no usable id or file_name", noun="image", kind=why and "id is text")
            continue
        if ids[source_id] > 1:
            if source_id not in plan.unusable:
                text = f"is used {ids[source_id]} times"
                plan.unusable[source_id] = tally.add(f"image id {source_id}", text, noun="image")
            continue
        image = known.by_path(names)
        if image is None:
            image = known.by_base(names)
            by_name_only += image is not None
        image = image if image is None or image.id in taken else _measured(image, place)
        problem = _problem(row, names[0], image, taken, known, place)
        if problem[1] or image is None:
            subject, text, kind = problem
            plan.unusable[source_id] = tally.add(subject, text, noun="image", kind=kind, many=_MANY.get(kind, ""))
            continue
        taken[image.id] = names[0]
        plan.by_id[source_id], plan.rows[source_id] = image, row
    if by_name_only:
        notes.append(f"matched by file name only, in another folder: {counted(by_name_only, 'image')}")
    return plan


def names_of(row: Any) -> list[str]:
    """What an entry may call its image, the plain name first; none when it has no name."""
    if not isinstance(row, dict):
        return []
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        url = row.get("coco_url")
        name = url.split("?")[0].split("#")[0].rsplit("/", 1)[-1] if isinstance(url, str) else ""
    found = dict.fromkeys(variant for variant in _variants(name) if variant)
    return list(found)


def _variants(name: str) -> Iterator[str]:
    yield name
    path = name.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    yield path
    url = _URL.match(path)
    if url is not None:
        yield url[1]
        yield unquote(url[1])
    elif "%" in path:
        yield unquote(path)


def _measured(image: ImageRecord, place: Place) -> ImageRecord:
    return image if image.width > 0 and image.height > 0 else place.measure(image)


def _problem(
    row: dict[str, Any], name: str, image: ImageRecord | None, taken: dict[int, str], known: _Names, place: Place
) -> tuple[str, str, str]:
    """Why an entry cannot be used: subject, text and kind; empty texts when it can."""
    told = f"{name[:200]!a}"
    if image is None:
        count = known.namesakes(names_of(row))
        if count > 1:
            text = f"is ambiguous: it is not in {brief(place.name)} by its path, and {count} images there have its name"
            return told, text, "ambiguous"
        return told, f"is not in {brief(place.name)}", "missing"
    if image.id in taken:
        return told, f"is the same image as {taken[image.id][:200]!a}", "twice"
    if image.width <= 0:
        return image.name, "cannot be read, so its size is unknown", "unreadable"
    width, height = whole_number(row.get("width")), whole_number(row.get("height"))
    # 0, null, nothing or text: the program that wrote it did not know, which contradicts nothing.
    if not (width and height and width > 0 and height > 0) or (width, height) == (image.width, image.height):
        return "", "", ""
    turned = (height, width) == (image.width, image.height)
    why = "; width and height are swapped (EXIF orientation?)" if turned else ""
    claimed = f"{shown(row['width'])} x {shown(row['height'])}"
    text = f"is {image.width} x {image.height} pixels, the file says {claimed}{why}"
    return image.name, text, "turned" if turned else "size"


def _base(path: str) -> str:
    return _composed(path.rsplit("/", 1)[-1])


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
