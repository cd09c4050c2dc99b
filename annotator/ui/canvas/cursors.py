"""Mouse cursors that say what a press will do. A tool's own stands in its row (``tools/specs.py``); here are those that
several have."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QCursor, QPainter, QPen, QPixmap

SIDE_PX = 32
_MIDDLE = SIDE_PX / 2
Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """What the pointer looks like: one of the system's, or a drawing of 32 x 32 pixels that points with its middle.

    Attributes:
        system: the system's; then nothing is drawn.
        lines: corners (x, y) of lines.
        rings: (x, y, radius).
    """

    system: Qt.CursorShape | None = None
    lines: tuple[Line, ...] = ()
    rings: tuple[tuple[float, float, float], ...] = ()


def _cross(*beside: Line) -> Cursor:
    """A cross-hair with something at its lower right."""
    reach, gap = 9.0, 2.5
    arms = tuple(
        tuple((_MIDDLE + far * dx, _MIDDLE + far * dy) for far in (gap, reach))
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    )
    return Cursor(lines=(*arms, *beside))


_BESIDE, _ARM = _MIDDLE + 9.0, 3.5
_LOW, _HIGH = _BESIDE - _ARM, _BESIDE + _ARM
ARROW = Cursor(Qt.CursorShape.ArrowCursor)
HAND = Cursor(Qt.CursorShape.OpenHandCursor)
GRABBING = Cursor(Qt.CursorShape.ClosedHandCursor)
PICK = Cursor(Qt.CursorShape.PointingHandCursor)
MOVE = Cursor(Qt.CursorShape.SizeAllCursor)
SIZE_ACROSS = Cursor(Qt.CursorShape.SizeHorCursor)
SIZE_DOWN = Cursor(Qt.CursorShape.SizeVerCursor)
SIZE_FALLING = Cursor(Qt.CursorShape.SizeFDiagCursor)
SIZE_RISING = Cursor(Qt.CursorShape.SizeBDiagCursor)
NEGATIVE = _cross(((_LOW, _BESIDE), (_HIGH, _BESIDE)))
POSITIVE = _cross(((_LOW, _BESIDE), (_HIGH, _BESIDE)), ((_BESIDE, _LOW), (_BESIDE, _HIGH)))
BOX = _cross(((_LOW, _LOW), (_HIGH, _LOW), (_HIGH, _HIGH), (_LOW, _HIGH), (_LOW, _LOW)))
WINDOW = Cursor(
    lines=tuple(
        ((_MIDDLE, _MIDDLE + by), (_MIDDLE + (7.0**2 - by**2) ** 0.5, _MIDDLE + by)) for by in (-4, -2, 0, 2, 4)
    ),
    rings=((_MIDDLE, _MIDDLE, 7.0),),
)
"""A half disc of contrast; a right drag has it with other tools, too."""


def cursor_of(cursor: Cursor) -> QCursor:
    """As Qt wants it; a drawing is dark under light, so that it is seen on any image."""
    if cursor.system is not None:
        return QCursor(cursor.system)
    ratio = 2
    pixmap = QPixmap(SIDE_PX * ratio, SIDE_PX * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    for colour, width in ((QColor(0, 0, 0, 200), 3.0), (QColor(255, 255, 255), 1.25)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        for line in cursor.lines:
            painter.drawPolyline([QPointF(*corner) for corner in line])
        for x, y, radius in cursor.rings:
            painter.drawEllipse(QPointF(x, y), radius, radius)
    painter.end()
    return QCursor(pixmap, SIDE_PX // 2, SIDE_PX // 2)
