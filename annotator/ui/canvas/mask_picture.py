"""How a mask is painted: from its own crop, never from an image-sized array.

The outline runs on pixel edges. It is a path where that is cheap, and otherwise made at the size of the screen, so
that a mask of any size costs no more than the pixels that are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QByteArray, QDataStream, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen

from annotator.domain.mask import BoolArray, Mask
from annotator.ui.canvas.items import DeviceGrid, draw_part

OUTLINE_PX = 2.0
PATH_MAX_PIXELS = 1_500_000
PATH_MAX_EDGES = 6_000
"""Masks with more pixels in their crop, or more straight pieces in their outline, are outlined at screen size."""
SMALL_PIXELS = 16_384
"""Crops up to here are kept in the format that paints fastest, four bytes a pixel."""
PLAIN_BELOW_PX = 14.0
"""Objects smaller than this on the screen are filled more strongly and have no outline."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """How a mask is painted.

    ``opacity`` 0..1 is the fill's; ``is_strong`` is the object in work; ``outline_px`` is in logical screen pixels, 0
    for none.
    """

    colour: str
    opacity: float
    is_hovered: bool = False
    is_selected: bool = False
    is_strong: bool = False
    outline_px: float = OUTLINE_PX

    @property
    def fill(self) -> QColor:
        colour = QColor(self.colour)
        colour.setAlphaF(min(1.0, self.opacity + (0.15 if self.is_hovered else 0.0)))
        return colour

    @property
    def line(self) -> QColor:
        """The same hue, lighter."""
        colour = QColor(self.colour)
        share = 0.6 if self.is_hovered or self.is_strong else 0.35
        return QColor.fromRgbF(*(c + (1 - c) * share for c in (colour.redF(), colour.greenF(), colour.blueF())))


class MaskBrush:
    """A look made ready for one paint event, so that thousands of masks share it.

    Args:
        scale: device pixels per image pixel.
        ratio: device pixels per logical pixel; Qt's cosmetic pens are as wide as they say in device pixels.
    """

    def __init__(self, look: MaskLook, scale: float, *, ratio: float) -> None:
        self.look, self.scale = look, scale
        self.is_marked = look.is_selected or look.is_hovered or look.is_strong
        self.fill = look.fill.rgba()
        self.plain = self.fill | 0xC0000000
        # A pen of no width would be Qt's thinnest line, not none.
        lines = [(look.line, look.outline_px)] if look.outline_px > 0 else []
        if look.is_selected:
            lines.insert(0, (QColor(255, 255, 255), look.outline_px + 2))
        self.pens = [_outline_pen(colour, width * ratio) for colour, width in lines]


def _outline_pen(colour: QColor, width: float) -> QPen:
    pen = QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap, Qt.PenJoinStyle.MiterJoin)
    pen.setCosmetic(True)
    return pen


class MaskPicture:
    """What is computed once for a mask: the picture of its crop and, where it is simple enough, its outline."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        height, width = mask.bits.shape
        self.place = QRectF(mask.x, mask.y, width, height)
        self._side = max(width, height)
        self._pixels = np.ascontiguousarray(mask.bits).view(np.uint8)
        self._image: QImage | None = None
        self._image_colour = 0
        self._outline: QPainterPath | None = None
        self._is_outline_known = False

    def paint(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        if self.place.isEmpty():
            return
        if self._side * brush.scale < PLAIN_BELOW_PX and not brush.is_marked:
            self._fill(painter, brush.plain, exposed)
        elif self._path() is None:
            self._paint_at_screen_size(painter, brush, exposed)
        else:
            self._fill(painter, brush.fill, exposed)
            self._stroke(painter, brush)

    def _fill(self, painter: QPainter, colour: int, exposed: QRectF) -> None:
        if self._image is None or self._image_colour != colour:
            height, width = self._pixels.shape
            image = QImage(self._pixels.data, width, height, width, QImage.Format.Format_Indexed8)
            image.setColorTable([0, colour])
            if height * width <= SMALL_PIXELS:
                image = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
            self._image, self._image_colour = image, colour
        if self._pixels.size <= SMALL_PIXELS:
            painter.drawImage(self.place, self._image)
        else:
            draw_part(painter, self._image, exposed.intersected(self.place), self.place)

    def _stroke(self, painter: QPainter, brush: MaskBrush) -> None:
        path = self._path()
        if path is None:
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in brush.pens:
            painter.setPen(pen)
            painter.drawPath(path)

    def _path(self) -> QPainterPath | None:
        if not self._is_outline_known:
            self._is_outline_known = True
            if self._pixels.size <= PATH_MAX_PIXELS:
                edges = pixel_edges(self.mask.bits)
                if len(edges) <= PATH_MAX_EDGES:
                    self._outline = _path_of(edges + np.array([self.mask.x, self.mask.y] * 2))
        return self._outline

    def _paint_at_screen_size(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        """Sample the mask once per device pixel and draw fill and outline unscaled."""
        ratio = painter.device().devicePixelRatioF()
        margin = int(np.ceil((brush.look.outline_px + 2) * ratio))
        spill = margin / brush.scale
        seen = exposed.intersected(self.place.adjusted(-spill, -spill, spill, spill))
        grid = DeviceGrid.of(painter, seen, margin=margin)
        if grid is None:
            return
        inside = self._sampled(grid)
        layers = _layers(inside, brush.look, ratio=ratio)[margin:-margin, margin:-margin]
        pixels = np.ascontiguousarray(layers)
        image = QImage(pixels.data, grid.width, grid.height, grid.width, QImage.Format.Format_Indexed8)
        image.setColorTable([0, brush.fill, brush.look.line.rgba(), 0xFFFFFFFF])
        grid.draw(painter, image)

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


def pixel_edges(bits: BoolArray) -> npt.NDArray[np.int64]:
    """The straight pieces of a mask's outline on pixel edges, N x 4 (x0, y0, x1, y1) from the crop's corner."""
    height, width = bits.shape
    padded = np.zeros((height + 2, width + 2), np.bool_)
    padded[1:-1, 1:-1] = bits
    flat = _runs(padded[1:] != padded[:-1])
    steep = _runs((padded[:, 1:] != padded[:, :-1]).T)
    edges = np.empty((len(flat) + len(steep), 4), np.int64)
    edges[: len(flat)] = np.stack((flat[:, 1] - 1, flat[:, 0], flat[:, 2] - 1, flat[:, 0]), axis=1)
    edges[len(flat) :] = np.stack((steep[:, 0], steep[:, 1] - 1, steep[:, 0], steep[:, 2] - 1), axis=1)
    return edges


def _runs(borders: BoolArray) -> npt.NDArray[np.int64]:
    """(row, start, stop) of each run of true values; the first and last column are false."""
    row, column = np.nonzero(borders[:, 1:] != borders[:, :-1])
    return np.stack((row[0::2], column[0::2] + 1, column[1::2] + 1), axis=1)


def _path_of(edges: npt.NDArray[np.int64]) -> QPainterPath:
    """A path of separate lines, handed to Qt in its own stream format: no Python call per line."""
    element = np.dtype([("kind", ">i4"), ("x", ">f8"), ("y", ">f8")])
    elements = np.zeros(2 * len(edges), element)
    elements["kind"][1::2] = 1  # a line to here; 0 moves there
    elements["x"][0::2], elements["y"][0::2] = edges[:, 0], edges[:, 1]
    elements["x"][1::2], elements["y"][1::2] = edges[:, 2], edges[:, 3]
    start = max(0, 2 * len(edges) - 2)
    raw = np.array([len(elements)], ">i4").tobytes() + elements.tobytes()
    raw += np.array([start, 0], ">i4").tobytes()
    path = QPainterPath()
    if len(edges):
        stream = QDataStream(QByteArray(raw))
        stream >> path
    return path


def _layers(inside: npt.NDArray[np.uint8], look: MaskLook, *, ratio: float) -> npt.NDArray[np.uint8]:
    """0 outside, 1 fill, 2 outline, 3 hairline outside of it; one value per device pixel."""
    width = max(1, round(look.outline_px * ratio)) if look.outline_px > 0 else 0
    grown, shrunk = cv2.dilate(inside, _square(width - width // 2)), cv2.erode(inside, _square(width // 2))
    layers = np.where(shrunk > 0, np.uint8(1), grown * np.uint8(2))
    if look.is_selected:
        outer = cv2.dilate(grown, _square(max(1, round(ratio))))
        layers[(outer > 0) & (grown == 0)] = 3
    return layers


def _square(radius: int) -> npt.NDArray[np.uint8]:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
