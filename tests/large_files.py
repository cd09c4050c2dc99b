"""Pyramids for tests: large by their size in pixels, small on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

ByteArray = npt.NDArray[np.uint8]
GREY, DARK = 200, 40


def discs(x0: int, y0: int, side: int, step: int, pitch: int, radius: int) -> ByteArray:
    """Part of a picture with a dark disc in the middle of each field of ``pitch`` pixels, every ``step``-th pixel."""
    xs = (x0 + np.arange(side) * step) % pitch - pitch // 2
    ys = (y0 + np.arange(side) * step) % pitch - pitch // 2
    return np.where(xs[None, :] ** 2 + ys[:, None] ** 2 <= radius**2, np.uint8(DARK), np.uint8(GREY))


def write_pyramid(
    path: Path, size: int, *, tile: int = 512, pitch: int = 1024, radius: int = 40, levels: int = 3, **options: Any
) -> Path:
    """A grey BigTIFF of ``size`` x ``size`` with discs; its levels lie below the page, as OME-TIFF has them."""
    known: dict[tuple[int, int, int], bytes] = {}

    def segments(step: int) -> Iterator[bytes]:
        across = math.ceil(math.ceil(size / step) / tile)
        for row in range(across):
            for column in range(across):
                at = (column * tile * step % pitch, row * tile * step % pitch, step)
                if at not in known:
                    pixels = discs(*at[:2], tile, step, pitch, radius)
                    known[at] = tifffile.TIFF.COMPRESSORS[8](pixels, level=1)
                yield known[at]

    about: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (tile, tile),
        "photometric": "minisblack",
        "compression": "zlib",
    }
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number in range(levels):
            side = -(-size // 2**number)
            below: dict[str, Any] = {"subifds": levels - 1} if number == 0 else {"subfiletype": 1}
            writer.write(segments(2**number), shape=(side, side), **about, **below, **options)
    return path
