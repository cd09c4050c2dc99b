"""The layer of doubt and the proposed click in the canvas's scene. Scene coordinates are image pixels."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt, QVariantAnimation
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QApplication, QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.items import MARKER_RADIUS_PX

MOST_ALPHA = 170
CONTRAST = 1.7
"""Doubt in bits is near 1 wherever a model is not sure; raised to this power, what is most in doubt stands out."""
_RAMP = ((120, 20, 150), (225, 60, 90), (255, 140, 40), (255, 235, 120))
"""Purple, red, orange, pale yellow: lighter as it gets stronger, also for people who tell few colours apart."""
FINER, MOST_SIDE_PX, SMOOTH_CELLS = 4, 512, 0.7
"""The picture has so many pixels per cell, but no more a side; the cells are softened by so many of them."""
FADE_SHARE = 0.15
"""Of a side that ends inside the image: the edge of an enlarged piece says nothing about the object."""
PULSE_MS = 1100
RING_PX = MARKER_RADIUS_PX + 5
PULSE_PX = 4.0
_HALO = QColor(0, 0, 0, 170)
_FORMAT = QImage.Format.Format_ARGB32_Premultiplied


def heat_image(
    values: npt.NDArray[np.float32], *, inner_sides: tuple[bool, bool, bool, bool] = (False, False, False, False)
) -> QImage:
    """A picture of values 0..1 (h x w): clear where 0, strong where 1. Smooth: cells are not seen.

    Args:
        inner_sides: which sides (left, top, right, bottom) end inside the image, where the picture fades out.
    """
    v: npt.NDArray[np.float32] = np.clip(np.nan_to_num(values), 0, 1).astype(np.float32)
    finer = min(FINER, max(1, MOST_SIDE_PX // max(v.shape)))
    if finer > 1:
        soft = cv2.GaussianBlur(v, (0, 0), SMOOTH_CELLS, borderType=cv2.BORDER_REPLICATE)
        size = (v.shape[1] * finer, v.shape[0] * finer)
        v = np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC), np.float32)
    height, width = v.shape
    v = v * _fade(height, *inner_sides[1::2])[:, None] * _fade(width, *inner_sides[0::2])
    levels = np.clip(v * 255, 0, 255).astype(np.uint8)
    pixels = _ramp_table().take(levels)
    # Copied: the picture outlives the array.
    return QImage(pixels.data, width, height, 4 * width, _FORMAT).copy()


def ramp_colours(count: int) -> list[QColor]:
    """The colours from the least doubt to the most, for a legend."""
    words = [int(_ramp_table()[at]) for at in np.linspace(1, 255, count).astype(int)]
    return [_plain(word) for word in words]


def _plain(word: int) -> QColor:
    """A colour of premultiplied ARGB."""
    alpha = word >> 24
    red, green, blue = (min(255, (word >> shift & 255) * 255 // max(1, alpha)) for shift in (16, 8, 0))
    return QColor(red, green, blue, alpha)


@cache
def _ramp_table() -> npt.NDArray[np.uint32]:
    """Premultiplied ARGB of doubt 0..255."""
    v = (np.arange(256) / 255) ** CONTRAST
    alpha = np.sqrt(v) * MOST_ALPHA
    alpha[v < 0.002] = 0
    stops = np.linspace(0, 1, len(_RAMP))
    red, green, blue = (np.interp(v, stops, levels) * alpha / 255 for levels in zip(*_RAMP, strict=True))
    pixels = np.stack((blue, green, red, alpha), axis=1).astype(np.uint8)
    return np.ascontiguousarray(pixels).view(np.uint32)[:, 0]


def _fade(length: int, at_start: bool, at_end: bool) -> npt.NDArray[np.float32]:
    """1 along a line of values, but smoothly from 0 at ends that are asked for."""
    place = (np.arange(length, dtype=np.float32) + 0.5) / max(1.0, FADE_SHARE * length)
    rise = np.clip(place, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    line = np.ones(length, np.float32)
    if at_start:
        line *= rise
    if at_end:
        line *= rise[::-1]
    return line


class HeatItem(QGraphicsItem):
    """A small picture that the painter stretches over its box."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._place = QRectF()
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    @property
    def place(self) -> QRectF:
        """Empty while there is no heat."""
        return self._place

    def set_heat(self, image: QImage | None, box: Box | None) -> None:
        if image is None and self._image is None:
            return
        self.prepareGeometryChange()
        self._image = image
        shown = box if image is not None else None
        self._place = QRectF() if shown is None else QRectF(shown.x0, shown.y0, shown.width, shown.height)
        self.update()

    def boundingRect(self) -> QRectF:
        return self._place

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
            painter.drawImage(self._place, self._image)


class GhostItem(QGraphicsItem):
    """A proposed click, of constant size on the screen: a dashed ring round its sign, pulsing if things may move."""

    def __init__(self) -> None:
        super().__init__()
        self._point: PointPrompt | None = None
        self._positive, self._negative = QColor(), QColor()
        self._phase = 0.0
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIgnoresTransformations)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self._pulse = QVariantAnimation()
        self._pulse.setDuration(PULSE_MS)
        self._pulse.setLoopCount(-1)
        self._pulse.setStartValue(0.0)
        self._pulse.setKeyValueAt(0.5, 1.0)
        self._pulse.setEndValue(0.0)
        self._pulse.valueChanged.connect(self._beat)

    @property
    def point(self) -> PointPrompt | None:
        return self._point

    def set_colours(self, positive: str, negative: str) -> None:
        self._positive, self._negative = QColor(positive), QColor(negative)
        self.update()

    def set_point(self, point: PointPrompt | None) -> None:
        self.prepareGeometryChange()
        self._point, self._phase = point, 0.0
        if point is None:
            self._pulse.stop()
        else:
            self.setPos(point.x, point.y)
            # Systems say here whether things may move.
            if QApplication.isEffectEnabled(Qt.UIEffect.UI_General):
                self._pulse.start()
        self.update()

    def boundingRect(self) -> QRectF:
        side = 0.0 if self._point is None else RING_PX + PULSE_PX + 3
        return QRectF(-side, -side, 2 * side, 2 * side)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._point is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        colour = self._positive if self._point.is_positive else self._negative
        centre, ring, arm = QPointF(0, 0), RING_PX + PULSE_PX * self._phase, MARKER_RADIUS_PX - 2
        arms = [(QPointF(-arm, 0), QPointF(arm, 0))]
        if self._point.is_positive:
            arms.append((QPointF(0, -arm), QPointF(0, arm)))
        painter.setBrush(QColor(255, 255, 255, 150))
        painter.setPen(QPen(_HALO, 4.5))
        painter.drawEllipse(centre, ring, ring)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(255, 255, 255), 2.5))
        painter.drawEllipse(centre, ring, ring)
        dashed = QPen(colour, 2.5)
        dashed.setDashPattern([3.0, 2.0])
        painter.setPen(dashed)
        painter.drawEllipse(centre, ring, ring)
        for pen in (QPen(QColor(255, 255, 255), 5), QPen(colour, 2.5)):
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            for start, end in arms:
                painter.drawLine(start, end)

    def _beat(self, value: float) -> None:
        self._phase = float(value)
        self.update()
