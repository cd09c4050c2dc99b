"""The select tool: a click picks an accepted object, a double click takes it up again, a drag moves the image."""

from __future__ import annotations

from PySide6.QtCore import QPointF

from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.tool import CONTROL, LEFT, SHIFT, Pointer, Tool, ToolContext


class SelectTool(Tool):
    """With Shift or Ctrl a click adds to the selection. The object under the pointer is brighter."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._start: Pointer | None = None
        self._panned_to: QPointF | None = None
        """Where a drag has taken the image, in view pixels."""

    def press(self, pointer: Pointer) -> bool:
        if pointer.button != LEFT:
            return False
        self._start = pointer
        return True

    def move(self, pointer: Pointer) -> None:
        if self._start is None:
            return
        if self._panned_to is None and pointer.is_far_from(self._start):
            self._panned_to = self._start.at
        if self._panned_to is not None:
            by = pointer.at - self._panned_to
            self._panned_to = pointer.at
            self.context.view.pan_by(by.x(), by.y())

    def release(self, pointer: Pointer) -> None:
        is_click = self._start is not None and self._panned_to is None
        self.cancel()
        if is_click:
            self._pick(pointer)

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
        self._start = self._panned_to = None

    def hover(self, pointer: Pointer | None) -> None:
        is_free = pointer is not None and self._start is None
        self.context.overlays.layer.set_hovered(self._found(pointer) if is_free and pointer is not None else 0)

    def cursor(self, pointer: Pointer) -> Cursor:
        if self._panned_to is not None:
            return cursors.GRABBING
        return cursors.PICK if self._start is None and self._found(pointer) else cursors.ARROW

    # --- inside -------------------------------------------------------------------------------------------------------

    def _found(self, pointer: Pointer) -> int:
        return self.context.view.hit(pointer.at)

    def _pick(self, pointer: Pointer) -> None:
        self.context.pick(self._found(pointer), bool(pointer.keys & (SHIFT | CONTROL)))
