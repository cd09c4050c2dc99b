"""Where pixels come from: a file and a frame in it, and series, which put frames in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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
        extra: plain JSON data: ``step_mm`` from slice to slice, ``notes``, and places of ``gaps``
            (:mod:`annotator.domain.slices`).
    """

    id: int
    kind: SeriesKind
    name: str
    identity: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def step_mm(self) -> float | None:
        """From slice to slice in millimetres, where the files give it."""
        match self.extra.get("step_mm"):
            case int() | float() as step if step > 0:
                return float(step)
        return None


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
