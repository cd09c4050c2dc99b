"""The scribble tool: a line through an object asks the model by several clicks at once; the right button and Shift draw
through what is not part of it."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainter

from annotator.domain.brush import thinned
from annotator.domain.cues.scribble import MOST_POSITIONS, Scribble
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas import cursors
from annotator.ui.canvas.cue_items import paint_cue
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.tool import LEFT, RIGHT, Pointer, Tool, ToolContext

_THINNED_PX = 0.5


class ScribbleTool(Tool):
    """Drawn free-hand while the button is down; what does not move is a click."""

    lends_control = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._start: Pointer | None = None
        self._line: list[QPointF] = []
        self._is_drag = False

    def press(self, pointer: Pointer) -> bool:
        view = self.context.view
        if pointer.button not in (LEFT, RIGHT) or not view.contains_image_point(pointer.where.x(), pointer.where.y()):
            return False
        self._start, self._line, self._is_drag = pointer, [pointer.where], False
        return True

    def key_press(self, pointer: Pointer) -> bool:
        return self.press(pointer)

    def move(self, pointer: Pointer) -> None:
        if self._start is not None and pointer.where != self._line[-1]:
            self._is_drag = self._is_drag or pointer.is_far_from(self._start)
            self._line.append(pointer.where)
            self.context.view.viewport().update()

    def release(self, pointer: Pointer) -> None:
        start, line, is_drag = self._start, self._line, self._is_drag
        self.cancel()
        if start is None:
            return
        is_positive = self._is_positive(start)
        if is_drag:
            path = thinned([at.toTuple() for at in line], max(_THINNED_PX, 0.5 / self.context.view.zoom))
            self.context.cue(Scribble(path[:MOST_POSITIONS], is_positive))
        else:
            self.context.point(PointPrompt(start.where.x(), start.where.y(), is_positive))

    def cancel(self) -> None:
        self._start, self._line = None, list[QPointF]()
        self.context.view.viewport().update()

    def cursor(self, pointer: Pointer) -> Cursor:
        is_positive = self._is_positive(self._start or pointer)
        return cursors.POSITIVE if is_positive else cursors.NEGATIVE

    def paint(self, painter: QPainter) -> None:
        if self._start is not None and self._is_drag:
            colour = self.context.overlays.prompt_colour(is_positive=self._is_positive(self._start))
            paint_cue(painter, tuple(at.toTuple() for at in self._line), QColor(colour))

    def _is_positive(self, pointer: Pointer) -> bool:
        return not (self.context.is_negative() or pointer.is_other)
