"""The select tool: a click picks an accepted object, a double click takes it up again, a drag picks all that it
touches."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPainterPath

from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.drawing import paint_line
from annotator.ui.canvas.tools.tool import CONTROL, LEFT, SHIFT, Pointer, Tool, ToolContext


class SelectTool(Tool):
    """With Shift or Ctrl both add to the selection. The object under the pointer is brighter."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._start: Pointer | None = None
        self._end: Pointer | None = None
        """Where the drag is, once it is one."""

    def press(self, pointer: Pointer) -> bool:
        if pointer.button != LEFT:
            return False
        self._start = pointer
        return True

    def move(self, pointer: Pointer) -> None:
        if self._start is not None and (self._end is not None or pointer.is_far_from(self._start)):
            self._repaint()
            self._end = pointer
            self._repaint()

    def release(self, pointer: Pointer) -> None:
        start, end = self._start, self._end
        self.cancel()
        if start is None:
            return
        if end is None:
            self._pick(pointer)
            return
        layer, frame = self.context.overlays.layer, _frame(start, pointer)
        corners = frame.left(), frame.top(), frame.right(), frame.bottom()
        near = layer.views_in(frame) if layer.isVisible() else []
        touched = frozenset(view.id for view in near if view.mask.has_pixel_in(*corners))
        self.context.pick_many(touched, bool((start.keys | pointer.keys) & (SHIFT | CONTROL)))

    def double_click(self, pointer: Pointer) -> bool:
        found = self._found(pointer)
        if found:
            self.context.activate(found)
        return found != 0

    def key_press(self, pointer: Pointer) -> bool:
        self._pick(pointer)
        return False

    def menu_object(self, pointer: Pointer) -> int:
        return self._found(pointer)

    def cancel(self) -> None:
        self._repaint()
        self._start = self._end = None

    def hover(self, pointer: Pointer | None) -> None:
        is_free = pointer is not None and self._start is None
        self.context.overlays.layer.set_hovered(self._found(pointer) if is_free and pointer is not None else 0)

    def cursor(self, pointer: Pointer) -> Cursor:
        return cursors.PICK if self._start is None and self._found(pointer) else cursors.ARROW

    def paint(self, painter: QPainter) -> None:
        if self._start is not None and self._end is not None:
            marquee = QPainterPath()
            marquee.addRect(_frame(self._start, self._end))
            painter.save()
            paint_line(painter, marquee)
            painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _found(self, pointer: Pointer) -> int:
        return self.context.view.hit(pointer.at)

    def _pick(self, pointer: Pointer) -> None:
        self.context.pick(self._found(pointer), bool(pointer.keys & (SHIFT | CONTROL)))

    def _repaint(self) -> None:
        if self._start is not None and self._end is not None:
            self.context.view.update_place(_frame(self._start, self._end), margin_px=4)


def _frame(start: Pointer, end: Pointer) -> QRectF:
    return QRectF(start.where, end.where).normalized()
