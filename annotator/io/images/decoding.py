"""Image files to RGB in this process: who reads a file, and what its complaints mean.

The program itself does not call this: decoders are native code, and a damaged file can end the process that they run
in. :mod:`annotator.io.images.reading` asks a reader process, which runs what is here.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, BinaryIO, TypeVar, cast

import cv2
import numpy as np

from annotator import plugins
from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.domain.windowing import Native
from annotator.files.long_paths import MOVE_IT, is_too_long, too_long
from annotator.io.images.content import HASHED_BYTES, sampled, samples_fact
from annotator.io.images.display import DISPLAY_VERSION
from annotator.io.images.foreign import foreign_kind
from annotator.io.images.places import FilePlaces, PlacingReader
from annotator.io.images.reader import (
    CONVERT,
    COPY_AGAIN,
    DEFAULT_MAX_PIXELS,
    LoadedImage,
    Pixels,
    Reader,
    RgbArray,
    check_size,
    damage_error,
    joined,
)
from annotator.io.images.regions import RegionReader, full_size, read_overview
from annotator.io.images.regions import read_region as region_of
from annotator.io.images.suffixes import PACKED_VOLUME, SLIDE_SUFFIXES, suffix_of
from annotator.io.images.survey import Counted, CountingReader, Survey, SurveyingReader

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
HEAD_BYTES = 256
_LARGE_BYTES = 1 << 20


def load_image(
    path: str | os.PathLike[str],
    *,
    frame: int = 0,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    may_be_overview: bool = False,
) -> LoadedImage:
    """Read an image as it is to be shown and encoded.

    Args:
        frame: page or frame, from 0.
        max_pixels: larger images are refused before they are decoded.
        may_be_overview: a very large one is read small, where its file can be read region by region.

    Raises:
        ImageError: missing, unreadable, empty, cut off, not an image, too large, or compressed in an unknown way.
    """
    with opened(path) as (stream, name, reader):
        if may_be_overview and isinstance(reader, RegionReader):
            found = _decode(name, lambda: _overview(stream, name, reader, frame))
            if found is not None:
                return found
        stream.seek(0)
        pixels = _decode(name, lambda: reader.read(stream, name, frame=frame, max_pixels=max_pixels))
        stream.seek(0)
        sha256 = _hash_of(stream, name)
        content = "" if sha256 else sampled(stream)
        size = stream.seek(0, 2)
    rgb = np.ascontiguousarray(pixels.rgb, np.uint8)
    rgb.setflags(write=False)
    image_key = _key(sha256 or f"{content}|{hashlib.sha256(rgb.data).hexdigest()}", frame, reader, pixels.window)
    extra = dict(pixels.extra) | (samples_fact(size, content) if content else {})
    if pixels.spacing_mm is not None:
        extra["spacing_mm"] = list(pixels.spacing_mm)
    return LoadedImage(
        rgb=rgb,
        width=rgb.shape[1],
        height=rgb.shape[0],
        sha256=sha256,
        image_key=image_key,
        spacing_mm=pixels.spacing_mm,
        extra=extra,
        note=pixels.note,
        native=_native(pixels, rgb),
        file_key=image_key,
        content=content,
    )


def _key(content: str, frame: int, reader: Reader, window: str) -> str:
    named = f"{content}|{frame}|{reader.name}{reader.version}.{DISPLAY_VERSION}|{window}"
    return hashlib.sha256(named.encode("utf-8")).hexdigest()


def _overview(stream: BinaryIO, name: str, reader: RegionReader, frame: int) -> LoadedImage | None:
    """A picture that is read region by region, small; None for all others."""
    with reader.pyramid(stream, name, frame=frame) as pyramid:
        if pyramid is None:
            return None
        width, height = full_size(pyramid, name)
        shown, spacing = read_overview(pyramid), pyramid.spacing_mm
    content = sampled(stream)
    rgb = np.ascontiguousarray(shown.rgb, np.uint8)
    rgb.setflags(write=False)
    key = _key(content, frame, cast(Reader, reader), "regions")
    extra: dict[str, Any] = samples_fact(stream.seek(0, 2), content)
    if spacing is not None:
        extra["spacing_mm"] = list(spacing)
    note = joined(shown.words, f"{width:,} x {height:,}, read as it is looked at")
    return LoadedImage(rgb, width, height, "", key, spacing, extra, note, native=shown.native, file_key=key)


def read_region(
    path: str | os.PathLike[str], *, frame: int, region: Region, size_wh: tuple[int, int], window: Window | None
) -> RgbArray:
    """A region of a large picture, as :func:`annotator.io.images.regions.read_region`; height x width x 3 uint8.

    Raises:
        ImageError: as :func:`load_image`; also for a picture that is not read region by region (any more).
    """
    with opened(path) as (stream, name, reader):
        if not isinstance(reader, RegionReader):
            raise ImageError(f"{brief(name)} was replaced by another picture.", "Open the image again.")

        def read() -> RgbArray:
            with reader.pyramid(stream, name, frame=frame) as pyramid:
                if pyramid is None or not _is_inside(region, *full_size(pyramid, name)):
                    raise ImageError(f"{brief(name)} was replaced by another picture.", "Open the image again.")
                return region_of(pyramid, region, size_wh, window)

        return _decode(name, read)


def _is_inside(region: Region, width: int, height: int) -> bool:
    return 0 <= region.x0 < region.x1 <= width and 0 <= region.y0 < region.y1 <= height


def _native(pixels: Pixels, rgb: RgbArray) -> Native | None:
    """The numbers behind ``rgb``; none of those that a reader (a plug-in's) gave in another size."""
    native = pixels.native
    if native is None or native.values.shape[:2] != rgb.shape[:2]:
        return None
    return replace(native, plain=rgb) if native.plain is not None else native


def load_thumbnail(
    path: str | os.PathLike[str], *, frame: int = 0, max_side: int = 160, max_pixels: int = DEFAULT_MAX_PIXELS
) -> RgbArray:
    """A small copy, h x w x 3 uint8, C-contiguous, longest side at most ``max_side``.

    Raises:
        ImageError: as :func:`load_image`.
    """
    with opened(path) as (stream, name, reader):
        small = _decode(name, lambda: _small(stream, name, reader, frame, max_side))
        stream.seek(0)
        if small is not None:
            rgb = small
        elif frame == 0:
            rgb = _decode(name, lambda: reader.thumbnail(stream, name, max_side=max_side, max_pixels=max_pixels))
        else:
            rgb = _decode(name, lambda: reader.read(stream, name, frame=frame, max_pixels=max_pixels)).rgb
    height, width = rgb.shape[:2]
    if max(width, height) > max_side:
        scale = max_side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.ascontiguousarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(rgb, np.uint8)


def _small(stream: BinaryIO, name: str, reader: Reader, frame: int, max_side: int) -> RgbArray | None:
    if not isinstance(reader, RegionReader):
        return None
    with reader.pyramid(stream, name, frame=frame) as pyramid:
        return None if pyramid is None else read_overview(pyramid, 2 * max_side).rgb


def read_size(path: str | os.PathLike[str], *, frame: int = 0) -> tuple[int, int]:
    """Width and height as shown: of the first frame from the file's header only, of others from their pixels.

    Raises:
        ImageError: as :func:`load_image`.
    """
    with opened(path) as (stream, name, reader):
        if frame == 0:
            width, height = _decode(name, lambda: reader.size(stream, name))
        else:
            read = _decode(name, lambda: reader.read(stream, name, frame=frame, max_pixels=DEFAULT_MAX_PIXELS))
            height, width = read.rgb.shape[:2]
    check_size(name, width, height, width * height)
    return width, height


def survey(path: str | os.PathLike[str], *, within_s: float | None = None) -> Survey:
    """How many frames a file has and where its slice lies, from its head only.

    Args:
        within_s: of a file that has to be read to its end for that, what so long a look shows.

    Raises:
        ImageError: as :func:`load_image`.
    """
    with opened(path) as (stream, name, reader):
        if within_s is not None and isinstance(reader, CountingReader):
            return _decode(name, lambda: reader.glance(stream, name, seconds=within_s))
        if not isinstance(reader, SurveyingReader):
            return Survey()
        return _decode(name, lambda: reader.survey(stream, name))


def count(path: str | os.PathLike[str], *, seconds: float) -> Counted:
    """Go on with counting the frames of a file that :func:`survey` had only a glance at.

    Raises:
        ImageError: as :func:`load_image`.
    """
    with opened(path) as (stream, name, reader):
        if not isinstance(reader, CountingReader):
            return Counted(1, 1, Survey())
        return _decode(name, lambda: reader.count(stream, name, seconds=seconds))


def places(path: str | os.PathLike[str]) -> FilePlaces:
    """Where the frames of a file lie, from its head only.

    Raises:
        ImageError: as :func:`load_image`.
    """
    with opened(path) as (stream, name, reader):
        if not isinstance(reader, PlacingReader):
            return FilePlaces(())
        return _decode(name, lambda: reader.places(stream, name))


def read_head(path: str | os.PathLike[str], *, with_patient: bool) -> dict[str, Any] | None:
    """The head of a DICOM image as :func:`annotator.io.images.dicom_heads.head_in`; None for other files.

    Raises:
        ImageError: as :func:`load_image`.
    """
    from annotator.io.images.dicom_heads import head_in

    with opened(path) as (stream, name, reader):
        if reader.name != "dicom":
            return None
        return _decode(name, lambda: head_in(stream, name, with_patient=with_patient))


def read_identity(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Who a DICOM file is of, as :func:`annotator.io.images.dicom_identity.identity_in`; None for other files.

    Raises:
        ImageError: as :func:`load_image`.
    """
    from annotator.io.images.dicom_identity import identity_in

    with opened(path) as (stream, name, _reader):
        return _decode(name, lambda: identity_in(stream))


OWN_READERS = {
    "dicom": "annotator.io.images.dicom:DicomReader",
    "nifti": "annotator.io.images.nifti:NiftiReader",
    "nrrd": "annotator.io.images.nrrd:NrrdReader",
    "raster": "annotator.io.images.raster:RasterReader",
    "video": "annotator.io.images.video:VideoReader",
    "wsi": "annotator.io.images.whole_slide:WholeSlideReader",
}
"""Imported when the first image is read. Plug-ins come from the entry points ``annotator.readers``."""


@cache
def readers() -> tuple[Reader, ...]:
    made: list[Reader] = []
    for name, factory in plugins.load_all("annotator.readers", OWN_READERS).items():
        reader = factory() if callable(factory) else factory
        if isinstance(reader, Reader):
            made.append(reader)
        else:
            _log.warning("reader plug-in %s lacks parts of the reader interface and is ignored", name)
    return tuple(made)


class _Bounded(io.BufferedReader):
    """A file that takes no memory for more than it has: Python would, for a damaged length of 4 GB."""

    def __init__(self, raw: io.FileIO, size: int) -> None:
        super().__init__(raw)
        self._size = size

    def read(self, count: int | None = -1, /) -> bytes:
        if count is not None and count > _LARGE_BYTES:
            count = max(_LARGE_BYTES, min(count, self._size - self.tell()))
        return super().read(count)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, str, Reader]]:
    """The open file, its name for messages, and who reads it: by content first, then by suffix."""
    name = os.path.basename(os.fspath(path)) or os.fspath(path)
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            raise ImageError(f"{brief(name)} is not a file.", "Choose an image file.")
        if info.st_size == 0:
            raise ImageError(f"{brief(name)} is empty (zero bytes).", COPY_AGAIN)
        stream: BinaryIO = _Bounded(open(path, "rb", buffering=0), info.st_size)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise _file_error(path, name, error) from error
    with stream:
        try:
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
        except OSError as error:
            raise _file_error(path, name, error) from error
        yield stream, name, _reader_for(name, head)


def _reader_for(name: str, head: bytes) -> Reader:
    suffix = suffix_of(name)
    is_slide = suffix in SLIDE_SUFFIXES
    found = None if is_slide else next((reader for reader in readers() if reader.sniff(head)), None)
    found = found or next((reader for reader in readers() if suffix in reader.suffixes), None)
    has_own_suffix = found is not None and (suffix == PACKED_VOLUME or is_slide)
    if not has_own_suffix and (found is None or found.name in OWN_READERS):  # a plug-in may know more kinds
        kind = foreign_kind(head)
        if kind:
            raise ImageError(f"{brief(name)} is a file of the kind {kind}, which cannot be read here.", CONVERT)
    if found is None:
        advice = "Use PNG, JPEG, TIFF, BMP, WebP, GIF, DICOM, NIfTI, NRRD or MP4."
        raise ImageError(f"{brief(name)} is not an image that can be read here.", advice)
    return found


def _decode(name: str, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise damage_error(name, error) from error


def _file_error(path: str | os.PathLike[str], name: str, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ImageError(f"{brief(name)} is missing.", f"It was expected at {brief(os.fspath(path))}.")
    if isinstance(error, PermissionError):
        return ImageError(f"{brief(name)} may not be read by you.", "Change the file's permissions.")
    if is_too_long(error):
        return ImageError(f"{brief(name)} cannot be read. {too_long(path)}", MOVE_IT)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ImageError(f"{brief(name)} cannot be read ({reason}).", "Check the disk or the network connection.")


_hashes: OrderedDict[tuple[int, ...], str] = OrderedDict()
_KEPT_HASHES = 256


def _hash_of(stream: BinaryIO, name: str) -> str:
    """Of a file's bytes; empty where there are so many that the first picture would wait for it. That of a file which
    is read frame by frame is made once in each reader process."""
    digest = hashlib.sha256()
    try:
        info = os.fstat(stream.fileno())
        if info.st_size > HASHED_BYTES:
            return ""
        stamp = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if stamp not in _hashes:
            while block := stream.read(1 << 20):
                digest.update(block)
            _hashes[stamp] = digest.hexdigest()
            if len(_hashes) > _KEPT_HASHES:
                _hashes.popitem(last=False)
    except OSError as error:
        raise ImageError(f"{brief(name)} cannot be read ({error.strerror}).", "Check the disk.") from error
    return _hashes[stamp]
