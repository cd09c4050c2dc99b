"""Strips and tiles of a TIFF page: whether they are there, and thumbnails that hold one of them at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.claims import ask_for
from annotator.io.images.reader import COPY_AGAIN

JPEGS = (6, 7, 34892, 33007)
_COPIES = 2
_SHOWN_BYTES = 12
"""Of a pixel: grey or colours of 8 bits, opacity, a mask, RGB."""


def check_segments(page: Any, name: str) -> None:
    """A page without as many strips or tiles as its size asks for has lost them; nobody fills them in.

    Raises:
        ImageError: some are missing, or none has any data. (Single ones without data are a sparse file's way.)
    """
    wanted = math.prod(page.chunked)
    listed = min(len(page.dataoffsets), len(page.databytecounts))
    if listed < wanted:
        raise ImageError(
            f"{brief(name)} is cut off or damaged: it lists {listed:,} of {wanted:,} strips or tiles.", COPY_AGAIN
        )
    if not any(offset and count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)):
        raise ImageError(f"{brief(name)} has no pixels: none of its strips or tiles is stored.", COPY_AGAIN)


def ask_memory(page: Any, name: str, step: int) -> None:
    """For the whole page (``step`` 1), or its largest strip or tile.

    Raises:
        ImageError: it is more than the limit.
    """
    width, height = int(page.imagewidth), int(page.imagelength)
    if step == 1:
        ask_for(name, width, height, _COPIES * int(page.nbytes) / (width * height) + _SHOWN_BYTES)
        return
    segment_bytes = math.prod(page.chunks) * page.dtype.itemsize
    ask_for(name, 1, 1, _COPIES * segment_bytes + width * height * _SHOWN_BYTES / step**2)


def thinned_values(page: Any, step: int) -> npt.NDArray[Any]:
    """Every ``step``-th row and column, H x W x C, of the first plane of a block; one strip or tile at a time."""
    rows, columns = -(-int(page.imagelength) // step), -(-int(page.imagewidth) // step)
    out = np.zeros((rows, columns, int(page.samplesperpixel)), page.dtype)
    for values, (sample, plane, top, left, _), shape in _decoded(page):
        if values is None or plane:
            continue
        first_row, first_column = -top % step, -left % step
        part = values[0, first_row : shape[1] : step, first_column : shape[2] : step]
        at = (top + first_row) // step, (left + first_column) // step
        part = part[: rows - at[0], : columns - at[1]]
        if values.shape[-1] == out.shape[2]:
            out[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
        else:
            out[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1], sample] = part[..., 0]
    return out


def _decoded(page: Any) -> Iterator[tuple[Any, tuple[int, ...], tuple[int, ...]]]:
    """Each strip or tile that is stored, its place and its shape (as tifffile gives them), one after the other."""
    options: dict[str, Any] = {"_fullsize": bool(page.is_tiled)}
    if page.compression in JPEGS:
        options |= {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
    file, decode = page.parent.filehandle, page.decode  # asking for it reads in the file
    for number in range(math.prod(page.chunked)):
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if offset and count:
            file.seek(offset)
            yield decode(file.read(count), number, **options)
