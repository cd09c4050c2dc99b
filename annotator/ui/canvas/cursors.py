"""Mouse cursors that say what a press will do."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QCursor, QPainter, QPen, QPixmap

SIDE_PX = 32
_SUN_PX = 7.0
"""Radius of the half disc of contrast."""


class CursorShape(Enum):
    ARROW = "arrow"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    BOX = "box"
    BRUSH = "brush"
    ERASER = "eraser"
    HAND = "hand"
    GRABBING = "grabbing"
    PICK = "pick"
    WINDOW = "window"
    MOVE = "move"
    SIZE_ACROSS = "size across"
    SIZE_DOWN = "size down"
    SIZE_FALLING = "size falling"
    SIZE_RISING = "size rising"


_PLAIN = {
    CursorShape.ARROW: Qt.CursorShape.ArrowCursor,
    CursorShape.HAND: Qt.CursorShape.OpenHandCursor,
    CursorShape.GRABBING: Qt.CursorShape.ClosedHandCursor,
    CursorShape.PICK: Qt.CursorShape.PointingHandCursor,
    CursorShape.MOVE: Qt.CursorShape.SizeAllCursor,
    CursorShape.SIZE_ACROSS: Qt.CursorShape.SizeHorCursor,
    CursorShape.SIZE_DOWN: Qt.CursorShape.SizeVerCursor,
    CursorShape.SIZE_FALLING: Qt.CursorShape.SizeFDiagCursor,
    CursorShape.SIZE_RISING: Qt.CursorShape.SizeBDiagCursor,
}


def cursor_of(shape: CursorShape) -> QCursor:
    """The system's cursor, a cross-hair with a plus, a minus or a small rectangle beside it, a pencil or an
    eraser beside a dot, or a half disc."""
    if shape in _PLAIN:
        return QCursor(_PLAIN[shape])
    ratio = 2
    pixmap = QPixmap(SIDE_PX * ratio, SIDE_PX * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    # Dark under light: seen on any image.
    for colour, width in ((QColor(0, 0, 0, 200), 3.0), (QColor(255, 255, 255), 1.25)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        _draw(painter, shape)
    painter.end()
    return QCursor(pixmap, SIDE_PX // 2, SIDE_PX // 2)


def _draw(painter: QPainter, shape: CursorShape) -> None:
    middle, x, y, arm = SIDE_PX / 2, SIDE_PX / 2 + 9.0, SIDE_PX / 2 + 9.0, 3.5
    if shape in (CursorShape.BRUSH, CursorShape.ERASER):
        painter.drawEllipse(QPointF(middle, middle), 1.5, 1.5)
        painter.drawPolyline(_BRUSH if shape is CursorShape.BRUSH else _ERASER)
        return
    if shape is CursorShape.WINDOW:
        painter.drawEllipse(QPointF(middle, middle), _SUN_PX, _SUN_PX)
        for by in (-4, -2, 0, 2, 4):
            reach = (_SUN_PX**2 - by**2) ** 0.5
            painter.drawLine(QPointF(middle, middle + by), QPointF(middle + reach, middle + by))
        return
    _draw_cross(painter)
    if shape is CursorShape.BOX:
        painter.drawRect(int(x - arm), int(y - arm), int(2 * arm), int(2 * arm))
        return
    painter.drawLine(QPointF(x - arm, y), QPointF(x + arm, y))
    if shape is CursorShape.POSITIVE:
        painter.drawLine(QPointF(x, y - arm), QPointF(x, y + arm))


def _draw_cross(painter: QPainter) -> None:
    middle, reach, gap = SIDE_PX / 2, 9.0, 2.5
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        start = QPointF(middle + gap * dx, middle + gap * dy)
        painter.drawLine(start, QPointF(middle + reach * dx, middle + reach * dy))


_BRUSH = [QPointF(x, y) for x, y in ((19, 19), (22.5, 19.5), (30, 27), (27, 30), (19.5, 22.5), (19, 19))]
"""A pencil that points at the middle."""
_ERASER = [QPointF(x, y) for x, y in ((19, 24), (24, 19), (31, 26), (26, 31), (19, 24), (22.5, 27.5), (27.5, 22.5))]
"""A tilted block with its sleeve."""
