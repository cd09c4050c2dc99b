"""Whether something about patients has got out of the images of a project: into its file, names, exports, caches, logs.

The search knows what to look for from the DICOM files themselves. It says what kind of thing stands where, and never
the thing; a file name that holds it is replaced by a number.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError, ProjectError
from annotator.domain.ports.jobs import Progress
from annotator.domain.privacy import Identifiers, Identity, identifiers_of
from annotator.domain.project import ImageRecord
from annotator.files.places import cache_dir, log_dir, state_dir
from annotator.io.images.reading import read_identity
from annotator.io.project.edit_blobs import MAX_EDIT_BYTES
from annotator.io.project.identifiers import keeps_uids
from annotator.io.project.queries import ProjectQueries, table_values

_CHUNK_BYTES, _OVERLAP_BYTES = 4 << 20, 1 << 10
_HEAD_BYTES = 64 << 10
"""For the progress: what reading an image's head counts."""
_NUMBERS = ".safetensors"
"""Of such a file only the header is searched: what follows are the numbers of an embedding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``kinds`` of identifiers stand at ``place``, in ``count`` rows or names."""

    place: str
    kinds: frozenset[Identity]
    count: int = 1

    def __str__(self) -> str:
        several = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.place}: {', '.join(sorted(self.kinds))}{several}"


@dataclass(frozen=True, slots=True)
class PrivacyReport:
    """What was found.

    Attributes:
        findings: what should not be there.
        dicom_images: of how many it is known what to look for; ``unread``: of how many it could not be read.
        burned_in: images whose pixels probably show text about the patient.
        keeps_uids: whether the project says that UIDs stay; then they are no finding.
        places: how many files were searched.
    """

    findings: tuple[Finding, ...]
    dicom_images: int
    unread: int
    burned_in: int
    keeps_uids: bool
    places: int

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = [f"{counted(self.dicom_images, 'DICOM image')}, {counted(self.places, 'place')} searched"]
        if self.unread:
            lines.append(f"{counted(self.unread, 'image')} could not be read: what they say was not looked for")
        if self.keeps_uids:
            lines.append("this project keeps UIDs (Settings, Project); they were not looked for")
        if self.burned_in:
            lines.append(
                f"{counted(self.burned_in, 'image')} may show text about the patient in the pixels: look at them"
            )
        lines += [str(finding) for finding in self.findings] or ["nothing about a patient was found"]
        return lines


def check_privacy(
    project: ProjectQueries, *, others: Sequence[Path] = (), progress: Progress = lambda _done, _total: None
) -> PrivacyReport:
    """Search a project, the program's caches, logs and state, and ``others`` (exports: files or folders).

    Args:
        progress: called with bytes (searched, to be searched), image files counted by their heads; what it raises ends
            the search.

    Raises:
        ProjectError: the project cannot be read.
    """
    images = project.images()
    places = [*_places(others)]
    heads = len({image.path for image in images}) * _HEAD_BYTES
    total = heads + sum(place.size for place in places)
    values, dicom, unread, burned_in = _identities(project, images, lambda done: progress(done * _HEAD_BYTES, total))
    keeps = keeps_uids(project)
    wanted = identifiers_of((kind, text) for kind, text in values if not (keeps and kind is Identity.UID))
    findings = [*_in_rows(project, wanted), *_in_names(images, wanted)]
    done = heads
    for place in places:
        findings += _in_file(place, wanted, lambda read, before=done: progress(before + read, total))  # type: ignore[misc]
        done += place.size
    return PrivacyReport(tuple(findings), dicom, unread, burned_in, keeps, len(places) + 1)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file to be searched: what it is called in the report, where it lies below, and how much of it is read."""

    name: str
    path: Path
    root: Path
    size: int


def _places(others: Sequence[Path]) -> Iterator[_Place]:
    count = 1  # the project's own file
    for name, root in (("cache", cache_dir()), ("log", log_dir()), ("state", state_dir())):
        for path in _files(root):
            count += 1
            yield _Place(f"{name}: file {count}", path, root, _searched_bytes(path))
    for other in others:
        for path in _files(other):
            yield _Place(f"{brief(other.name)}: {brief(path.name)}", path, other.parent, _searched_bytes(path))


def _searched_bytes(path: Path) -> int:
    """How much of it is searched; nothing of what has gone meanwhile."""
    try:
        size = path.stat().st_size
        return size if path.suffix != _NUMBERS else _header_bytes(path, size)
    except OSError:
        return 0


def _header_bytes(path: Path, size: int) -> int:
    """With the eight bytes that say its length; all of a file that has no such header."""
    with path.open("rb") as file:
        head = file.read(9)
    length = 8 + int.from_bytes(head[:8], "little")
    return length if head[8:] == b"{" and length <= size else size


def _identities(
    project: ProjectQueries, images: Sequence[ImageRecord], progress: Callable[[int], object]
) -> tuple[set[tuple[Identity, str]], int, int, int]:
    values: set[tuple[Identity, str]] = set()
    dicom = unread = burned_in = 0
    paths = dict.fromkeys(image.path for image in images)
    first = {image.path: image for image in reversed(images)}
    for done, path in enumerate(paths):
        progress(done)
        try:
            identity = read_identity(project.image_path(first[path]))
        except (ImageError, ProjectError):
            unread += 1
            continue
        if identity is not None:
            dicom += 1
            burned_in += bool(identity["burned_in"])
            values.update((Identity(kind), text) for kind, text in identity["values"])
    return values, dicom, unread, burned_in


def _in_rows(project: ProjectQueries, wanted: Identifiers) -> Iterator[Finding]:
    """Every value of every table; what is packed is unpacked."""
    kinds: dict[str, set[Identity]] = {}
    counts: Counter[str] = Counter()
    for table, column, value in table_values(project):
        found = wanted.found_in(_as_bytes(value))
        if found:
            place = f"project file: {table}.{column}"
            kinds.setdefault(place, set()).update(found)
            counts[place] += 1
    for place, several in kinds.items():
        yield Finding(place, frozenset(several), counts[place])


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    unpacked = zlib.decompressobj()
    try:
        return bytes(value) + b"\n" + unpacked.decompress(value, MAX_EDIT_BYTES)
    except zlib.error:
        return bytes(value)


def _in_names(images: Iterable[ImageRecord], wanted: Identifiers) -> Iterator[Finding]:
    kinds: set[Identity] = set()
    count = 0
    for image in images:
        found = wanted.found_in(image.path.encode("utf-8", "replace"))
        kinds |= found
        count += bool(found)
    if kinds:
        yield Finding("names of image files", frozenset(kinds), count)


def _in_file(place: _Place, wanted: Identifiers, progress: Callable[[int], object]) -> Iterator[Finding]:
    path, root, called = place.path, place.root, place.name
    name = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    in_name = wanted.found_in(name.encode("utf-8", "replace"))
    if in_name:
        called = f"{called.split(':')[0]}: the name of a file"
        yield Finding(called, in_name)
    try:
        found = _read(place, wanted.found_in, progress)
    except OSError:
        return
    if found:
        yield Finding(called, found)


def _read(
    place: _Place, search: Callable[[bytes], frozenset[Identity]], progress: Callable[[int], object]
) -> frozenset[Identity]:
    """Block by block; what was added to a file since it was listed is searched as well."""
    found: frozenset[Identity] = frozenset()
    left = place.size if place.path.suffix == _NUMBERS else sys.maxsize
    read = 0
    with place.path.open("rb") as file:
        before = b""
        while block := file.read(min(_CHUNK_BYTES, left - read)):
            progress(min(read, place.size))
            found |= search(before + block)
            before = block[-_OVERLAP_BYTES:]
            read += len(block)
    return found


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path
