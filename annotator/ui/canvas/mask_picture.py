"""How a mask is painted: from its own crop, never from an image-sized array.

Below ``SMOOTH_BELOW`` the mask is sampled once per device pixel, so that edges are smooth and a mask of any size costs
no more than the pixels that are seen. Above it pixels are squares, and the outline runs exactly on their
edges.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from annotator.domain.areas import Frame
from annotator.domain.mask import Mask
from annotator.ui.canvas.edge_bands import EdgeBands
from annotator.ui.canvas.items import DeviceGrid
from annotator.ui.canvas.mask_level import MaskLevel, halvings_for, prepared_level

OUTLINE_PX = 2.0
SMOOTH_BELOW = 4.0
"""Zoom from which on pixels of the mask are squares with sharp edges."""
PLAIN_BELOW_PX = 14.0
"""Objects smaller than this on the screen are filled more strongly and have no outline."""
HALO_PX = 1.0
HALO_ALPHA = 115
"""Of the dark lines beside the bright one, which is seen on any ground then, 0..255."""
DASH_PX = 4
"""Of a dash, and of the gap behind it, in logical screen pixels."""
TINTS = 5
_TINT_HUES = (0.0, 0.035, -0.035, 0.015, -0.015)
_TINT_VALUES = (1.0, 1.0, 1.0, 0.74, 0.74)
"""A class's colour turned by a part of the circle, and darkened: still its colour, and another than that beside it."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """How a mask is painted.

    ``opacity`` 0..1 is the fill's; ``is_strong`` is the current object; ``outline_px`` is in logical screen pixels, 0
    for none; ``tint`` (0 .. ``TINTS`` - 1) tells objects of one class apart, 0 is the plain colour; ``is_dashed``: only
    every other piece of it is painted, as of what is no object yet.
    """

    colour: str
    opacity: float
    is_hovered: bool = False
    is_selected: bool = False
    is_strong: bool = False
    outline_px: float = OUTLINE_PX
    tint: int = 0
    is_dashed: bool = False

    @property
    def tinted(self) -> QColor:
        plain = QColor(self.colour)
        if not self.tint:
            return plain
        hue, saturation, value = colorsys.rgb_to_hsv(plain.redF(), plain.greenF(), plain.blueF())
        turned = (hue + _TINT_HUES[self.tint]) % 1.0
        return QColor.fromRgbF(*colorsys.hsv_to_rgb(turned, saturation, value * _TINT_VALUES[self.tint]))

    @property
    def fill(self) -> QColor:
        colour = self.tinted
        colour.setAlphaF(min(1.0, self.opacity + (0.15 if self.is_hovered else 0.0)))
        return colour

    @property
    def line(self) -> QColor:
        """The same hue, lighter."""
        colour = self.tinted
        share = 0.6 if self.is_hovered or self.is_strong else 0.35
        return QColor.fromRgbF(*(c + (1 - c) * share for c in (colour.redF(), colour.greenF(), colour.blueF())))


class MaskBrush:
    """A look made ready for one paint event, so that thousands of masks share it.

    Args:
        scale: device pixels per image pixel.
        ratio: device pixels per logical pixel; Qt's cosmetic pens are as wide as they say in device pixels.
    """

    def __init__(self, look: MaskLook, scale: float, *, ratio: float) -> None:
        self.look, self.scale, self.ratio = look, scale, ratio
        self.is_marked = look.is_selected or look.is_hovered or look.is_strong
        self.is_smooth = scale / ratio < SMOOTH_BELOW
        self.fill = look.fill.rgba()
        plain = look.fill
        plain.setAlpha(max(plain.alpha(), 0xC0))
        halo, white = QColor(0, 0, 0, HALO_ALPHA), QColor(255, 255, 255)
        # A pen of no width would be Qt's thinnest line, not none.
        lines = [] if look.outline_px <= 0 else [(halo, look.outline_px + 2 * HALO_PX), (look.line, look.outline_px)]
        lines = [(colour, width * ratio) for colour, width in lines]
        rim = (white, (look.outline_px + 2 * HALO_PX + 2) * ratio) if look.is_selected else None
        self.bands = EdgeBands(look.fill, lines, rim=rim, is_square=not self.is_smooth)
        self.plain = EdgeBands(plain, [])


brush_for = lru_cache(maxsize=256)(MaskBrush)
"""A brush that was made for an earlier paint event, where there is one."""


class MaskPicture:
    """A mask, and what is computed once for it."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        height, width = mask.bits.shape
        self.place = QRectF(mask.x, mask.y, width, height)
        self.side = max(width, height)
        self._pixels = np.ascontiguousarray(mask.bits).view(np.uint8)
        self._levels: dict[int, MaskLevel] = {}
        """By how often they are halved."""

    def edited(self, mask: Mask, changed: Iterable[Frame]) -> MaskPicture:
        """The picture of another mask of the image, which differs only inside ``changed``: there alone it is computed
        again. This one is used up."""
        picture = MaskPicture(mask)
        picture._levels = {
            halvings: prepared_level(mask, halvings) or level.edited(mask, changed)
            for halvings, level in self._levels.items()
        }
        self._levels = {}
        return picture

    def paint(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        """Paint what of it is in ``exposed`` (scene)."""
        grid = None if self.place.isEmpty() else self.grid_of(painter, brush, exposed)
        if grid is not None:
            grid.draw(painter, self.image_on(grid, brush))

    def grid_of(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> DeviceGrid | None:
        """The device pixels under what of it is in ``exposed`` (scene); None when there are none."""
        return DeviceGrid.of(painter, exposed.intersected(self.with_spill(brush)), margin=self.margin(brush))

    def _bands(self, brush: MaskBrush) -> EdgeBands:
        is_plain = self.side * brush.scale < PLAIN_BELOW_PX * brush.ratio and not brush.is_marked
        return brush.plain if is_plain else brush.bands

    def margin(self, brush: MaskBrush) -> int:
        """How far it goes beyond the mask, in device pixels."""
        return self._bands(brush).reach + 1

    def with_spill(self, brush: MaskBrush) -> QRectF:
        """What is painted of it, in the scene."""
        spill = self.margin(brush) / brush.scale
        return self.place.adjusted(-spill, -spill, spill, spill)

    def image_on(self, grid: DeviceGrid, brush: MaskBrush) -> QImage:
        """The pixels of a grid that has :meth:`margin` more on each side; to be drawn at once, or copied."""
        bands, margin = self._bands(brush), self.margin(brush)
        if brush.is_smooth:
            pixels = bands.painted(self._coverage(grid, brush.scale, margin))
        else:
            pixels = bands.painted_squares(self._sampled(grid))
        if brush.look.is_dashed:
            pixels = pixels * _dashes(grid, brush.scale, DASH_PX * brush.ratio)
        pixels = np.ascontiguousarray(pixels[margin:-margin, margin:-margin])
        shape = grid.width, grid.height, 4 * grid.width
        return QImage(pixels.data, *shape, QImage.Format.Format_ARGB32_Premultiplied)

    def _coverage(self, grid: DeviceGrid, scale: float, margin: int) -> npt.NDArray[np.uint8]:
        """How much of each device pixel the mask covers, 0..255, with ``margin`` more on each side."""
        halvings = halvings_for(scale)
        level = self._levels.get(halvings)
        if level is None:
            level = self._levels[halvings] = prepared_level(self.mask, halvings) or MaskLevel(self.mask, halvings)
        step = float(1 << halvings)
        # From the centre of a device pixel to the centre of a level's.
        x, y = grid.xs[0] / step - 0.5 - level.left, grid.ys[0] / step - 0.5 - level.top
        by = 1 / (scale * step)
        matrix = np.array([[by, 0.0, x], [0.0, by, y]])
        size = (grid.width + 2 * margin, grid.height + 2 * margin)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grey = level.grey(_blocks_under(grid, step))
        warped = cv2.warpAffine(grey, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        found = np.asarray(warped, np.uint8)
        # Enlarged, the softened edge would be several device pixels wide; it is made as steep as one.
        steepness = 1.0 if halvings else max(1.0, round(_SOFT_EDGE_PX * scale, 2))
        return _steeper(steepness).take(found) if steepness > 1.0 else found

    def _sampled(self, grid: DeviceGrid) -> npt.NDArray[np.uint8]:
        """The mask at the grid's positions, 0 or 1."""
        columns = np.floor(grid.xs).astype(np.int64) - self.mask.x
        rows = np.floor(grid.ys).astype(np.int64) - self.mask.y
        h, w = self._pixels.shape
        sampled: npt.NDArray[np.uint8] = self._pixels.take(rows.clip(0, h - 1), axis=0)
        sampled = sampled.take(columns.clip(0, w - 1), axis=1)
        sampled[(rows < 0) | (rows >= h)] = 0
        sampled[:, (columns < 0) | (columns >= w)] = 0
        return sampled


def _blocks_under(grid: DeviceGrid, step: float) -> Frame:
    """Blocks of so many pixels; as the grid samples between their centres, one more on each side."""
    x0, y0 = (math.floor(places[0] / step) - 1 for places in (grid.xs, grid.ys))
    x1, y1 = (math.floor(places[-1] / step) + 2 for places in (grid.xs, grid.ys))
    return x0, y0, x1, y1


def _dashes(grid: DeviceGrid, scale: float, length: float) -> npt.NDArray[np.bool_]:
    """A checkerboard, rows first, that begins at the image's corner: the parts of a line fit wherever it is cut."""
    columns, rows = grid.xs * scale // length, grid.ys * scale // length
    return np.asarray((columns[None, :] + rows[:, None]) % 2 == 0)


_SOFT_EDGE_PX = 1.5
"""The edge of a mask that is softened so far is about this steep: 1 / 1.5 of its height in one pixel."""


@lru_cache(maxsize=64)
def _steeper(steepness: float) -> npt.NDArray[np.uint8]:
    """Grey values pulled apart about the middle one, as a table."""
    values = np.clip((np.arange(256) - 127.5) * steepness + 127.5, 0, 255)
    return np.asarray(values.round(), np.uint8)
