"""Brush and eraser: a drag is a stroke; the right button and Shift do what the other of the two does."""

from __future__ import annotations

from PySide6.QtCore import Qt

from annotator.ui.canvas.tools.tool import CONTROL, LEFT, RIGHT, Pointer, Tool


class BrushTool(Tool):
    """Paints over the current mask."""

    is_positive = True

    @property
    def is_drawing(self) -> bool:
        return self.context.brush.is_drawing

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        is_positive = self.is_positive is not pointer.is_other
        colour = self.context.sign_colour(is_positive=is_positive)
        self.context.brush.begin(pointer.where, is_positive=is_positive, colour=colour)
        return True

    key_press = press

    def move(self, pointer: Pointer) -> None:
        self.context.brush.go_to(pointer.where)

    def release(self, pointer: Pointer) -> None:
        self.finish()

    def finish(self) -> None:
        brush = self.context.brush
        stroke = brush.end()
        if stroke is not None:
            self.context.paint(stroke)
            brush.drop()  # the line goes when the mask has it

    def cancel(self) -> None:
        self.context.brush.drop()

    def wheel(self, delta: int, keys: Qt.KeyboardModifier) -> bool:
        if not keys & CONTROL:
            return False
        steps = self.context.brush.steps_of(delta)
        if steps:
            self.context.turn_brush(steps)
        return True

    def hover(self, pointer: Pointer | None) -> None:
        self.context.brush.show_ring(None if pointer is None else pointer.where)


class EraserTool(BrushTool):
    """Takes away from the current mask."""

    is_positive = False
