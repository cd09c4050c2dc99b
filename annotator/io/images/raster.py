"""Everyday image files, read with Pillow, and with tifffile and OpenCV where Pillow would lose depth.

Rules: EXIF orientation is applied; transparent pixels lie on mid-grey; the first frame unless told otherwise; values of
more than 8 bits are stretched between robust percentiles (``display.py``), 8-bit values are never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

from annotator.domain.errors import ImageError
from annotator.io.images.display import flatten_alpha, grey_to_rgb, orient, stretch_to_bytes
from annotator.io.images.reader import (
    CONVERT,
    COPY_AGAIN,
    DEFAULT_MAX_PIXELS,
    Pixels,
    RgbArray,
    check_frame,
    check_size,
)
from annotator.io.images.sink import rgb_array

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
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
_SWAPPED = (5, 6, 7, 8)


class RasterReader:
    """PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, JPEG 2000, AVIF, PCX."""

    name = "raster"
    version = 1
    suffixes = _SUFFIXES

    def sniff(self, head: bytes) -> bool:
        return (
            head.startswith(
                (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
            )
            or _is_tiff(head)
            or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            or (head[:2] == b"BM" and len(head) > 26 and head[6:10] == b"\0\0\0\0")
            or (head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"))
        )

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        head = _peek(stream)
        if _is_tiff(head):
            return _read_tiff(stream, name, frame, max_pixels)
        if _is_deep_colour_png(head):
            return _read_deep_png(stream, name, frame, max_pixels)
        return _read_pillow(stream, name, frame, max_pixels)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        if _is_tiff(_peek(stream)):
            with _open_tiff(stream, name) as tiff:
                page: Any = tiff.pages[0]
                width, height = int(page.imagewidth), int(page.imagelength)
                swapped = _tiff_orientation(page) in _SWAPPED
        else:
            with _open_pillow(stream, name) as image:
                width, height = image.size
                swapped = _orientation_in_header(image, stream, name) in _SWAPPED
        return (height, width) if swapped else (width, height)

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        head = _peek(stream)
        if _is_tiff(head) or _is_deep_colour_png(head):
            return self.read(stream, name, frame=0, max_pixels=max_pixels).rgb
        with _open_pillow(stream, name) as image:
            check_size(name, *image.size, max_pixels)
            if image.format in ("JPEG", "MPO"):
                image.draft("RGB", (max_side, max_side))
            image.load()
            if image.mode in ("RGB", "L"):
                image.thumbnail((max_side, max_side), reducing_gap=2.0)
            rgb, _ = _to_rgb(image)
            return orient(rgb, _orientation_of(image))


def _read_pillow(stream: BinaryIO, name: str, frame: int, max_pixels: int) -> Pixels:
    with _open_pillow(stream, name) as image:
        check_size(name, *image.size, max_pixels)
        frames = _frames_of(image)
        check_frame(name, frame, frames)
        if frame:
            image.seek(frame)
            check_size(name, *image.size, max_pixels)
        image.load()
        rgb, note = _to_rgb(image)
        # Asked after load(): Pillow turns some formats upright itself and then drops the tag.
        rgb = orient(rgb, _orientation_of(image))
    return Pixels(rgb, note=_joined(note, _frame_note(frame, frames)))


def _open_pillow(stream: BinaryIO, name: str) -> Image.Image:
    try:
        return Image.open(stream, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image, or its beginning is damaged.", COPY_AGAIN) from error


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
        _log.debug("unreadable EXIF data: %r", error)
        return 1


def _to_rgb(image: Image.Image) -> tuple[RgbArray, str]:
    """RGB and a note, from any mode of Pillow."""
    if image.mode in _DEEP_MODES:
        grey, low, high = stretch_to_bytes(np.asarray(image))
        return grey_to_rgb(grey), _stretch_note(low, high)
    has_alpha = image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info
    if has_alpha:
        rgba = np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
        alpha = rgba[:, :, 3]
        note = "" if bool((alpha == 255).all()) else "transparency shown on grey"
        return flatten_alpha(np.ascontiguousarray(rgba[:, :, :3]), alpha), note
    return rgb_array(image if image.mode == "RGB" else image.convert("RGB")), ""


def _is_deep_colour_png(head: bytes) -> bool:
    """A 16-bit PNG in colour or with alpha: Pillow would keep only the upper byte."""
    return head.startswith(b"\x89PNG") and len(head) > 25 and head[24] == 16 and head[25] in (2, 4, 6)


def _read_deep_png(stream: BinaryIO, name: str, frame: int, max_pixels: int) -> Pixels:
    with _open_pillow(stream, name) as image:
        check_size(name, *image.size, max_pixels)
        image.load()  # decoded twice: OpenCV would give back half a picture without a word
        orientation = _orientation_of(image)
    check_frame(name, frame, 1)
    stream.seek(0)
    decoded = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ImageError(f"{name} is damaged and cannot be read.", COPY_AGAIN)
    if decoded.ndim == 3:
        decoded = decoded[:, :, [2, 1, 0, 3][: decoded.shape[2]]]
    rgb, note = _samples_to_rgb(decoded)
    return Pixels(orient(rgb, orientation), note=note)


# --- TIFF ---------------------------------------------------------------------------------------------------------


def _read_tiff(stream: BinaryIO, name: str, frame: int, max_pixels: int) -> Pixels:
    with _open_tiff(stream, name) as tiff:
        pages = len(tiff.pages)
        check_frame(name, frame, pages)
        page: Any = tiff.pages[frame]
        _check_tiff_page(page, stream, name, max_pixels)
        note = _frame_note(frame, pages, word="page")
        photometric = getattr(page.photometric, "name", "")
        orientation = _tiff_orientation(page)
        if (
            page.dtype is not None
            and page.dtype.itemsize == 1
            and page.dtype.kind in "ub"
            and page.samplesperpixel <= 4
        ):
            plain = _tiff_with_pillow(stream, frame)
            if plain is not None:
                return Pixels(plain[0], note=_joined(plain[1], note))
        samples = _tiff_samples(page)
    if photometric in ("CIELAB", "ICCLAB", "ITULAB", "PALETTE", "YCBCR") and samples.ndim != 3:
        raise ImageError(f"{name} uses TIFF colours that cannot be shown ({photometric}).", CONVERT)
    if photometric == "MINISWHITE" and samples.dtype.kind in "ub":
        samples = ~samples
    rgb, sample_note = _samples_to_rgb(samples, is_cmyk=photometric == "SEPARATED")
    return Pixels(orient(rgb, orientation), note=_joined(sample_note, note))


def _open_tiff(stream: BinaryIO, name: str) -> tifffile.TiffFile:
    stream.seek(0)
    try:
        tiff = tifffile.TiffFile(stream)
        if len(tiff.pages) == 0:
            raise ValueError("no pages")
    except Exception as error:  # tifffile raises nearly anything on damaged headers
        raise ImageError(f"{name} is a damaged TIFF file ({error}).", COPY_AGAIN) from error
    return tiff


def _check_tiff_page(page: Any, stream: BinaryIO, name: str, max_pixels: int) -> None:
    check_size(name, int(page.imagewidth), int(page.imagelength), max_pixels)
    if page.dtype is None:
        raise ImageError(f"{name} has a TIFF sample type that cannot be shown.", CONVERT)
    if int(page.nbytes) > 16 * max_pixels:
        raise ImageError(f"{name} is too large: {int(page.nbytes) / 1e9:,.1f} GB in one page.", "Save fewer channels.")
    end = stream.seek(0, 2)
    stored = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    if max(stored, default=0) > end:
        raise ImageError(f"{name} is cut off: the file ends before the picture does.", COPY_AGAIN)


def _tiff_with_pillow(stream: BinaryIO, frame: int) -> tuple[RgbArray, str] | None:
    """8-bit TIFFs with every colour model; None where Pillow does not know the compression or layout."""
    stream.seek(0)
    try:
        with Image.open(stream, formats=("TIFF",)) as image:
            image.seek(frame)
            image.load()
            rgb, note = _to_rgb(image)
            return orient(rgb, _orientation_of(image)), note
    except Exception as error:  # tifffile tries next and reports if it fails too
        _log.debug("Pillow cannot read this TIFF: %r", error)
        return None


def _tiff_samples(page: Any) -> npt.NDArray[Any]:
    """H x W or H x W x C, whatever the page's own layout."""
    samples: npt.NDArray[Any] = np.asarray(page.asarray())
    if page.imagedepth > 1:
        samples = samples[0]
    planar = getattr(page.planarconfig, "name", "") == "SEPARATE"
    if samples.ndim == 3 and page.samplesperpixel > 1 and planar and samples.shape[0] == page.samplesperpixel:
        samples = np.moveaxis(samples, 0, -1)
    return samples


def _tiff_orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def _samples_to_rgb(samples: npt.NDArray[Any], *, is_cmyk: bool = False) -> tuple[RgbArray, str]:
    """RGB from H x W (x C) numbers of any type: grey, grey + alpha, RGB, RGBA, CMYK; more channels: the first three."""
    if samples.dtype.kind == "c":
        samples = np.abs(samples)
    if samples.dtype.kind == "b":
        samples = samples.astype(np.uint8) * np.uint8(255)
    if samples.ndim == 2:
        samples = samples[:, :, None]
    if samples.ndim != 3:
        raise ValueError(f"unexpected sample layout {samples.shape}")
    channels = samples.shape[2]
    has_alpha = channels in (2, 4) and not is_cmyk
    colours = samples[:, :, : channels - 1] if has_alpha else samples
    note = ""
    if channels > 4 or (is_cmyk and channels != 4):
        colours, note, is_cmyk = samples[:, :, :3], f"first 3 of {channels} channels", False
    if colours.dtype != np.uint8:
        colours, low, high = stretch_to_bytes(colours)
        note = _joined(note, _stretch_note(low, high))
    if is_cmyk:
        ink = colours.astype(np.uint16)
        colours = ((255 - ink[:, :, :3]) * (255 - ink[:, :, 3:]) // 255).astype(np.uint8)
    rgb = grey_to_rgb(colours[:, :, 0]) if colours.shape[2] == 1 else np.ascontiguousarray(colours)
    if has_alpha:
        alpha = _alpha_to_bytes(samples[:, :, -1])
        if not bool((alpha == 255).all()):
            rgb, note = flatten_alpha(rgb, alpha), _joined(note, "transparency shown on grey")
    return rgb, note


def _alpha_to_bytes(alpha: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if alpha.dtype.kind == "u":
        return (alpha // (np.iinfo(alpha.dtype).max // 255)).astype(np.uint8)
    return np.rint(np.clip(np.nan_to_num(alpha.astype(np.float64)), 0, 1) * 255).astype(np.uint8)


def _is_tiff(head: bytes) -> bool:
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _peek(stream: BinaryIO) -> bytes:
    head = stream.read(64)
    stream.seek(0)
    return head


def _stretch_note(low: float, high: float) -> str:
    return f"stretched {low:g} to {high:g}"


def _frame_note(frame: int, frames: int, *, word: str = "frame") -> str:
    return f"{word} {frame + 1} of {frames}" if frames > 1 else ""


def _joined(*notes: str) -> str:
    return ", ".join(note for note in notes if note)
