"""The cut tool: a line drawn across accepted objects parts them."""

from __future__ import annotations

from PySide6.QtGui import QPainter, QPainterPath, QPolygonF

from annotator.domain.brush import thinned
from annotator.ui.canvas.tools.drawing import paint_line
from annotator.ui.canvas.tools.tool import LEFT, Pointer, Tool, ToolContext

_THINNED_PX = 0.25


class CutTool(Tool):
    """Drawn free-hand while the button is down; a click alone parts nothing."""

    lends_control = True
    has_cross_hair = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._line: list[Pointer] = []

    def press(self, pointer: Pointer) -> bool:
        if pointer.button == LEFT:
            self._line = [pointer]
        return bool(self._line)

    def key_press(self, pointer: Pointer) -> bool:
        return self.press(pointer)

    def move(self, pointer: Pointer) -> None:
        if self._line and pointer.where != self._line[-1].where:
            self._line.append(pointer)
            self.context.view.viewport().update()

    def release(self, pointer: Pointer) -> None:
        line = self._line
        self.cancel()
        if len(line) > 1:
            self.context.cut(thinned([one.where.toTuple() for one in line], _THINNED_PX))

    def cancel(self) -> None:
        self._line = []
        self.context.view.viewport().update()

    def paint(self, painter: QPainter) -> None:
        if len(self._line) > 1:
            path = QPainterPath()
            path.addPolygon(QPolygonF([one.where for one in self._line]))
            paint_line(painter, path)
