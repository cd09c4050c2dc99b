"""What every image reader takes and gives back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from annotator.domain import budget
from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.sight import Sight
from annotator.domain.window import Window
from annotator.domain.windowing import Native

RgbArray = npt.NDArray[np.uint8]

_log = logging.getLogger(__name__)

DEFAULT_MAX_PIXELS = 400_000_000
"""Larger images are refused before they are decoded (RGB alone would be 1.2 GB)."""

UID_FACTS = ("SOPInstanceUID", "SeriesInstanceUID")
"""The identifiers of DICOM that are kept with an image. They lead to the study, and so to the patient, in the archive
that the file came from."""

BURNED_IN_FACT = "burned_in"
"""Whether text about the patient is likely among the pixels."""
DIRECTIONS_FACT = "directions"
"""Where a row and a column of pixels lead in the patient (LPS): two unit vectors."""
CHANNEL_FACT = "channel"
"""Of a page that is one of several channels: which, from 1."""

COPY_AGAIN = "Copy it again from where it came from, or take it out of the folder."
CONVERT = "Convert it to PNG or TIFF with the program that made it."


@dataclass(frozen=True, slots=True)
class Regions:
    """What regions of a large picture are read from: its file and frame."""

    path: str
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image as it is shown and encoded.

    Attributes:
        rgb: H x W x 3, uint8, C-contiguous, read-only.
        width, height: pixels as shown (after EXIF orientation).
        sha256: of the file's bytes, hexadecimal; empty of a very large file, which ``content`` names then, by its size
            and parts of it.
        image_key: 64 hexadecimal characters that name these pixels: file, frame, reader version and window.
        spacing_mm: pixel size (x, y) in millimetres, or None when the file does not say.
        extra: plain JSON data for ``ImageRecord.extra``: DICOM's SOPInstanceUID, SeriesInstanceUID and Modality, and
            ``spacing_mm`` [x, y]; never anything about a patient.
        note: one line for the person, e.g. "window 400/40", "page 1 of 12"; may be empty.
        native: the numbers that ``rgb`` was made of, as deep as the file has them; None where they were not asked for,
            or are ``rgb`` itself.
        window: what ``rgb`` is shown through; None: as the file asks.
        file_key: ``image_key`` without a window.
        regions: of a picture that is too large to be decoded as a whole; ``rgb`` and ``native`` are its overview then,
            smaller than ``width`` x ``height``, and ``sha256`` is empty.
    """

    rgb: RgbArray
    width: int
    height: int
    sha256: str
    image_key: str
    spacing_mm: tuple[float, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    native: Native | None = None
    window: Window | None = None
    file_key: str = ""
    regions: Regions | None = None
    content: str = ""

    @property
    def source(self) -> Native:
        """What a window is applied to; of pictures of 8 bits what they show."""
        return Native.of_rgb(self.rgb) if self.native is None else self.native

    @property
    def sight(self) -> Sight | None:
        """Which part of the picture ``rgb`` is, where it is no more than an overview."""
        if self.regions is None:
            return None
        whole = Region(0, 0, self.width, self.height)
        return Sight(self.width, self.height, whole, (self.rgb.shape[1], self.rgb.shape[0]))

    def without_native(self) -> LoadedImage:
        """As it is shown, and nothing more of it."""
        return replace(self, native=None)

    @property
    def nbytes(self) -> int:
        """Memory of its pixels and numbers."""
        native = self.native
        if native is None:
            return self.rgb.nbytes
        return native.nbytes + (0 if native.plain is self.rgb else self.rgb.nbytes)


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """What a reader gives back.

    Attributes:
        rgb: H x W x 3, uint8.
        window: everything but the file's bytes and the frame that decided the pixels.
        spacing_mm, extra, note: as in :class:`LoadedImage`.
        native: the numbers behind ``rgb``, where they are deeper; of the same height and width.
    """

    rgb: RgbArray
    window: str = ""
    spacing_mm: tuple[float, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    native: Native | None = None


@runtime_checkable
class Reader(Protocol):
    """A kind of image files (entry-point group ``annotator.readers``: a class without constructor arguments).

    Attributes:
        name: short, lower case.
        version: raised whenever the same file gives other pixels than before.
        suffixes: lower case, with the dot.

    ``stream`` is open at position 0; ``name`` is for messages. A method may raise anything for a damaged file: what is
    not an ``ImageError`` becomes one.
    """

    name: str
    version: int
    suffixes: frozenset[str]

    def sniff(self, head: bytes) -> bool:
        """Whether the first 256 bytes of a file show that it is of this kind."""
        ...

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels: ...

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        """Width and height as shown, from the header only."""
        ...

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray: ...


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Refuse images without pixels and absurdly large ones, before anything is allocated.

    Raises:
        ImageError
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"{brief(name)} has no pixels ({width} x {height}).", COPY_AGAIN)
    if width * height > max_pixels:
        megapixels = width * height / 1e6
        raise ImageError(
            f"{brief(name)} is too large: {width} x {height} is {megapixels:,.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:,.0f}.",
            "Cut it into tiles, or save a smaller copy.",
        )


def check_frame(name: str, frame: int, frames: int) -> None:
    """Raises:
    ImageError: the file has no such frame.
    """
    if not 0 <= frame < frames:
        raise ImageError(f"{brief(name)} has {counted(frames, 'frame')}; there is no frame {frame + 1}.")


def memory_error(name: str) -> ImageError:
    """A decoder was refused more memory."""
    limit = budget.in_words(budget.limit_bytes())
    return ImageError(f"{brief(name)} needs more memory than the limit of {limit}.", budget.ADVICE)


def frame_note(frame: int, frames: int, *, word: str = "frame") -> str:
    """Which of several frames is shown; nothing when there is one."""
    return f"{word} {frame + 1} of {frames}" if frames > 1 else ""


def joined(*notes: str) -> str:
    """Notes as one line."""
    return ", ".join(note for note in notes if note)


def damage_error(name: str, error: Exception) -> ImageError:
    """What a decoder's own complaint means for the person. It is never quoted: it may hold what is in the file, such as
    a patient's name."""
    if isinstance(error, ImageError):
        return error
    _log.debug("%s: a decoder raised %s", name, type(error).__name__)
    if isinstance(error, MemoryError):
        return memory_error(name)
    text = str(error).lower()
    if isinstance(error, EOFError) or any(
        sign in text for sign in ("truncated", "end of file", "incomplete", "too small")
    ):
        return ImageError(f"{brief(name)} is cut off: the file ends before the picture does.", COPY_AGAIN)
    return ImageError(f"{brief(name)} is damaged and cannot be read.", COPY_AGAIN)
