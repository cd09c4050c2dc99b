"""Where a reader process puts the pixels of its answer, so that they are written once.

Pillow keeps pixels in a form of its own; each copy out of it costs as much as a third of the decoding. A reader process
opens a sink, and the picture goes band by band into the file that the program will map. Anywhere else it becomes an
ordinary array.
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

_BAND_BYTES = 512 << 10
_SHARED_AT_ONCE = getattr(mmap, "MAP_SHARED", 1) | getattr(mmap, "MAP_POPULATE", 0)
"""Page by page the system would be asked thousands of times."""
_open: Sink | None = None


class Sink:
    """An anonymous file for one picture; a context manager."""

    def __init__(self) -> None:
        self.file: int | None = None
        self._pixels: ByteArray | None = None

    def __enter__(self) -> Sink:
        global _open
        _open = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _open
        _open = None
        self._drop()

    def take(self, image: Image.Image) -> ByteArray:
        """The pixels of an RGB picture, H x W x 3; they lie in the file."""
        self._drop()
        self.file = anonymous_file()
        rows = max(1, _BAND_BYTES // (3 * image.width))
        for top in range(0, image.height, rows):
            write_all(self.file, image.crop((0, top, image.width, min(image.height, top + rows))).tobytes())
        mapped = mmap.mmap(self.file, 3 * image.width * image.height)
        self._pixels = np.frombuffer(mapped, np.uint8).reshape(image.height, image.width, 3)
        return self._pixels

    def room(self, width: int, height: int) -> ByteArray:
        """H x W x 3, to be filled; it lies in the file.

        Raises:
            OSError: there is no room for it.
        """
        self._drop()
        self.file = anonymous_file()
        os.posix_fallocate(self.file, 0, 3 * width * height)  # else a full disk would be the end of the process
        mapped = mmap.mmap(self.file, 3 * width * height, _SHARED_AT_ONCE)
        self._pixels = np.frombuffer(mapped, np.uint8).reshape(height, width, 3)
        return self._pixels

    def file_of(self, rgb: ByteArray, more: Sequence[npt.NDArray[Any]] = ()) -> int:
        """A file with exactly these pixels, written now if they do not lie in one, and the arrays of
        :func:`annotator.io.images.native_wire.to_wire` behind them. The sink closes it."""
        ours = self._pixels
        if ours is None or ours.ctypes.data != rgb.ctypes.data or ours.shape != rgb.shape:
            self._drop()
            self.file = anonymous_file()
            write_all(self.file, np.ascontiguousarray(rgb).data)
        assert self.file is not None
        at = rgb.nbytes
        for array in more:
            write_all(self.file, bytes(aligned(at) - at))
            for band in bands_of(array):
                write_all(self.file, band)
            at = aligned(at) + array.nbytes
        return self.file

    def _drop(self) -> None:
        if self.file is not None:
            os.close(self.file)
        self.file = self._pixels = None


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
    if _open is not None and 3 * width * height >= INLINE_BYTES and hasattr(os, "posix_fallocate"):
        return _open.room(width, height)
    return np.empty((height, width, 3), np.uint8)
