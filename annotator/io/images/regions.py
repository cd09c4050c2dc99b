"""Pictures that are too large to be decoded as a whole: read region by region, at the size in which it is wanted.

A file may hold smaller copies of its picture (levels of a pyramid). Which of them a region is read from is decided
here; the reader only says what there is and reads it.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

import cv2
import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.domain.windowing import Native, show
from annotator.io.images.colours import Shown
from annotator.io.images.reader import CONVERT, RgbArray

TILED_PIXELS = 100_000_000
"""Larger pictures are read region by region where their file allows it."""
MOST_SIDE = 1 << 20
"""A larger picture is refused, whatever its file says."""
OVERVIEW_PX = 3072
"""The longer side of an overview: at most this, unless a level of the file is a little larger."""
LARGEST_READ_PIXELS = 64_000_000
"""What one region may decode."""


@dataclass(frozen=True, slots=True)
class Level:
    """One of the copies of a picture: its size in pixels, and how many it has to each of the full picture's."""

    width: int
    height: int
    step: float


class Pyramid(Protocol):
    """An open file with one picture.

    Attributes:
        levels: the full picture first, each smaller than the one before.
        spacing_mm: pixel size (x, y), where the file says it.
    """

    levels: tuple[Level, ...]
    spacing_mm: tuple[float, float] | None

    def read(self, level: int, region: Region, step: int) -> Shown:
        """Every ``step``-th pixel of a region, or averages of so many, in the level's own pixels; 1: all of them.

        Raises:
            ImageError, or anything that a decoder raises.
        """
        ...


@runtime_checkable
class RegionReader(Protocol):
    """A reader whose files may hold pictures that are read region by region."""

    def pyramid(self, stream: BinaryIO, name: str, *, frame: int) -> AbstractContextManager[Pyramid | None]:
        """A picture to read regions of; None for one that is to be read as a whole, or that has no such form."""
        ...


def full_size(pyramid: Pyramid, name: str) -> tuple[int, int]:
    """Width and height.

    Raises:
        ImageError: more than anything can be shown of.
    """
    full = pyramid.levels[0]
    if not 0 < max(full.width, full.height) <= MOST_SIDE or min(full.width, full.height) <= 0:
        raise ImageError(f"{brief(name)} claims a size that cannot be ({full.width:,} x {full.height:,}).", CONVERT)
    return full.width, full.height


def read_overview(pyramid: Pyramid, max_side: int = OVERVIEW_PX) -> Shown:
    """The whole picture, small: from the smallest level that has at least half as many pixels along its longer side."""
    wanted = max(pyramid.levels[0].width, pyramid.levels[0].height) / max_side
    chosen = _level_for(pyramid, 2 * wanted)
    level = pyramid.levels[chosen]
    step = max(1, math.ceil(max(level.width, level.height) / max_side))
    return pyramid.read(chosen, Region(0, 0, level.width, level.height), step)


def read_region(pyramid: Pyramid, region: Region, size_wh: tuple[int, int], window: Window | None) -> RgbArray:
    """A region of the full picture in the size that is wanted.

    Args:
        region: in pixels of the full picture, inside it.
        window: how numbers of more than 8 bits are shown, the same for all regions of a picture; of 8 bits None leaves
            them as they are. Local contrast is left out: it would make seams.

    Returns:
        height x width x 3, uint8.

    Raises:
        ImageError: the file has no level that is small enough for it.
    """
    wanted = max(1.0, min(region.width / size_wh[0], region.height / size_wh[1]))
    chosen = _level_for(pyramid, wanted)
    level = pyramid.levels[chosen]
    x0, y0 = math.floor(region.x0 / level.step), math.floor(region.y0 / level.step)
    x1 = min(level.width, math.ceil(region.x1 / level.step))
    y1 = min(level.height, math.ceil(region.y1 / level.step))
    part = Region(min(x0, level.width - 1), min(y0, level.height - 1), max(x1, x0 + 1), max(y1, y0 + 1))
    step = 1
    if part.width * part.height > LARGEST_READ_PIXELS:
        step = max(1, min(part.width // size_wh[0], part.height // size_wh[1]))
    rgb = _through(pyramid.read(chosen, part, step), window)
    return _fitted(rgb, part, region, level.step, size_wh)


def _level_for(pyramid: Pyramid, wanted: float) -> int:
    """The smallest level that still has a pixel for each that is wanted."""
    fitting = [at for at, level in enumerate(pyramid.levels) if level.step <= wanted * 1.01]
    return fitting[-1] if fitting else 0


def _through(shown: Shown, window: Window | None) -> RgbArray:
    native = shown.native if shown.native is not None else Native.of_rgb(shown.rgb)
    if window is None or (window == native.default and not native.is_deep):
        return shown.rgb
    return show(native, _without_clahe(window))


def _without_clahe(window: Window) -> Window:
    return Window(window.centre, window.width, window.function, window.is_inverted, window.gamma)


def _fitted(rgb: RgbArray, part: Region, region: Region, step: float, size_wh: tuple[int, int]) -> RgbArray:
    """The wanted region of what was read of a level, in the wanted size."""
    height, width = rgb.shape[:2]
    if (width, height) == size_wh and step == 1.0:
        return np.ascontiguousarray(rgb)
    # Where the region lies in what was read, in its pixels: levels seldom are whole halvings.
    fine_x, fine_y = width / part.width, height / part.height
    x0, y0 = (region.x0 / step - part.x0) * fine_x, (region.y0 / step - part.y0) * fine_y
    x1, y1 = (region.x1 / step - part.x0) * fine_x, (region.y1 / step - part.y0) * fine_y
    left, top = round(x0), round(y0)
    right, bottom = max(left + 1, min(width, round(x1))), max(top + 1, min(height, round(y1)))
    cut = np.ascontiguousarray(rgb[top:bottom, left:right])
    if cut.shape[1::-1] == size_wh:
        return cut
    is_smaller = cut.shape[1] >= size_wh[0] and cut.shape[0] >= size_wh[1]
    way = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, size_wh, interpolation=way), np.uint8)
