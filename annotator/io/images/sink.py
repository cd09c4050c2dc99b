"""Where a reader process puts the pixels of its answer, so that they are written once.

Pillow keeps pixels in a form of its own; each copy out of it costs as much as a third of the decoding. A reader process
has a sink, and the picture goes band by band into the memory that the program will map, too. Anywhere else it becomes
an ordinary array.

New memory that processes share comes page by page and has to be cleared: for twelve megapixels that takes as long as a
tenth of the decoding. So a reader that has nothing to do gets the memory of its next answer ready.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from annotator.io.images.channel import INLINE_BYTES, anonymous_file, write_all
from annotator.io.images.native_wire import aligned

ByteArray = npt.NDArray[np.uint8]

READY_BYTES = 72 << 20
"""The most that one reader holds while it waits: a photograph of 24 megapixels."""
_BAND_BYTES = 512 << 10
_SHARED_AT_ONCE = getattr(mmap, "MAP_SHARED", 1) | getattr(mmap, "MAP_POPULATE", 0)
"""Page by page the system would be asked thousands of times."""
_CAN_RESERVE = hasattr(os, "memfd_create") and hasattr(os, "posix_fallocate")
"""Without a promise of the system, a full memory would end the process when it fills what it has mapped."""
_open: Sink | None = None


class Sink:
    """An anonymous file for one picture at a time; a context manager round each.

    Attributes:
        file: its descriptor while a picture lies in it.
    """

    def __init__(self) -> None:
        self.file: int | None = None
        self._mapped: mmap.mmap | None = None
        self._pixels: ByteArray | None = None
        self._ready: tuple[int, mmap.mmap] | None = None

    def __enter__(self) -> Sink:
        global _open
        _open = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _open
        _open = None
        self._drop()

    @property
    def ready_bytes(self) -> int:
        """Of memory that waits for the next picture."""
        return 0 if self._ready is None else len(self._ready[1])

    def get_ready(self, count: int) -> None:
        """Prepare memory for a picture of so many bytes, or of ``READY_BYTES``; between pictures. What the system
        refuses is asked for again by the picture itself."""
        if not _CAN_RESERVE or self._ready is not None or count <= 0:
            return
        try:
            self._ready = _new_memory(min(count, READY_BYTES))
        except MemoryError:
            return

    def close(self) -> None:
        """Give all memory back."""
        self._drop()
        if self._ready is not None:
            os.close(self._ready[0])
            self._ready = None

    def take(self, image: Image.Image) -> ByteArray:
        """The pixels of an RGB picture, H x W x 3; they lie in the file.

        Raises:
            MemoryError: there is no room for them.
        """
        rows = max(1, _BAND_BYTES // (3 * image.width))
        bands = (
            image.crop((0, top, image.width, min(image.height, top + rows))).tobytes()
            for top in range(0, image.height, rows)
        )
        if _CAN_RESERVE:
            pixels, at = self.room(image.width, image.height), 0
            flat = pixels.reshape(-1).data
            for band in bands:
                flat[at : at + len(band)] = band
                at += len(band)
            return pixels
        self._drop()
        self.file = anonymous_file()
        for band in bands:
            write_all(self.file, band)
        return self._shown(mmap.mmap(self.file, 3 * image.width * image.height), image.width, image.height)

    def room(self, width: int, height: int) -> ByteArray:
        """H x W x 3, to be filled to the last byte, as anything may stand there; it lies in the file.

        Raises:
            MemoryError: there is no room for it.
        """
        return self._shown(self._map(3 * width * height), width, height)

    def file_of(self, rgb: ByteArray, more: Sequence[npt.NDArray[Any]] = ()) -> int:
        """A file with exactly these pixels, written now if they do not lie in one, and the arrays of
        :func:`annotator.io.images.native_wire.to_wire` behind them. The sink closes it.

        Raises:
            MemoryError: there is no room for it.
        """
        ours, at = self._pixels, rgb.nbytes
        arrays = list(more)
        if ours is None or ours.ctypes.data != rgb.ctypes.data or ours.shape != rgb.shape:
            at, arrays = 0, [rgb, *more]
            self._begin(arrays)
        for array in arrays:
            at = aligned(at)
            for band in bands_of(array):
                self._put(band, at)
                at += len(band)
        assert self.file is not None
        return self.file

    def _begin(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """A file for arrays that lie elsewhere."""
        total = 0
        for array in arrays:
            total = aligned(total) + array.nbytes
        ours = self._pixels
        if ours is not None and ours.nbytes == total and not any(np.may_share_memory(ours, one) for one in arrays):
            return  # a picture that was turned
        if _CAN_RESERVE and total <= READY_BYTES:
            self._map(total)
        else:  # a large one is not to need address space for a second time
            self._drop()
            self.file = anonymous_file()

    def _put(self, band: memoryview, at: int) -> None:
        if self._mapped is not None and at + len(band) <= len(self._mapped):
            self._mapped[at : at + len(band)] = band
            return
        assert self.file is not None
        try:
            while band:
                written = os.pwrite(self.file, band, at)
                band, at = band[written:], at + written
        except OSError as error:
            raise MemoryError(error.strerror) from error

    def _map(self, count: int) -> mmap.mmap:
        self._drop()
        if self._ready is None:
            self.file, self._mapped = _new_memory(count)
            return self._mapped
        (self.file, self._mapped), self._ready = self._ready, None
        has = len(self._mapped)
        if count > has:
            _reserve(self.file, has, count)
        if count != has:
            self._mapped.resize(count)
        return self._mapped

    def _shown(self, mapped: mmap.mmap, width: int, height: int) -> ByteArray:
        self._mapped = mapped
        self._pixels = np.frombuffer(mapped, np.uint8).reshape(height, width, 3)
        return self._pixels

    def _drop(self) -> None:
        if self.file is not None:
            os.close(self.file)
        self.file = self._mapped = self._pixels = None


def _new_memory(count: int) -> tuple[int, mmap.mmap]:
    """An anonymous file of so many bytes, mapped; raises MemoryError."""
    file = anonymous_file()
    try:
        _reserve(file, 0, count)
        return file, mmap.mmap(file, count, _SHARED_AT_ONCE)
    except BaseException as error:
        os.close(file)
        if isinstance(error, OSError):
            raise MemoryError(error.strerror) from error
        raise


def _reserve(file: int, start: int, end: int) -> None:
    try:
        os.posix_fallocate(file, start, end - start)
    except OSError as error:
        raise MemoryError(error.strerror) from error


def bands_of(array: npt.NDArray[Any]) -> Iterator[memoryview]:
    """The bytes of an array row by row, whatever its strides, without a copy of the whole."""
    rows = max(1, _BAND_BYTES // max(1, array[:1].nbytes))
    for top in range(0, array.shape[0], rows):
        yield np.ascontiguousarray(array[top : top + rows]).data.cast("B")


def rgb_array(image: Image.Image) -> ByteArray:
    """The pixels of a picture of mode RGB, H x W x 3 uint8."""
    if _open is not None and 3 * image.width * image.height >= INLINE_BYTES:
        return _open.take(image)
    return np.asarray(image)


def room_for(width: int, height: int) -> ByteArray:
    """Where a decoder can put the pixels of a picture by itself: H x W x 3 uint8."""
    if _open is not None and 3 * width * height >= INLINE_BYTES and _CAN_RESERVE:
        return _open.room(width, height)
    return np.empty((height, width, 3), np.uint8)
