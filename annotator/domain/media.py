"""Where pixels come from: a file and a frame in it, and series, which put frames in order."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from annotator.domain.frame_pick import FramePick, pick_from_data

PICK_KEY, STEP_KEY, TIME_KEY = "pick", "step_ms", "time_ms"
"""In ``extra`` of a video's series: which frames of the file are its images, and the time between them. In that of its
images: when they are shown, from the beginning of the file."""
UNCOUNTED_KEY = "is_uncounted"
"""In ``extra`` of a video's series while its images are only the first frames: the others are being counted."""
VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
_FRAME = re.compile(r"(.+)#([1-9][0-9]{0,8})")


class SeriesKind(StrEnum):
    """What a series is made of."""

    PAGES = "pages"
    """Pages or frames of one file, in their order: TIFF, GIF, multi-frame DICOM."""
    DICOM = "dicom"
    """DICOM files, a slice each."""
    VOLUME = "volume"
    """Slices of a volume file: NIfTI, NRRD."""
    FOLDER = "folder"
    """Files whose names count up."""


@dataclass(frozen=True, slots=True)
class Series:
    """Images of a project that belong together, in an order: the slices of a volume, the pages of a file.

    Attributes:
        name: for people: the file, or the folder of the files, relative to the image folder.
        identity: what the same series has again when the folder is looked through once more.
        extra: plain JSON data: ``step_mm``, ``offsets_mm``, ``gaps`` and ``notes``, as in
            :class:`annotator.domain.slices.Stack`; of a video ``step_ms``, and ``pick`` where not all of its frames
            are images.
    """

    id: int
    kind: SeriesKind
    name: str
    identity: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def step_mm(self) -> float | None:
        """From slice to slice in millimetres, where the files give it."""
        return self._positive("step_mm")

    @property
    def step_ms(self) -> float | None:
        """From frame to frame in milliseconds, where the file has a time: a video."""
        return self._positive(STEP_KEY)

    @property
    def pick(self) -> FramePick:
        """Which frames of a video are its images, beside those with work."""
        return pick_from_data(self.extra.get(PICK_KEY))

    @property
    def is_counted(self) -> bool:
        """Whether all frames of the file are known."""
        return self.extra.get(UNCOUNTED_KEY) is not True

    def _positive(self, key: str) -> float | None:
        match self.extra.get(key):
            case int() | float() as step if 0 < step < math.inf:
                return float(step)
        return None

    @property
    def offsets_mm(self) -> tuple[float, ...]:
        """Where each slice lies along the normal, from the first; empty where it is not known."""
        found = self.extra.get("offsets_mm")
        values = found if isinstance(found, list) else []
        return tuple(float(value) for value in values) if all(isinstance(v, int | float) for v in values) else ()

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Places after which slices are missing, and how many."""
        found = self.extra.get("gaps")
        pairs = [pair for pair in found if isinstance(pair, list) and len(pair) == 2] if isinstance(found, list) else []
        return tuple((at, count) for at, count in pairs if isinstance(at, int) and isinstance(count, int))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it, a part of a sentence each."""
        found = self.extra.get("notes")
        return tuple(note for note in found if isinstance(note, str)) if isinstance(found, list) else ()


class Placed(Protocol):
    """Something that may be in a series."""

    @property
    def series_id(self) -> int: ...
    @property
    def position(self) -> int: ...


_P = TypeVar("_P", bound=Placed)


def in_order(images: Sequence[_P]) -> list[_P]:
    """Images as people go through them: in their order, and the slices of a series together, where its first one is."""
    slices: dict[int, list[_P]] = defaultdict(list)
    for image in images:
        if image.series_id:
            slices[image.series_id].append(image)
    if not slices:
        return list(images)
    found: list[_P] = []
    for image in images:
        if image.series_id == 0:
            found.append(image)
        else:
            found.extend(sorted(slices.pop(image.series_id, ()), key=lambda one: one.position))
    return found


def rows_by_series(images: Sequence[Placed]) -> dict[int, range]:
    """Where the slices of each series are among images in order."""
    found: dict[int, range] = {}
    for row, image in enumerate(images):
        if image.series_id:
            known = found.get(image.series_id)
            found[image.series_id] = range(row if known is None else known.start, row + 1)
    return found


def is_video_path(path: str) -> bool:
    """By its suffix."""
    return path[path.rfind(".") :].lower() in VIDEO_SUFFIXES


def frame_name(path: str, frame: int) -> str:
    """What files that this program writes call a frame: the first has its file's own name, a later one ``path#frame``,
    counted from 0."""
    return path if frame == 0 else f"{path}#{frame}"


def split_frame_name(name: str) -> tuple[str, int]:
    """Path and frame of a :func:`frame_name`; 0 for a name that has none."""
    found = _FRAME.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 0)


def frame_stem(path: str, frame: int) -> str:
    """The path without its suffix, for a file that goes with a frame: ``sub/stack#7`` beside ``sub/stack``."""
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return frame_name(f"{folder}{slash}{stem}", frame)
