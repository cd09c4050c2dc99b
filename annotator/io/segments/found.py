"""What a segmentation file says, laid onto the pictures that it is asked for. Crosses from a reader process as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.planes import Plane

MOST_SEGMENTS = 65_535
CLASS_TAG = "annotator.class:"
"""Before the name of a class, where a format has a place for words of any kind."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that masks are wanted for.

    Attributes:
        width, height: in pixels, as shown.
        plane: where it lies; None where that is not known: then its ``slot`` counts.
        uid: SOPInstanceUID; frame: in its file, from 0.
        slot: its place among the slices of a volume without a place in space; time: of a volume of several times.
    """

    width: int
    height: int
    plane: Plane | None
    uid: str = ""
    frame: int = 0
    slot: int = 0
    time: int = 0

    def to_data(self) -> list[Any]:
        plane = None if self.plane is None else self.plane.to_data()
        return [self.width, self.height, plane, self.uid, self.frame, self.slot, self.time]

    @classmethod
    def from_data(cls, data: Sequence[Any]) -> Picture:
        width, height, plane, *rest = data
        return cls(width, height, None if plane is None else Plane.from_data(plane), *rest)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment, or a structure, or a label.

    Attributes:
        key: its number in the file.
        name: what the file calls it; empty for a bare label. category: its class, where the file says one besides.
        colour: ``#rrggbb`` or empty.
        track: the file's own word for one object through its slices.
        code: DICOM's coded category and type, each [value, scheme, meaning].
    """

    key: int
    name: str = ""
    colour: str = ""
    track: str = ""
    code: dict[str, list[str]] = field(default_factory=dict)
    category: str = ""


@dataclass(slots=True)
class Found:
    """The answer.

    Attributes:
        masks: (index of the picture, key of the segment, COCO run lengths).
        loose: how many slices of segments lie on none of the pictures.
        shape: columns, rows and slices of a volume file.
        has_space: whether the file says where it lies.
        notes: what was decided.
    """

    segments: list[Segment] = field(default_factory=list)
    masks: list[tuple[int, int, str]] = field(default_factory=list)
    loose: int = 0
    shape: tuple[int, int, int, int] = (0, 0, 0, 0)
    has_space: bool = True
    notes: list[str] = field(default_factory=list)

    def to_data(self) -> dict[str, Any]:
        segments = [[one.key, one.name, one.colour, one.track, one.code, one.category] for one in self.segments]
        return {
            "segments": segments,
            "masks": self.masks,
            "loose": self.loose,
            "shape": self.shape,
            "has_space": self.has_space,
            "notes": self.notes,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Found:
        segments = [Segment(*row) for row in data["segments"]]
        masks = [(int(picture), int(key), str(rle)) for picture, key, rle in data["masks"]]
        i, j, k, times = data["shape"]
        return cls(segments, masks, data["loose"], (i, j, k, times), data["has_space"], list(data["notes"]))


class PlaneIndex:
    """Finds the picture that lies where a plane does."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = [(at, one.plane) for at, one in enumerate(pictures) if one.plane is not None]
        self._origins = np.array([plane.origin for _, plane in self._pictures], np.float64).reshape(-1, 3)

    def find(self, plane: Plane) -> int | None:
        """Index of the picture with the same pixels; None when there is none."""
        if not self._pictures:
            return None
        distances = np.linalg.norm(self._origins - np.asarray(plane.origin), axis=1)
        nearest: list[int] = np.argsort(distances)[:4].tolist()
        for at in nearest:
            number, own = self._pictures[at]
            if own.is_same(plane):
                return number
        return None

    def nearest(self, points: npt.NDArray[Any], within_mm: float) -> int | None:
        """Index of the picture in whose plane the points lie."""
        best, found = within_mm, None
        middle = np.asarray(points, np.float64).mean(axis=0)
        for number, plane in self._pictures:
            away = abs(float((middle - plane.origin) @ plane.normal))
            if away < best:
                best, found = away, number
        if found is None:
            return None
        plane = next(plane for number, plane in self._pictures if number == found)
        _, above = plane.pixels(points)
        return found if float(np.abs(above).max()) <= within_mm else None
