"""A volume in a file: where its numbers lie, what they mean, and how its slices lie in space.

Slices are shown as DICOM shows them: along a row towards the patient's left, and down towards the back (for slices that
stand upright: towards the back or left, and down towards the feet). Space is in LPS millimetres.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.planes import Plane
from annotator.domain.slices import Vector
from annotator.domain.window import Window
from annotator.domain.windowing import Native, show
from annotator.io.images.claims import ask_for
from annotator.io.images.places import UPRIGHT, FilePlaces, Turn, VolumeGrid
from annotator.io.images.reader import (
    CONVERT,
    COPY_AGAIN,
    DIRECTIONS_FACT,
    Pixels,
    RgbArray,
    check_size,
    frame_note,
    joined,
)
from annotator.io.images.survey import MAX_FRAMES, Survey

_MAX_UNPACKED_BYTES = 32 << 30
_MOST_RATIO = 1032
"""Of gzip: it packs no better."""
_ROOM_SHARE = 0.5
"""Of the free space for temporary files: others need some, too."""
_CHUNK_BYTES = 1 << 20
_SAMPLED_SLICES = 9
_LOW, _HIGH = 0.5, 99.5
"""Percentiles that become black and white: of the whole volume, so that slices do not flicker."""
_KEPT = 2

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Numbers of a volume; the first axis varies fastest.

    Attributes:
        shape: of the three axes, and how many volumes (times) there are.
        dtype: of a number as it is stored, or of a colour (``samples`` of them).
        offset: of the first number in the (unpacked) data.
        is_packed: whether the data are packed by gzip, from ``offset_packed`` in the file on; then ``offset`` counts
            in what is unpacked.
        slope, intercept: make values of numbers.
        affine: 4 x 4, from indices to LPS millimetres.
        shown: the range that the file wants to be shown, in values, if it names one.
        has_space: whether there is an ``affine``; is_guess: whether it is what readers take for a file that says none.
        notes: what is to be said of it.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    affine: FloatArray
    samples: int = 1
    is_packed: bool = False
    offset_packed: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    shown: tuple[float, float] | None = None
    has_space: bool = True
    is_guess: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def slice_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.samples * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.slice_bytes * self.frames

    @property
    def frames(self) -> int:
        return self.shape[2] * self.shape[3]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of a slice as it is shown."""
        i, j = self.shape[:2]
        return (j, i) if self.turn.is_turned else (i, j)

    def spacing_mm(self) -> tuple[float, float] | None:
        """Size (x, y) of a pixel as it is shown."""
        if not self.has_space:
            return None
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        i, j = float(lengths[0]), float(lengths[1])
        return (j, i) if self.turn.is_turned else (i, j)

    def step_mm(self) -> float:
        """From slice to slice along the normal; 0 where it is not known."""
        if not self.has_space:
            return 0.0
        normal = np.cross(self.affine[:3, 0], self.affine[:3, 1])
        length = float(np.linalg.norm(normal))
        return abs(float(self.affine[:3, 2] @ normal)) / length if length else 0.0

    def upright(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A slice (j x i, or j x i x colours) as it is shown."""
        return self.turn.upright(plane)

    def planes(self, most: int = MAX_FRAMES) -> tuple[Plane | None, ...]:
        """Where each frame lies as it is shown; of the first ones only, where a file claims to have more."""
        count = min(self.frames, most)
        if not self.has_space:
            return (None,) * count
        turn, (i, j, slices, _) = self.turn, self.shape
        x, y = (1, 0) if turn.is_turned else (0, 1)
        sizes, affine = (i, j), self.affine
        first = np.zeros(4)
        first[3] = 1
        ways: list[npt.NDArray[Any]] = []
        for axis, is_flipped in ((x, turn.flips_x), (y, turn.flips_y)):
            first[axis] = sizes[axis] - 1 if is_flipped else 0
            ways.append(affine[:3, axis] * (-1 if is_flipped else 1))
        lengths = [float(np.linalg.norm(way)) for way in ways]
        row, column = (_vector(way / length) for way, length in zip(ways, lengths, strict=True))
        found: list[Plane | None] = []
        for number in range(min(slices, count)):
            first[2] = number
            found.append(Plane(_vector((affine @ first)[:3]), row, column, (lengths[0], lengths[1])))
        return tuple(found[number % slices] for number in range(count))

    @property
    def turn(self) -> Turn:
        """Whether columns and rows change places, and which of them are turned round."""
        if not self.has_space:
            return UPRIGHT
        axes = [int(np.argmax(np.abs(self.affine[:3, n]))) for n in range(2)]
        # What goes more from head to foot goes down; else what goes more from side to side goes to the right.
        is_turned = axes[0] == 2 or (axes[1] == 0 and axes[0] != 2)
        x, y = (1, 0) if is_turned else (0, 1)
        flips_x = self.affine[axes[x], x] < 0
        flips_y = self.affine[axes[y], y] < 0 if axes[y] != 2 else self.affine[2, y] > 0
        return Turn(is_turned, bool(flips_x), bool(flips_y))


def _missing(stream: BinaryIO, grid: Grid) -> tuple[str, ...]:
    """How much of a file that is cut off is gone; of a packed one that is not known before it is unpacked."""
    there = (os.fstat(stream.fileno()).st_size - grid.offset) // grid.slice_bytes
    if grid.is_packed or there >= grid.frames:
        return ()
    return (f"cut off: {grid.frames - max(0, there)} of {counted(grid.frames, 'slice')} missing",)


def _vector(values: npt.NDArray[Any]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


class GridReader:
    """What readers of volumes have in common.

    Args:
        grid: says where the numbers of a file are; raises ``ImageError`` where it is damaged, or of a kind that cannot
            be shown.
    """

    def __init__(self, grid: Callable[[BinaryIO, str], Grid]) -> None:
        self.grid = grid

    def survey(self, stream: BinaryIO, name: str) -> Survey:
        """See :class:`annotator.io.images.survey.SurveyingReader`."""
        grid = self.grid(stream, name)
        frames = min(MAX_FRAMES, grid.frames)
        notes = (*grid.notes, *_missing(stream, grid))
        return Survey(frames, (), round(grid.step_mm(), 4), grid.size_wh, is_volume=True, notes=notes)

    def places(self, stream: BinaryIO, name: str) -> FilePlaces:
        """See :class:`annotator.io.images.places.PlacingReader`."""
        grid = self.grid(stream, name)
        volume = VolumeGrid(
            grid.shape, np.asarray(grid.affine, np.float64) if grid.has_space else None, grid.turn, grid.is_guess
        )
        return FilePlaces(grid.planes(), volume=volume, spacing_xy=grid.spacing_mm())

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        return self.grid(stream, name).size_wh

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        grid = self.grid(stream, name)
        if not 0 <= frame < grid.frames:
            raise ImageError(f"{brief(name)} has {counted(grid.frames, 'slice')}; there is no slice {frame + 1}.")
        check_size(name, *grid.size_wh, max_pixels)
        ask_for(name, *grid.size_wh, grid.samples * (grid.dtype.itemsize + 8) + 4)
        data, stamp = unpacked(stream, grid, name)
        plane = _plane(data, grid, frame, name)
        upright = np.ascontiguousarray(grid.upright(plane))
        place, spacing = frame_note(frame, grid.frames, word="slice"), grid.spacing_mm()
        facts = _facts(grid)
        if grid.samples > 1:
            return Pixels(np.ascontiguousarray(upright[:, :, :3], np.uint8), "", spacing, facts, place)
        low, high = _shown_range(data, grid, stamp, name)
        native = _native(upright, grid, Window.of_range(low, high))
        window = f"{low:g} to {high:g}"
        return Pixels(show(native), window, spacing, facts, joined(window, place), native)

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        return self.read(stream, name, frame=0, max_pixels=max_pixels).rgb


def _facts(grid: Grid) -> dict[str, Any]:
    """Where rows and columns lead, the same in all slices, where the file says it."""
    plane = None if grid.is_guess else grid.planes(1)[0]
    if plane is None:
        return {}
    return {DIRECTIONS_FACT: [[round(value, 4) for value in axis] for axis in (plane.row, plane.column)]}


def _plane(data: BinaryIO, grid: Grid, frame: int, name: str) -> npt.NDArray[np.generic]:
    """A slice as it is stored, j x i (x samples)."""
    data.seek(grid.offset + frame * grid.slice_bytes)
    raw = data.read(grid.slice_bytes)
    if len(raw) < grid.slice_bytes:
        raise ImageError(f"{brief(name)} is cut off: slice {frame + 1} is missing.", COPY_AGAIN)
    i, j = grid.shape[:2]
    return np.frombuffer(raw, grid.dtype).reshape((j, i, grid.samples) if grid.samples > 1 else (j, i))


def _native(plane: npt.NDArray[Any], grid: Grid, window: Window) -> Native:
    """The numbers of a slice, with the window of the volume."""
    values = plane.astype(plane.dtype.newbyteorder("="), copy=False)
    empty = ~np.isfinite(values) if values.dtype.kind == "f" else None
    if empty is not None and not empty.any():
        empty = None
    values.setflags(write=False)
    return Native(values, window, grid.slope, grid.intercept, empty=empty, kind=values.dtype.name)


_ranges: OrderedDict[tuple[int, ...], tuple[float, float]] = OrderedDict()


def _shown_range(data: BinaryIO, grid: Grid, stamp: tuple[int, ...], name: str) -> tuple[float, float]:
    """What becomes black and white, in values."""
    if grid.shown is not None:
        return grid.shown
    known = _ranges.get(stamp)
    if known is None:
        count = min(_SAMPLED_SLICES, grid.frames)
        found: list[npt.NDArray[np.float64]] = []
        for frame in sorted({round(number * (grid.frames - 1) / max(1, count - 1)) for number in range(count)}):
            try:
                values = _plane(data, grid, frame, name).astype(np.float64).ravel() * grid.slope + grid.intercept
            except ImageError:  # a file that is cut off shows the slices that it has
                continue
            found.append(values[np.isfinite(values)][:: max(1, values.size // 65_536)])
        values = np.concatenate(found) if found else np.zeros(1)
        low, high = np.percentile(values, (_LOW, _HIGH)) if values.size else (0.0, 1.0)
        if high <= low:
            low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        known = _ranges[stamp] = (float(low), float(high if high > low else low + 1))
        if len(_ranges) > 64:
            _ranges.popitem(last=False)
    return known


# --- packed files -----------------------------------------------------------------------------------------------------

_unpacked: OrderedDict[tuple[int, ...], BinaryIO] = OrderedDict()
"""Of the files read last, in files without a name, which go with this process."""


def unpacked(stream: BinaryIO, grid: Grid, name: str) -> tuple[BinaryIO, tuple[int, ...]]:
    """Where the numbers can be read from, and what names the file's state."""
    info = os.fstat(stream.fileno())
    stamp = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    if not grid.is_packed:
        return stream, stamp
    found = _unpacked.get(stamp)
    if found is None:
        _check_room(grid, name, info.st_size)
        found = _unpacked[stamp] = unpack(stream, grid.offset_packed, grid.offset + grid.nbytes)
        if len(_unpacked) > _KEPT:
            _unpacked.popitem(last=False)[1].close()
    _unpacked.move_to_end(stamp)
    return found, stamp


def _check_room(grid: Grid, name: str, packed_bytes: int) -> None:
    """Raises: ImageError: what it unpacks to is too much for anybody, or for the disk of temporary files."""
    wanted = grid.offset + grid.nbytes
    if wanted > _MAX_UNPACKED_BYTES:
        raise ImageError(f"{brief(name)} unpacks to {grid.nbytes / 1e9:,.0f} GB, which is too much.", CONVERT)
    need, free = min(wanted, packed_bytes * _MOST_RATIO), shutil.disk_usage(tempfile.gettempdir()).free
    if need > free * _ROOM_SHARE:
        what = f"{brief(name)} unpacks to {need / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free for temporary files."
        raise ImageError(what, "Free some space, or unpack it to a .nii or .nrrd file that is not packed.")


@atexit.register
def _close_unpacked() -> None:
    while _unpacked:
        _unpacked.popitem()[1].close()


def unpack(stream: BinaryIO, start: int, most_bytes: int) -> BinaryIO:
    """The first bytes of what gzip has packed, in a file without a name; fewer where the packed data end early."""
    made: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - kept
    try:
        feed(stream, start, most_bytes, made.write)
    except BaseException:
        made.close()
        raise
    return made


def feed(stream: BinaryIO, start: int, most_bytes: int, take: Callable[[bytes], object]) -> None:
    """Unpack piece by piece, never more than is wanted."""
    stream.seek(start)
    unpacker = zlib.decompressobj(31)
    left = most_bytes
    while left > 0 and not unpacker.eof:
        packed = unpacker.unconsumed_tail or stream.read(_CHUNK_BYTES)
        if not packed:
            return
        piece = unpacker.decompress(packed, min(left, _CHUNK_BYTES))
        take(piece)
        left -= len(piece)
