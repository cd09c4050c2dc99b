"""Everyday image files, read with Pillow, and by ``tiff.py`` and ``deep.py`` where Pillow would lose depth or colours.

Rules: EXIF orientation is applied; transparent pixels lie on mid-grey; the first frame unless another is asked for;
values of more than 8 bits are stretched between robust percentiles (``display.py``), 8-bit values are never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.claims import ask_for, check_picture, deep_bytes
from annotator.io.images.colours import Samples, Shown, show_samples, thin_samples, thinning
from annotator.io.images.deep import deep_decoder, png_clear_grey, size_without_pillow
from annotator.io.images.display import flatten_alpha
from annotator.io.images.places import FilePlaces
from annotator.io.images.plain_png import read_plain_png
from annotator.io.images.reader import (
    COPY_AGAIN,
    DEFAULT_MAX_PIXELS,
    Pixels,
    RgbArray,
    check_frame,
    check_size,
    frame_note,
    joined,
)
from annotator.io.images.regions import Pyramid
from annotator.io.images.sink import rgb_array
from annotator.io.images.survey import MAX_FRAMES, Survey
from annotator.io.images.tiff import is_tiff, read_tiff, tiff_pages, tiff_size
from annotator.io.images.tiff_regions import tiff_pyramid

_log = logging.getLogger(__name__)

# Our own limit (check_size) is asked before anything is decoded, for every file. Pillow's would warn from 89 megapixels
# and refuse from 179, below what people annotate.
Image.MAX_IMAGE_PIXELS = None
Image.init()  # registers all formats: Pillow refuses a list of formats that it has not met yet

# Named formats only: others (EPS, WMF, ...) start foreign programs or guess.
_WANTED = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "PCX")
_FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_ORIENTATION = 0x0112
_PNG_EXIF_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_PNG_HEAD_BYTES = 8 + max(map(len, _PNG_EXIF_TEXTS))
_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
        ".jp2",
        ".j2k",
        ".jpx",
        ".avif",
        ".pcx",
    )
)
_SWAPPED = (5, 6, 7, 8)


class RasterReader:
    """PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, JPEG 2000, AVIF, PCX."""

    name = "raster"
    version = 2
    suffixes = _SUFFIXES
    surveyed = frozenset((".tif", ".tiff", ".gif", ".apng"))
    placed = frozenset((".tif", ".tiff"))

    def sniff(self, head: bytes) -> bool:
        return (
            head.startswith(
                (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
            )
            or is_tiff(head)
            or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            or (head[:2] == b"BM" and len(head) > 26 and head[6:10] == b"\0\0\0\0")
            or (head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"))
        )

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        head = _peek(stream)
        if is_tiff(head):
            return read_tiff(stream, name, frame, max_pixels)
        return _read_deep(stream, name, head, frame, max_pixels) or _read_pillow(stream, name, frame, max_pixels)

    @contextmanager
    def pyramid(self, stream: BinaryIO, name: str, *, frame: int) -> Iterator[Pyramid | None]:
        """See :class:`annotator.io.images.regions.RegionReader`: of TIFF files."""
        if not is_tiff(_peek(stream)):
            yield None
            return
        with tiff_pyramid(stream, name, frame) as found:
            yield found

    def places(self, stream: BinaryIO, name: str) -> FilePlaces:
        """See :class:`annotator.io.images.places.PlacingReader`: no place, but the size of a pixel."""
        if not is_tiff(_peek(stream)):
            return FilePlaces(())
        _, space, _ = tiff_pages(stream, name)
        return FilePlaces((), spacing_xy=space.spacing_xy)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        head = _peek(stream)
        if is_tiff(head):
            return tiff_size(stream, name)
        own = size_without_pillow(stream, head) if deep_decoder(stream, head) else None
        if own is not None:
            return own
        stream.seek(0)
        with _open_pillow(stream, name) as image:
            width, height = image.size
            swapped = _orientation_in_header(image, stream, name) in _SWAPPED
        return (height, width) if swapped else (width, height)

    def survey(self, stream: BinaryIO, name: str) -> Survey:
        """See :class:`annotator.io.images.survey.SurveyingReader`."""
        if is_tiff(_peek(stream)):
            pages, space, is_cut_off = tiff_pages(stream, name)
            notes = (*space.notes(), *(("cut off: the pages that follow are missing",) if is_cut_off else ()))
            return Survey(min(MAX_FRAMES, pages), step_mm=round(space.slice_step_mm, 9), notes=notes)
        with _open_pillow(stream, name) as image:
            return Survey(min(MAX_FRAMES, _frames_of(image)))

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        head = _peek(stream)
        if is_tiff(head):
            return read_tiff(stream, name, 0, max_pixels, max_side=max_side).rgb
        deep = _read_deep(stream, name, head, 0, max_pixels, max_side=max_side)
        if deep is not None:
            return deep.rgb
        stream.seek(0)
        with _open_pillow(stream, name) as image:
            check_size(name, *image.size, max_pixels)
            if image.format in ("JPEG", "MPO"):
                image.draft("RGB", (max_side, max_side))
            check_picture(image, name, stream, is_reduced=True)
            image.load()
            _correct_clear_grey(image, stream, head)
            return _to_rgb(_thinned(image, max_side)).turned(_orientation_of(image)).rgb


def _thinned(image: Image.Image, max_side: int) -> Image.Image:
    """A smaller copy, before anything else is made of a large picture; in the same mode."""
    if image.mode in ("RGB", "L") and "transparency" not in image.info:  # one colour: not that of a mixture
        image.thumbnail((max_side, max_side), reducing_gap=2.0)
        return image
    step = thinning(*image.size, max_side)
    if step == 1:
        return image
    small = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    small.info = image.info
    return small


def _read_pillow(stream: BinaryIO, name: str, frame: int, max_pixels: int) -> Pixels:
    head = _peek(stream)
    with _open_pillow(stream, name) as image:
        check_size(name, *image.size, max_pixels)
        frames = _frames_of(image)
        check_frame(name, frame, frames)
        if frame:
            image.seek(frame)
            check_size(name, *image.size, max_pixels)
        check_picture(image, name, stream)
        shown = _shown_png(image, stream, head) or _shown(image, stream, head)
    return Pixels(shown.rgb, note=joined(shown.words, frame_note(frame, frames)), native=shown.native)


def _shown_png(image: Image.Image, stream: BinaryIO, head: bytes) -> Shown | None:
    """A PNG that needs nothing of Pillow but its head; None for everything else."""
    if image.format != "PNG" or _says_more_behind_pixels(stream):
        return None
    rgb = read_plain_png(image, stream, head)
    return None if rgb is None else Shown(rgb, "").turned(_orientation_of(image, Image.Image.getexif))


def _shown(image: Image.Image, stream: BinaryIO, head: bytes) -> Shown:
    image.load()
    _correct_clear_grey(image, stream, head)
    # Asked after load(): Pillow turns some formats upright itself and then drops the tag.
    return _to_rgb(image).turned(_orientation_of(image))


def _correct_clear_grey(image: Image.Image, stream: BinaryIO, head: bytes) -> None:
    clear = png_clear_grey(stream, head)
    if clear is not None:
        image.info["transparency"] = clear


def _read_deep(
    stream: BinaryIO, name: str, head: bytes, frame: int, max_pixels: int, *, max_side: int | None = None
) -> Pixels | None:
    """What Pillow would cut to 8 bits, or take for opacity; None for everything else. ``max_side``: for a thumbnail."""
    decode = deep_decoder(stream, head)
    if decode is None:
        return None
    orientation, frames = 1, 1
    stream.seek(0)
    size = size_without_pillow(stream, head)
    if size is None:
        with _open_pillow(stream, name) as image:
            size, frames = image.size, _frames_of(image)
            orientation = _orientation_in_header(image, stream, name)
    check_size(name, *size, max_pixels)
    check_frame(name, frame, frames)
    ask_for(name, *size, deep_bytes(head, is_reduced=max_side is not None))
    shown = show_samples(thin_samples(decode(stream, name, frame), max_side)).turned(orientation)
    return Pixels(shown.rgb, note=joined(shown.words, frame_note(frame, frames)), native=shown.native)


def _open_pillow(stream: BinaryIO, name: str) -> Image.Image:
    try:
        return Image.open(stream, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(f"{brief(name)} is not an image, or its beginning is damaged.", COPY_AGAIN) from error


def _frames_of(image: Image.Image) -> int:
    # A multi-picture JPEG (MPO) is one photograph with a preview or a depth map behind it.
    return 1 if image.format in ("JPEG", "MPO") else int(getattr(image, "n_frames", 1))


def _orientation_in_header(image: Image.Image, stream: BinaryIO, name: str) -> int:
    """As :func:`_orientation_of`, and without decoding wherever the file allows it."""
    if image.format != "PNG":
        return _orientation_of(image)
    if not _says_more_behind_pixels(stream):
        # Pillow's reader of PNG decodes the whole picture first, to look for what may be behind it.
        return _orientation_of(image, Image.Image.getexif)
    check_size(name, *image.size, DEFAULT_MAX_PIXELS)
    return _orientation_of(image)


def _says_more_behind_pixels(stream: BinaryIO) -> bool:
    """Whether a PNG has EXIF data behind its pixels: from the heads of its chunks."""
    raw = getattr(stream, "raw", stream)  # a buffer would read all that is skipped
    place = raw.tell()
    at, is_behind = 8, False
    try:
        while True:
            raw.seek(at)
            head = raw.read(_PNG_HEAD_BYTES)
            kind = head[4:8]
            if len(head) < 8 or kind == b"IEND":
                return False
            if is_behind and (kind == b"eXIf" or head[8:].startswith(_PNG_EXIF_TEXTS)):
                return True
            is_behind = is_behind or kind == b"IDAT"
            at += 12 + int.from_bytes(head[:4], "big")
    finally:
        raw.seek(place)


def _orientation_of(
    image: Image.Image, read: Callable[[Image.Image], Image.Exif] = lambda image: image.getexif()
) -> int:
    try:
        return int(read(image).get(_ORIENTATION, 1))
    except Exception as error:  # a damaged EXIF block does not make the picture unreadable
        _log.debug("unreadable EXIF data: %s", type(error).__name__)
        return 1


def _to_rgb(image: Image.Image) -> Shown:
    """RGB and a note, from any mode of Pillow."""
    if image.mode in _DEEP_MODES:
        return show_samples(Samples(np.asarray(image)[:, :, None], "grey"))
    has_alpha = image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info
    if has_alpha:
        rgba = np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
        alpha = rgba[:, :, 3]
        note = "" if bool((alpha == 255).all()) else "transparency shown on grey"
        return Shown(flatten_alpha(np.ascontiguousarray(rgba[:, :, :3]), alpha), note)
    return Shown(rgb_array(image if image.mode == "RGB" else image.convert("RGB")), "")


def _peek(stream: BinaryIO) -> bytes:
    stream.seek(0)
    head = stream.read(64)
    stream.seek(0)
    return head
