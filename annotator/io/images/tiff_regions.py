"""Large TIFF pages, region by region: their tiles or strips, and the smaller copies that lie below or behind them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images import tiff
from annotator.io.images.claims import ask_for
from annotator.io.images.colours import Shown
from annotator.io.images.reader import COPY_AGAIN
from annotator.io.images.regions import MOST_SIDE, TILED_PIXELS, Level
from annotator.io.images.tiff_colours import can_show_parts, show_values
from annotator.io.images.tiff_segments import JPEGS, check_segments
from annotator.io.images.tiff_space import space_of

_MOST_SEGMENT_BYTES = 256 << 20
_BAND_BYTES = 16 << 20
"""Read at a time of a page that is one strip."""
_SIMILAR = 0.02
"""A smaller copy has the shape of the picture, up to this."""
_LEAST_LEVEL_PX = 64
_AVERAGED = (np.uint8, np.uint16, np.float32)


@contextmanager
def tiff_pyramid(stream: BinaryIO, name: str, frame: int) -> Iterator[TiffPyramid | None]:
    """The page that is a picture, counted as :func:`annotator.io.images.tiff.read_tiff` does; None where it is small,
    or made so that only the whole of it can be shown."""
    with tiff.opened(stream, name) as file:
        pictures = tiff.picture_pages(stream, file)
        page = tiff.page_at(file, pictures[frame][0]) if 0 <= frame < len(pictures) else None
        if page is None or pictures[frame][1] is not None or not _is_for_regions(page):
            yield None
            return
        check_segments(page, name)
        end = stream.seek(0, 2)
        if _end_of(page) > end:
            raise ImageError(f"{brief(name)} is cut off: the file ends before the picture does.", COPY_AGAIN)
        at = pictures[frame][0]
        spacing = space_of(file, len(pictures)).spacing_xy
        copies = [copy for copy in _smaller_copies(file, page, at) if _end_of(copy) <= end]
        yield TiffPyramid([page, *copies], name, spacing)


class TiffPyramid:
    """See :class:`annotator.io.images.regions.Pyramid`."""

    def __init__(self, pages: list[Any], name: str, spacing_mm: tuple[float, float] | None) -> None:
        self._pages, self._name, self.spacing_mm = pages, name, spacing_mm
        full = pages[0]
        self.levels = tuple(
            Level(int(page.imagewidth), int(page.imagelength), int(full.imagewidth) / int(page.imagewidth))
            for page in pages
        )

    def read(self, level: int, region: Region, step: int) -> Shown:
        """See :meth:`annotator.io.images.regions.Pyramid.read`."""
        page = self._pages[level]
        channels, size = int(page.samplesperpixel), page.dtype.itemsize
        pixels = region.width * region.height / step**2
        ask_for(self._name, 1, 1, 2 * _segment_bytes(page) + pixels * (2 * channels * size + 12))
        return show_values(page, _values(page, region, step), self._name)


def _is_for_regions(page: Any) -> bool:
    width, height = int(page.imagewidth), int(page.imagelength)
    return (
        width * height > TILED_PIXELS
        and max(width, height) <= MOST_SIDE
        and page.dtype is not None
        and can_show_parts(page)
        and _segment_bytes(page) <= _MOST_SEGMENT_BYTES
        and int(page.imagedepth) == 1
    )


def _end_of(page: Any) -> int:
    """Where in the file the last of a page's pixels end."""
    offsets, counts = (np.asarray(page.dataoffsets, np.uint64), np.asarray(page.databytecounts, np.uint64))
    listed = min(len(offsets), len(counts))
    return int((offsets[:listed] + counts[:listed]).max()) if listed else 0


def _smaller_copies(file: tifffile.TiffFile, page: Any, at: int | tuple[int, int]) -> list[Any]:
    """Reduced pages below the page, or else those behind it; the largest first."""
    below = list(page.pages) if getattr(page, "subifds", None) else []
    behind: list[Any] = []
    if isinstance(at, int):
        for number in range(at + 1, len(file.pages)):
            other: Any = file.pages[number]
            if not int(other.subfiletype) & 1:
                break
            behind.append(other)
    found: list[Any] = []
    for other in below or behind:
        before = found[-1] if found else page
        if _is_copy(page, other) and int(other.imagewidth) < int(before.imagewidth):
            found.append(other)
    return found


def _is_copy(page: Any, other: Any) -> bool:
    if other.dtype != page.dtype or other.samplesperpixel != page.samplesperpixel or not can_show_parts(other):
        return False
    across, down = int(page.imagewidth) / int(other.imagewidth), int(page.imagelength) / int(other.imagelength)
    is_large = min(int(other.imagewidth), int(other.imagelength)) >= _LEAST_LEVEL_PX
    return is_large and abs(across / down - 1) <= _SIMILAR


def _values(page: Any, region: Region, step: int) -> npt.NDArray[Any]:
    """H x W x C: averages of ``step`` x ``step`` pixels where that is quickly had, else every ``step``-th."""
    rows, columns = -(-region.height // step), -(-region.width // step)
    out = np.zeros((rows, columns, int(page.samplesperpixel)), page.dtype)
    for values, (sample, plane, top, left, _), shape in _segments(page, region, step):
        if values is None or plane:
            continue
        part = values[0, : shape[1], : shape[2]]
        y0, x0 = max(top, region.y0), max(left, region.x0)
        y1, x1 = min(top + shape[1], region.y1), min(left + shape[2], region.x1)
        if y0 >= y1 or x0 >= x1:
            continue
        first_y, first_x = y0 + (region.y0 - y0) % step, x0 + (region.x0 - x0) % step
        cut = part[first_y - top : y1 - top, first_x - left : x1 - left]
        small = _thinned(cut, step)
        row, column = (first_y - region.y0) // step, (first_x - region.x0) // step
        place = out[row : row + small.shape[0], column : column + small.shape[1]]
        small = small[: place.shape[0], : place.shape[1]]
        if small.shape[2] == out.shape[2]:
            place[:] = small
        else:
            place[..., sample] = small[..., 0]
    return out


def _thinned(part: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    if step == 1:
        return part
    height, width, channels = part.shape
    if part.dtype not in _AVERAGED or channels > 4 or height % step or width % step or not part.size:
        return part[::step, ::step]
    size = (width // step, height // step)
    small: npt.NDArray[Any] = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA)
    return small.reshape(size[1], size[0], channels)


def _is_plain(page: Any) -> bool:
    """Whether a page is one long strip of rows as they are, of which any can be read: ImageJ writes stacks so."""
    if page.is_tiled or page.planarconfig == 2 or len(page.dataoffsets) != 1 or not page.is_final:
        return False
    return bool(page.dataoffsets[0]) and page.databytecounts[0] >= page.nbytes > _BAND_BYTES


def _row_bytes(page: Any) -> int:
    return int(page.imagewidth) * int(page.samplesperpixel) * int(page.dtype.itemsize)


def _segment_bytes(page: Any) -> int:
    """What has to be in memory at a time."""
    return max(_row_bytes(page), _BAND_BYTES) if _is_plain(page) else math.prod(page.chunks) * page.dtype.itemsize


_Segment = tuple[Any, tuple[int, ...], tuple[int, ...]]
"""Values (None where the file leaves them out), place and shape of a tile or strip, as tifffile gives them."""


def _segments(page: Any, region: Region, step: int) -> Iterator[_Segment]:
    """All that a region touches, of all planes."""
    if _is_plain(page):
        yield from _bands(page, region, step)
    else:
        yield from (_decoded(page, number) for number in _segments_of(page, region))


def _bands(page: Any, region: Region, step: int) -> Iterator[_Segment]:
    """The rows of a plain page."""
    width, channels, row_bytes = int(page.imagewidth), int(page.samplesperpixel), _row_bytes(page)
    at_once = max(step, _BAND_BYTES // row_bytes // step * step)
    dtype, file = page.dtype.newbyteorder(page.parent.byteorder), page.parent.filehandle
    for top in range(region.y0, region.y1, at_once):
        rows = min(at_once, region.y1 - top)
        file.seek(int(page.dataoffsets[0]) + top * row_bytes)
        stored = np.frombuffer(file.read(rows * row_bytes), dtype).reshape(1, rows, width, channels)
        yield stored.astype(page.dtype, copy=False), (0, 0, top, 0, 0), (1, rows, width, channels)


def _segments_of(page: Any, region: Region) -> Iterator[int]:
    """Numbers of the tiles or strips that a region touches, of all planes."""
    down, across = int(page.chunked[0]), int(page.chunked[1])
    planes = math.prod(page.chunked) // (down * across)
    if page.planarconfig == 2:
        planes, down, across = int(page.chunked[0]), int(page.chunked[1]), int(page.chunked[2])
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    height, width = max(1, int(height)), max(1, int(width))
    for plane in range(planes):
        for row in range(region.y0 // height, min(down, -(-region.y1 // height))):
            for column in range(region.x0 // width, min(across, -(-region.x1 // width))):
                yield (plane * down + row) * across + column


def _decoded(page: Any, number: int) -> _Segment:
    options: dict[str, Any] = {"_fullsize": bool(page.is_tiled)}
    if page.compression in JPEGS:
        options |= {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
    offset, count = page.dataoffsets[number], page.databytecounts[number]
    file, decode = page.parent.filehandle, page.decode  # asking for it reads in the file
    segment = None
    if offset and count:
        file.seek(offset)
        segment = file.read(count)
    found: _Segment = decode(segment, number, **(options if segment else {}))
    return found
