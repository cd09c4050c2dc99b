"""The lines of cues in the scene: in the colour of what they do, on a dark casing, of constant width on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from annotator.domain.cues.cue import Path, PlacedCue

LINE_PX = 3.0
_CASING_PX = 5.5
_CASING = QColor(0, 0, 0, 150)
_FADED = 0.55


class CueItem(QGraphicsItem):
    """All cues of the current object."""

    def __init__(self) -> None:
        super().__init__()
        self.cues: tuple[PlacedCue, ...] = ()
        self._settled = 0
        self._colours = {True: QColor(), False: QColor()}
        self._zoom = 1.0
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def set_cues(self, cues: tuple[PlacedCue, ...], *, settled: int) -> None:
        """``settled``: so many clicks of the object are in its mask already; cues among them are drawn faintly."""
        if (cues, settled) != (self.cues, self._settled):
            self.prepareGeometryChange()
            self.cues, self._settled = cues, settled
            self.update()

    def set_colours(self, positive: QColor, negative: QColor) -> None:
        self._colours = {True: positive, False: negative}
        self.update()

    def set_zoom(self, zoom: float) -> None:
        self.prepareGeometryChange()
        self._zoom = zoom

    def boundingRect(self) -> QRectF:
        whole = QRectF()
        for placed in self.cues:
            for path, _ in placed.cue.lines():
                whole |= QPolygonF([QPointF(*at) for at in path]).boundingRect()
        around = _CASING_PX / max(self._zoom, 1e-6)
        return whole.adjusted(-around, -around, around, around) if self.cues else whole

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for placed in self.cues:
            painter.setOpacity(_FADED if placed.end <= self._settled else 1.0)
            for path, is_positive in placed.cue.lines():
                paint_cue(painter, path, self._colours[is_positive])


def show_dots(dots: Sequence[QGraphicsItem], cues: tuple[PlacedCue, ...], *, is_peeking: bool) -> None:
    """Those of an object's clicks, but not of those that a cue stands for: it is drawn itself."""
    cued = {at for placed in cues for at in range(placed.first, placed.end)}
    for at, dot in enumerate(dots):
        dot.setVisible(not is_peeking and at not in cued)


def paint_cue(painter: QPainter, path: Path, colour: QColor) -> None:
    """One line (image pixels)."""
    line = QPainterPath(QPointF(*path[0]))
    for at in path[1:]:
        line.lineTo(QPointF(*at))
    for tint, width in ((_CASING, _CASING_PX), (colour, LINE_PX)):
        pen = QPen(tint, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawPath(line)
