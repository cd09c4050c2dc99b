"""The polygon tool: corner by corner, or free-hand while the button is down; closed, it is an area."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPainterPath, QPolygonF

from annotator.domain.brush import Point, Stroke, thinned
from annotator.ui.canvas.cursors import CursorShape
from annotator.ui.canvas.tools.drawing import paint_dots, paint_line, paint_shape
from annotator.ui.canvas.tools.tool import LEFT, RIGHT, Pointer, Tool, ToolContext

CLOSING_PX = 10
"""A press this close to the first corner closes the ring, in view pixels."""
_FREE_STEP_PX = 1.0
"""A shorter move adds nothing that can be seen, in view pixels."""
_LEAST_THINNED_PX = 0.25
_MOST_CORNERS = 10_000
TOO_FEW = "A polygon has three corners or more: click on, or press Esc."


class PolygonTool(Tool):
    """Begun with the right button or Shift it takes away. A press at the first corner, a double click and the key that
    accepts close it; a step back takes the newest press away, free-hand lines as a whole."""

    cursor_shape, other_cursor_shape = CursorShape.POSITIVE, CursorShape.NEGATIVE

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._corners: list[Point] = []
        self._begins: list[int] = []
        """By press, how many corners there were before it."""
        self._is_positive = True
        self._pressed: Pointer | None = None
        self._is_free = False
        self._end: QPointF | None = None
        """Where the next corner would be."""

    @property
    def is_drawing(self) -> bool:
        return bool(self._corners)

    is_open = is_drawing

    @property
    def corners(self) -> tuple[Point, ...]:
        """(x, y) in image pixels, so far."""
        return tuple(self._corners)

    # --- a gesture ----------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        if self._would_close(pointer):
            self.finish()
            return False
        if not self._corners:
            self._is_positive = not pointer.is_other
        self._begins.append(len(self._corners))
        self._add(pointer)
        self._pressed, self._is_free = pointer, False
        return True

    def move(self, pointer: Pointer) -> None:
        if self._pressed is None:
            return
        self._is_free = self._is_free or pointer.is_far_from(self._pressed)
        if self._is_free:
            self._add(pointer)

    def release(self, pointer: Pointer) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is None or not self._is_free or not self._begins:
            return
        self._is_free = False
        first = self._begins[-1]
        tolerance_px = max(_LEAST_THINNED_PX, 0.5 / self.context.view.zoom)
        self._corners[first:] = thinned(self._corners[first:], tolerance_px)
        if self._would_close(pointer):
            self.finish()
        self._repaint()

    def double_click(self, pointer: Pointer) -> bool:
        """Its first press was a corner already, or has closed the ring."""
        self.close()
        return True

    def key_press(self, pointer: Pointer) -> bool:
        self.press(pointer)
        self._pressed = None
        return False

    def step_back(self) -> None:
        if self._begins:
            del self._corners[self._begins.pop() :]
        self._repaint()

    def close(self) -> None:
        if 0 < len(self._corners) < 3:
            self.context.tell(TOO_FEW)
        else:
            self.finish()

    def finish(self) -> None:
        corners, is_positive = self._corners, self._is_positive
        self.cancel()
        if len(corners) >= 3:
            self.context.paint(Stroke.area(corners, is_positive=is_positive))

    def cancel(self) -> None:
        self._corners, self._begins, self._pressed, self._is_free = [], [], None, False
        self._repaint()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def hover(self, pointer: Pointer | None) -> None:
        self._end = None if pointer is None else pointer.where
        if self._corners:
            self._repaint()

    def cursor(self, pointer: Pointer) -> CursorShape:
        if not self._corners:
            return super().cursor(pointer)
        if self._would_close(pointer):
            return CursorShape.PICK
        return CursorShape.POSITIVE if self._is_positive else CursorShape.NEGATIVE

    def paint(self, painter: QPainter) -> None:
        if not self._corners:
            return
        corners = [QPointF(*corner) for corner in self._corners]
        ends = [] if self._end is None else [self._end]
        line = QPainterPath()
        line.addPolygon(QPolygonF([*corners, *ends]))
        shape = QPainterPath(line)  # even-odd, as the area is
        shape.closeSubpath()
        painter.save()
        colour = self.context.sign_colour(is_positive=self._is_positive)
        paint_shape(painter, shape, colour, is_outlined=False)
        paint_line(painter, line)
        dots = [corners[0], *(corners[begin] for begin in self._begins if begin)]
        paint_dots(painter, self.context, dots, ringed=0 if self._is_at_start(self._end) else -1)
        painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _add(self, pointer: Pointer) -> None:
        where = pointer.where
        if self._corners and len(self._corners) < _MOST_CORNERS:
            x, y = self._corners[-1]
            if (where - QPointF(x, y)).manhattanLength() * self.context.view.zoom < _FREE_STEP_PX:
                return
        self._corners.append((where.x(), where.y()))
        self._repaint()

    def _would_close(self, pointer: Pointer) -> bool:
        return self._is_at_start(pointer.where)

    def _is_at_start(self, where: QPointF | None) -> bool:
        if where is None or len(self._corners) < 3:
            return False
        return (where - QPointF(*self._corners[0])).manhattanLength() * self.context.view.zoom <= CLOSING_PX

    def _repaint(self) -> None:
        self.context.view.viewport().update()
