"""Where the frames of files lie in space, for exports and imports that need more than an order: from heads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from annotator.domain.planes import FloatArray, Plane


@dataclass(frozen=True, slots=True)
class Turn:
    """How a slice as it is stored (j x i) becomes what is shown: axes change places, then are turned round."""

    is_turned: bool = False
    flips_x: bool = False
    flips_y: bool = False

    def upright(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A slice (j x i, or j x i x colours) as it is shown."""
        shown = plane.swapaxes(0, 1) if self.is_turned else plane
        shown = shown[:, ::-1] if self.flips_x else shown
        return shown[::-1] if self.flips_y else shown

    def stored(self, shown: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What :meth:`upright` makes ``shown`` of."""
        plane = shown[::-1] if self.flips_y else shown
        plane = plane[:, ::-1] if self.flips_x else plane
        return plane.swapaxes(0, 1) if self.is_turned else plane


UPRIGHT = Turn()
"""Slices are stored as they are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class VolumeGrid:
    """The numbers of a volume file; the first axis varies fastest.

    Attributes:
        shape: of the three axes, and how many volumes (times) there are.
        affine: 4 x 4, from indices to LPS millimetres; None where the file does not say.
        turn: how its slices are shown.
        is_guess: whether ``affine`` is only what readers take for a file that says none.
    """

    shape: tuple[int, int, int, int]
    affine: FloatArray | None
    turn: Turn
    is_guess: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FilePlaces:
    """One file.

    Attributes:
        planes: of each frame as it is shown; None where the file does not say.
        uid: SOPInstanceUID; series_uid, reference_uid: of the series and the frame of reference. They stay in memory.
        volume: of a volume file.
        spacing_xy: size of a pixel in millimetres, also where nothing says where it lies.
    """

    planes: tuple[Plane | None, ...]
    uid: str = ""
    series_uid: str = ""
    reference_uid: str = ""
    volume: VolumeGrid | None = None
    spacing_xy: tuple[float, float] | None = None

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data, to get it out of a reader process."""
        found: dict[str, Any] = {"planes": [None if plane is None else plane.to_data() for plane in self.planes]}
        found |= {"uid": self.uid, "series_uid": self.series_uid, "reference_uid": self.reference_uid}
        found["spacing_xy"] = self.spacing_xy
        if self.volume is not None:
            grid, turn = self.volume, self.volume.turn
            affine = None if grid.affine is None else grid.affine.tolist()
            found["volume"] = [grid.shape, affine, [turn.is_turned, turn.flips_x, turn.flips_y], grid.is_guess]
        return found

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> FilePlaces:
        """What :meth:`to_data` has made."""
        planes = tuple(None if plane is None else Plane.from_data(plane) for plane in data["planes"])
        volume = None
        if data.get("volume") is not None:
            (i, j, k, times), affine, turn, is_guess = data["volume"]
            known = None if affine is None else np.array(affine, np.float64)
            volume = VolumeGrid((i, j, k, times), known, Turn(*turn), is_guess)
        spacing = data["spacing_xy"]
        spacing_xy = None if spacing is None else (float(spacing[0]), float(spacing[1]))
        return cls(planes, data["uid"], data["series_uid"], data["reference_uid"], volume, spacing_xy)


def plane_of(places: Mapping[str, FilePlaces], path: str, frame: int) -> Plane | None:
    """Where a frame of a file lies; None where that is not known."""
    found = places.get(path)
    return None if found is None or frame >= len(found.planes) else found.planes[frame]


@runtime_checkable
class PlacingReader(Protocol):
    """A reader whose files say where their frames lie, or how large their pixels are.

    Attributes:
        placed: suffixes of such files, lower case, with the dot.
    """

    placed: frozenset[str]

    def places(self, stream: BinaryIO, name: str) -> FilePlaces:
        """From heads only. May raise anything for a damaged file."""
        ...
