"""How half-drawn shapes look: filled in the colour of what they do, a light line over a dark one, a label beside."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from annotator.ui.canvas.brush import STROKE_OPACITY
from annotator.ui.canvas.tools.tool import ToolContext

_DARK, _LIGHT = QColor(0, 0, 0, 190), QColor(255, 255, 255)
_LABEL_OFFSET_PX, _LABEL_PAD_PX, _ROUND_PX = 14, 6, 4
_DOT_PX = 3.5


def paint_shape(painter: QPainter, shape: QPainterPath, colour: str, *, is_outlined: bool = True) -> None:
    """Fill a closed shape (image pixels) by its own rule, and draw its outline."""
    fill = QColor(colour)
    fill.setAlphaF(STROKE_OPACITY)
    painter.fillPath(shape, fill)
    if is_outlined:
        paint_line(painter, shape)


def paint_line(painter: QPainter, line: QPainterPath) -> None:
    """Draw a line (image pixels) that is seen on any image."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((_DARK, 3.0), (_LIGHT, 1.25)):
        pen = QPen(colour, width)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawPath(line)


def paint_dots(
    painter: QPainter,
    context: ToolContext,
    places: Sequence[QPointF],
    *,
    ringed: int = -1,
    colour: str = "#ffffff",
) -> None:
    """Draw small discs at places (image pixels), as large on the screen at any zoom.

    Args:
        ringed: the index of one that is larger, because a press there does more.
    """
    radius = _DOT_PX / context.view.zoom
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    pen = QPen(_DARK, 1.25)
    pen.setCosmetic(True)
    painter.setPen(pen)
    painter.setBrush(QColor(colour))
    for at, place in enumerate(places):
        size = radius * 1.8 if at == ringed else radius
        painter.drawEllipse(place, size, size)


def label_place(context: ToolContext, text: str, where: QPointF) -> QRectF:
    """Where a label beside a place of the image is, in view pixels: never outside of the view."""
    view = context.view.viewport().rect()
    size = context.view.fontMetrics().size(Qt.TextFlag.TextSingleLine, text)
    label = QRectF(0, 0, size.width() + 2 * _LABEL_PAD_PX, size.height() + _LABEL_PAD_PX)
    at = context.view.image_to_view(where.x(), where.y())
    x = min(max(at.x() + _LABEL_OFFSET_PX, 0), view.width() - label.width())
    y = min(max(at.y() + _LABEL_OFFSET_PX, 0), view.height() - label.height())
    label.moveTo(x, y)
    return label


def paint_label(painter: QPainter, context: ToolContext, text: str, where: QPointF) -> None:
    """Write beside a place (image pixels). The painter is in view pixels afterwards."""
    painter.resetTransform()
    label = label_place(context, text, where)
    painter.setFont(context.view.font())
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_DARK)
    painter.drawRoundedRect(label, _ROUND_PX, _ROUND_PX)
    painter.setPen(_LIGHT)
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, text)
