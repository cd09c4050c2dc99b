"""The sign of a class: its colour, shape and number, painted in rows, on the canvas and in menus."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPainterPath, QPixmap

from annotator.domain.class_marks import Shape, shape_of
from annotator.domain.project import Category
from annotator.ui.look.theme import RADIUS_PX, readable_on

_ICON_PX = 16
_CORNERS = {
    Shape.DIAMOND: ((0.5, -0.12), (1.12, 0.5), (0.5, 1.12), (-0.12, 0.5)),
    Shape.HOUSE: ((0.5, -0.14), (1.04, 0.36), (1.04, 1.0), (-0.04, 1.0), (-0.04, 0.36)),
    Shape.HEXAGON: ((0.22, 0.0), (0.78, 0.0), (1.1, 0.5), (0.78, 1.0), (0.22, 1.0), (-0.1, 0.5)),
}
"""In parts of the box; a little beyond it, so that all shapes look equally large."""
_TEXT_SHARE = {1: 0.7, 2: 0.56, 3: 0.42}
"""Height of so many digits, of the box's."""


def paint_class_chip(painter: QPainter, rect: QRectF, category: Category | None, none: str, number: int = 0) -> None:
    """A class's shape in its colour, with its number in it unless that is 0; ``none`` (``#rrggbb``) without class."""
    if category is None:
        paint_chip(painter, rect, none, Shape.SQUARE)
    else:
        paint_chip(painter, rect, category.colour, shape_of(category.id), str(number) if number else "")


def paint_chip(painter: QPainter, rect: QRectF, colour: str, shape: Shape, text: str = "") -> None:
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawPath(_outline(rect, shape))
    if text:
        font = QFont(painter.font())
        font.setWeight(QFont.Weight.DemiBold)
        font.setPixelSize(round(rect.height() * _TEXT_SHARE.get(len(text), 0.36)))
        painter.setFont(font)
        painter.setPen(QColor(readable_on(colour)))
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), text)
    painter.restore()


def _outline(rect: QRectF, shape: Shape) -> QPainterPath:
    path = QPainterPath()
    if shape is Shape.SQUARE:
        path.addRoundedRect(rect, RADIUS_PX * 0.75, RADIUS_PX * 0.75)
    elif shape is Shape.CIRCLE:
        path.addEllipse(rect.adjusted(-0.5, -0.5, 0.5, 0.5))
    else:
        for at, (x, y) in enumerate(_CORNERS[shape]):
            corner = QPointF(rect.left() + x * rect.width(), rect.top() + y * rect.height())
            path.lineTo(corner) if at else path.moveTo(corner)
        path.closeSubpath()
    return path


def class_icon(category: Category) -> QIcon:
    """A class's shape in its colour, for menus and lists."""
    icon = QIcon()
    for ratio in (1, 2, 3):
        pixmap = QPixmap(_ICON_PX * ratio, _ICON_PX * ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        pixmap.setDevicePixelRatio(ratio)
        painter = QPainter(pixmap)
        paint_class_chip(painter, QRectF(2.5, 2.5, 11, 11), category, "")
        painter.end()
        icon.addPixmap(pixmap)
    return icon
