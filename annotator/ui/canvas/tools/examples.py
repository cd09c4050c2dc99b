"""The example tool: boxes round what is looked for, and round what only looks like it. They go with the words."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from annotator.domain.geometry import Box
from annotator.domain.ports.concept import ExampleBox
from annotator.ui.canvas.tools.drags import is_meant
from annotator.ui.canvas.tools.tool import LEFT, RIGHT, Pointer, Tool, ToolContext

_DARK = QColor(0, 0, 0, 190)
_FILL_ALPHA = 40


class ExampleTool(Tool):
    """A drag draws a box; right button and Shift draw one round what is not meant. A click on a box takes it away."""

    has_cross_hair = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._start: Pointer | None = None
        self._drawn: ExampleBox | None = None

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        self._start = pointer
        return True

    key_press = press

    def move(self, pointer: Pointer) -> None:
        start = self._start
        if start is not None and (self._drawn is not None or pointer.is_far_from(start)):
            self._drawn = ExampleBox(self.context.box_between(start.where, pointer.where), not start.is_other)
            self._update()

    def release(self, pointer: Pointer) -> None:
        self.move(pointer)
        start, drawn = self._start, self._drawn
        self.cancel()
        known = self.context.examples.boxes
        if drawn is not None:
            known = (*known, drawn) if is_meant(drawn.box, self.context) else known
        elif start is not None and (under := _under(start.where, known)) is not None:
            known = tuple(one for one in known if one is not under)
        self.context.examples.set(known)

    def cancel(self) -> None:
        self._start = self._drawn = None
        self._update()

    def paint(self, painter: QPainter) -> None:
        drawn = () if self._drawn is None else (self._drawn,)
        painter.save()
        for one in (*self.context.examples.boxes, *drawn):
            colour = QColor(self.context.overlays.prompt_colour(is_positive=one.is_positive))
            fill = QColor(colour)
            fill.setAlpha(_FILL_ALPHA)
            painter.setBrush(fill)
            style = Qt.PenStyle.SolidLine if one.is_positive else Qt.PenStyle.DashLine
            for line, width, way in ((_DARK, 4.0, Qt.PenStyle.SolidLine), (colour, 2.0, style)):
                pen = QPen(line, width, way)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawRect(QRectF(one.box.x0, one.box.y0, one.box.width, one.box.height))
                painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.restore()

    def _update(self) -> None:
        self.context.view.viewport().update()


def _under(where: QPointF, known: tuple[ExampleBox, ...]) -> ExampleBox | None:
    """The smallest box at a place."""

    def holds(box: Box) -> bool:
        return box.x0 <= where.x() <= box.x1 and box.y0 <= where.y() <= box.y1

    return min((one for one in known if holds(one.box)), key=lambda one: one.box.area, default=None)
