"""The brush in the hand: its ring at the cursor, and the line that it draws until the button is let go."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsScene, QStyleOptionGraphicsItem, QWidget

from annotator.domain.brush import LARGEST_RADIUS_PX, MOST_STROKE_POINTS, Stroke, thinned
from annotator.ui.canvas.view import DEGREES_8_PER_NOTCH

RADIUS_PX = 8.0
"""To begin with, in pixels of the image."""
SMALLEST_RADIUS_PX = 0.5
GROWTH = 1.25
STROKE_OPACITY = 0.55
_STROKE_DEPTH, _RING_DEPTH = 2.5, 12
LEAST_THINNED_PX, THINNED_SHARE = 0.25, 0.03
"""How far a kept path may be from the drawn one: at least this, or this share of the radius."""
_STEP_SHARE = 0.2
"""Of the radius: a shorter move adds nothing that can be seen."""
_SHORTEST_STEP_PX = 0.25
_RING_PEN_PX = 3.0
_DARK, _LIGHT = QColor(0, 0, 0, 170), QColor(255, 255, 255)


class Brush:
    """Lives in a scene whose coordinates are image pixels."""

    def __init__(self, scene: QGraphicsScene) -> None:
        self.radius_px = RADIUS_PX
        self._ring, self._line = _RingItem(), _LineItem()
        self._path: list[tuple[float, float]] = []
        self._is_positive = True
        self._turned = 0.0
        for item, depth in ((self._line, _STROKE_DEPTH), (self._ring, _RING_DEPTH)):
            item.setZValue(depth)
            item.hide()
            scene.addItem(item)

    @property
    def is_drawing(self) -> bool:
        return bool(self._path)

    def resize(self, steps: int) -> None:
        """So many steps larger, or smaller; every step is seen."""
        radius = self.radius_px
        for _ in range(abs(steps)):
            grown = radius * GROWTH if steps > 0 else radius / GROWTH
            change = max(0.5, abs(grown - radius))
            radius = round((radius + change if steps > 0 else radius - change) * 2) / 2
        self.set_radius(radius)

    def steps_of(self, delta: int) -> int:
        """How many steps a turn of the wheel makes, in eighths of a degree: fine wheels and touchpads send small ones,
        which add up."""
        if delta * self._turned < 0:
            self._turned = 0.0
        self._turned += delta
        steps = int(self._turned / DEGREES_8_PER_NOTCH)
        self._turned -= steps * DEGREES_8_PER_NOTCH
        return steps

    def set_radius(self, radius_px: float) -> None:
        """Raises:
        ValueError: not a number.
        """
        if math.isnan(radius_px):
            raise ValueError("a brush has a radius")
        self.radius_px = min(max(radius_px, SMALLEST_RADIUS_PX), LARGEST_RADIUS_PX)
        self._ring.set_radius(self.radius_px)

    def set_zoom(self, zoom: float) -> None:
        self._ring.set_zoom(zoom)

    def show_ring(self, where: QPointF | None) -> None:
        """The ring at this place of the image; None: no brush is in the hand, or it is not over the image's view."""
        if where is not None:
            self._ring.set_radius(self.radius_px)
            self._ring.setPos(where)
        self._ring.setVisible(where is not None)

    def begin(self, where: QPointF, *, is_positive: bool, colour: str) -> None:
        self._path, self._is_positive = [_position(where)], is_positive
        self._line.begin(where, self.radius_px, QColor(colour))
        self._line.show()

    def go_to(self, where: QPointF) -> None:
        """Draw on to here; does nothing when no line was begun."""
        if not self._path or len(self._path) >= MOST_STROKE_POINTS:
            return
        x, y = self._path[-1]
        step = max(_SHORTEST_STEP_PX, _STEP_SHARE * self._line.radius_px)
        if abs(where.x() - x) + abs(where.y() - y) >= step:
            self._path.append(_position(where))
            self._line.go_to(where)

    def end(self) -> Stroke | None:
        """What was drawn, None when nothing was. The line is seen until :meth:`drop`."""
        path, self._path = self._path, []
        if not path:
            return None
        radius = self._line.radius_px
        return Stroke(thinned(path, max(LEAST_THINNED_PX, THINNED_SHARE * radius)), radius, self._is_positive)

    def drop(self) -> None:
        """Take the line away."""
        self._path = []
        self._line.hide()


def _position(where: QPointF) -> tuple[float, float]:
    return round(where.x(), 2), round(where.y(), 2)


class _RingItem(QGraphicsItem):
    """The brush's size in image pixels; dark under light, seen on any image."""

    def __init__(self) -> None:
        super().__init__()
        self._radius_px = RADIUS_PX
        self._zoom = 1.0
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def set_radius(self, radius_px: float) -> None:
        if radius_px != self._radius_px:
            self.prepareGeometryChange()
            self._radius_px = radius_px

    def set_zoom(self, zoom: float) -> None:
        self.prepareGeometryChange()
        self._zoom = zoom

    def boundingRect(self) -> QRectF:
        # Its pens are as wide as on the screen: many pixels of an image that is small there.
        side = self._radius_px + _RING_PEN_PX / self._zoom
        return QRectF(-side, -side, 2 * side, 2 * side)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        for colour, width in ((_DARK, _RING_PEN_PX), (_LIGHT, 1.25)):
            pen = QPen(colour, width)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.drawEllipse(QPointF(0, 0), self._radius_px, self._radius_px)


class _LineItem(QGraphicsItem):
    """The line that is being drawn, as wide as the brush."""

    def __init__(self) -> None:
        super().__init__()
        self._path = QPainterPath()
        self.radius_px = RADIUS_PX
        self._colour = QColor()
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.setOpacity(STROKE_OPACITY)

    def begin(self, where: QPointF, radius_px: float, colour: QColor) -> None:
        self.prepareGeometryChange()
        self._path = QPainterPath(where)
        # A path of one position is not drawn.
        self._path.lineTo(where + QPointF(0.01, 0))
        self.radius_px, self._colour = radius_px, colour
        self.update()

    def go_to(self, where: QPointF) -> None:
        before = self._path.currentPosition()
        self.prepareGeometryChange()
        self._path.lineTo(where)
        self.update(QRectF(before, where).normalized().adjusted(*self._margins()))

    def boundingRect(self) -> QRectF:
        return self._path.boundingRect().adjusted(*self._margins())

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        pen = QPen(self._colour, 2 * self.radius_px)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPath(self._path)

    def _margins(self) -> tuple[float, float, float, float]:
        reach = self.radius_px + 1
        return -reach, -reach, reach, reach
