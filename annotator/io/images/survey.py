"""What a look into the heads of files shows: how many frames they have, and where their slices lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, runtime_checkable

from annotator.domain.slices import SliceFacts

MAX_FRAMES = 1 << 16
"""Of one file: a damaged head may say anything."""


@dataclass(frozen=True, slots=True)
class Survey:
    """One file.

    Attributes:
        frames: pictures in it, at least 1.
        order: of the frames along their normal; empty: the file's own.
        step_mm: from frame to frame along the normal; 0 where it is not known.
        step_ms: from frame to frame in time; 0 where there is none.
        size_wh: of a picture, as shown; 0 where it is not known without reading more.
        is_volume: whether the frames are slices of a volume and no pages.
        notes: what is to be said of it, a part of a sentence each.
        slice: where the file's one picture lies in space, and what it belongs to; None where it does not say.
        times_ms: of the frames of a video, from its beginning; empty for any other file.
        is_counted: whether these are all frames; of a long video that was only glanced at they are the first ones.
    """

    frames: int = 1
    order: tuple[int, ...] = ()
    step_mm: float = 0.0
    size_wh: tuple[int, int] = (0, 0)
    slice: SliceFacts | None = field(default=None)
    is_volume: bool = False
    notes: tuple[str, ...] = ()
    step_ms: float = 0.0
    times_ms: tuple[float, ...] = ()
    is_counted: bool = True

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data, to get it out of a reader process; the path of the slice stays behind."""
        found: dict[str, Any] = {"frames": self.frames, "order": self.order, "step_mm": self.step_mm}
        found |= {"size_wh": self.size_wh, "is_volume": self.is_volume, "notes": self.notes}
        found |= {"step_ms": self.step_ms, "times_ms": self.times_ms, "is_counted": self.is_counted}
        if self.slice is not None:
            one = self.slice
            found["slice"] = [one.series, one.row, one.column, one.position, one.kinds]
        return found

    @classmethod
    def from_data(cls, data: dict[str, Any], path: str) -> Survey:
        """The survey that :meth:`to_data` has made, of the file ``path``."""
        one = data.get("slice")
        slice_facts = None
        if one is not None:
            series, row, column, position, kinds = one
            slice_facts = SliceFacts(path, series, tuple(row), tuple(column), tuple(position), tuple(kinds))
        width, height = data["size_wh"]
        order, notes = tuple(data["order"]), tuple(data["notes"])
        size_wh, is_volume = (width, height), data["is_volume"]
        step_ms, times_ms, is_counted = data["step_ms"], tuple(data["times_ms"]), data["is_counted"]
        kinds_of = (size_wh, slice_facts, is_volume, notes, step_ms, times_ms, is_counted)
        return cls(data["frames"], order, data["step_mm"], *kinds_of)


@runtime_checkable
class SurveyingReader(Protocol):
    """A reader whose files may have several frames, or be slices of a stack.

    Attributes:
        surveyed: suffixes of such files, lower case, with the dot.
    """

    surveyed: frozenset[str]

    def survey(self, stream: BinaryIO, name: str) -> Survey:
        """From heads only: no pixels are decoded. May raise anything for a damaged file."""
        ...


@runtime_checkable
class CountingReader(Protocol):
    """A reader of files that have to be read to their end to know how many frames they have."""

    def glance(self, stream: BinaryIO, name: str, *, seconds: float) -> Survey:
        """What a look of about so long shows: all frames, or the first ones."""
        ...

    def count(self, stream: BinaryIO, name: str, *, seconds: float) -> Counted:
        """Go on with counting for about so long. What was counted stays in this process until the end is reached."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """How far counting has come. ``about``: how many there will be, as the file says; 0 where it does not. ``survey``:
    at the end, of all frames; it can be kept where a full disk keeps nothing."""

    frames: int
    about: int
    survey: Survey | None = None


def may_be_several(stream: BinaryIO) -> bool:
    """Whether a look into a file is worth a reader process: false for a TIFF that has a single page, which the first
    bytes show.

    Raises:
        OSError: it cannot be read.
    """
    head = stream.read(16)
    if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return True
    order = "little" if head[:2] == b"II" else "big"
    is_big = head[2:3] == b"+" or head[3:4] == b"+"
    offset_bytes, count_bytes, tag_bytes = (8, 8, 20) if is_big else (4, 2, 12)
    at = int.from_bytes(head[8:16] if is_big else head[4:8], order)  # type: ignore[arg-type]
    stream.seek(at)
    tags = int.from_bytes(stream.read(count_bytes), order)  # type: ignore[arg-type]
    if not 0 < tags < 1 << 12:
        return True
    stream.seek(at + count_bytes + tags * tag_bytes)
    return any(stream.read(offset_bytes))
