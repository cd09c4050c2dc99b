"""Decoded training images, kept: in this process's memory, or as memory maps that all processes share.

A map is a file of a header and raw pixels. Windows read only the pages that they need, and the system keeps one copy of
a page for however many processes and runs read it. Files are written whole and then given their name, so a kill leaves
nothing half made; what is damaged or gone is decoded again.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from annotator.files.atomic import atomic_path
from annotator.io.images.reading import pixels_version

RgbArray = npt.NDArray[np.uint8]

RAM_BYTES = 3 << 30
OPEN_MAPS = 8192
"""Systems limit the maps of a process (65,530 on Linux)."""
_HEADER = struct.Struct("<8sIII")
_HEADER_BYTES = 64
_MAGIC = b"annopix1"
_SUFFIX = ".pixels"
_STALE_SECONDS = 3600.0
"""A ``.part`` file this old is what a killed process left."""
_log = logging.getLogger(__name__)
_numbers = itertools.count()


class Decodable(Protocol):
    """An image that can be decoded, as :class:`annotator.train.data.windows.TrainingImage`."""

    @property
    def path(self) -> Path: ...
    @property
    def decoding(self) -> str:
        """Names how the file becomes pixels; other words for other pixels."""
        ...

    @property
    def nbytes(self) -> int:
        """Size of the pixels, known before they are decoded."""
        ...

    def pixels(self) -> RgbArray: ...


class PixelSource(Protocol):
    """Gives an image's pixels, H x W x 3 uint8 RGB, which nobody writes to. Used by one thread at a time."""

    def pixels(self, image: Decodable) -> RgbArray: ...


Key = tuple[Path, str]
"""A file, and how it becomes pixels: a file of several frames is several images."""


def _key(image: Decodable) -> Key:
    return image.path, image.decoding


class RamPixels:
    """Decoded images in this process's memory: the first that come, up to a size. A copy for a process is empty."""

    def __init__(self, limit_bytes: int = RAM_BYTES) -> None:
        self._limit_bytes = self._free_bytes = limit_bytes
        self._kept: dict[Key, RgbArray] = {}

    def __reduce__(self) -> tuple[Callable[[int], RamPixels], tuple[int]]:
        return RamPixels, (self._limit_bytes,)

    def share(self, count: int) -> RamPixels:
        """An empty one for one of ``count`` processes, which together keep what this one may."""
        return RamPixels(self._limit_bytes // max(1, count))

    def pixels(self, image: Decodable) -> RgbArray:
        """See :class:`PixelSource`."""
        kept = self._kept.get(_key(image))
        if kept is None:
            kept = image.pixels()
            if kept.nbytes <= self._free_bytes:
                self._kept[_key(image)] = kept
                self._free_bytes -= kept.nbytes
        return kept


class MappedPixels:
    """Decoded images as memory maps in a folder, which several processes and runs may use at once.

    Which images are kept is settled beforehand, so that no process has to ask another how full the folder is: those
    named first, as far as they fit. The rest are decoded whenever they are drawn.

    Args:
        folder: of the cache alone.
        kept: the images to keep.
    """

    def __init__(self, folder: Path, kept: frozenset[Key]) -> None:
        self._folder, self._kept = folder, kept
        self._open: OrderedDict[Key, RgbArray] = OrderedDict()
        self._checked: set[str] = set()
        self._can_write = True

    def __reduce__(self) -> tuple[type[MappedPixels], tuple[Path, frozenset[Key]]]:
        return MappedPixels, (self._folder, self._kept)

    @classmethod
    def prepare(cls, folder: Path, images: Iterable[Decodable], *, limit_bytes: int) -> MappedPixels:
        """Choose what to keep, and make room for it: with it the folder will not grow over ``limit_bytes``.

        Args:
            images: the ones that are drawn most first. Missing files are left out: drawing them says so.

        Raises:
            OSError: the folder cannot be made or read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        kept, wanted, planned_bytes = set(), set(), 0
        for image in images:
            size = image.nbytes + _HEADER_BYTES
            name = file_name(image) if planned_bytes + size <= limit_bytes else None
            if name is not None and name not in wanted:
                kept.add(_key(image))
                wanted.add(name)
                planned_bytes += size
        _make_room(folder, wanted, limit_bytes - planned_bytes)
        return cls(folder.absolute(), frozenset(kept))

    def pixels(self, image: Decodable) -> RgbArray:
        """See :class:`PixelSource`."""
        if _key(image) not in self._kept:
            return image.pixels()
        found = self._open.get(_key(image))
        if found is not None:
            self._open.move_to_end(_key(image))
            return found
        name = file_name(image)
        if name is None:
            return image.pixels()  # the file is gone: this says so
        found = self._mapped(self._folder / name)
        if found is None:
            decoded = image.pixels()
            if not self._can_write or decoded.nbytes > image.nbytes:
                return decoded
            found = self._written(self._folder / name, decoded)
        self._open[_key(image)] = found
        if len(self._open) > OPEN_MAPS:
            self._open.popitem(last=False)
        return found

    def _mapped(self, path: Path) -> RgbArray | None:
        """The map of a whole and sound file; its pixels are summed up once in each process."""
        try:
            with path.open("rb") as file:
                head = file.read(_HEADER.size)
                size = os.fstat(file.fileno()).st_size
                if len(head) < _HEADER.size:
                    return None
                magic, height, width, checksum = _HEADER.unpack(head)
                if magic != _MAGIC or size != _HEADER_BYTES + height * width * 3 or size == _HEADER_BYTES:
                    return None
                mapped = np.memmap(file, np.uint8, "r", _HEADER_BYTES, (height, width, 3))
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("%s cannot be read, so the image is decoded again: %s", path, error)
            return None
        found = np.asarray(mapped)
        if path.name not in self._checked:
            if zlib.crc32(found.data) != checksum:
                return None
            self._checked.add(path.name)
        return found

    def _written(self, path: Path, pixels: RgbArray) -> RgbArray:
        """The pixels' map, once they are in the file; the pixels themselves where the disk takes none."""
        part = path.with_name(f"{path.stem}.{os.getpid()}.{next(_numbers)}.part")
        data = np.ascontiguousarray(pixels).data
        head = _HEADER.pack(_MAGIC, *pixels.shape[:2], zlib.crc32(data)).ljust(_HEADER_BYTES, b"\0")
        try:
            with atomic_path(path, partial=part, is_durable=False), part.open("wb") as file:
                file.write(head)
                file.write(data)
        except OSError as error:  # training goes on without, a little slower
            _log.warning("Nothing more is kept in %s: %s", self._folder, error)
            self._can_write = False
            return pixels
        mapped = self._mapped(path)
        return pixels if mapped is None else mapped


def file_name(image: Decodable) -> str | None:
    """Names the file and how it is decoded: another size, time, place, reader or decoding is another name.

    None when the file is not there.
    """
    try:
        facts = image.path.stat()
    except FileNotFoundError:
        return None
    words = (str(image.path.resolve()), facts.st_size, facts.st_mtime_ns, image.decoding, _version())
    return hashlib.sha256(repr(words).encode()).hexdigest()[:40] + _SUFFIX


_version = cache(pixels_version)


@dataclass(frozen=True, slots=True)
class _Stranger:
    path: Path
    nbytes: int
    used_at: float


def _make_room(folder: Path, wanted: set[str], spare_bytes: int) -> None:
    """Take away what killed processes left, and the files of other images, the oldest first, beyond the spare room."""
    now, strangers = time.time(), []
    for path in folder.iterdir():
        if path.suffix not in (_SUFFIX, ".part") or path.name in wanted:
            continue
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process was first
            continue
        if path.suffix == _SUFFIX:
            strangers.append(_Stranger(path, facts.st_size, facts.st_mtime))
        elif now - facts.st_mtime > _STALE_SECONDS:
            path.unlink(missing_ok=True)
    excess = sum(stranger.nbytes for stranger in strangers) - spare_bytes
    for stranger in sorted(strangers, key=lambda s: s.used_at):
        if excess <= 0:
            break
        try:
            stranger.path.unlink(missing_ok=True)
        except PermissionError:  # mapped by another program, on systems that forbid it
            continue
        excess -= stranger.nbytes
