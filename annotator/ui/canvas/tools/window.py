"""The window tool: a drag changes which greys are shown. To the right is more of them, up is brighter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from annotator.ui.canvas.tools.tool import LEFT, RIGHT, SHIFT, Pointer, Tool, ToolContext


class WindowStep(Enum):
    """What a gesture at the window is."""

    DRAG = "drag"
    DONE = "done"
    TAKEN_BACK = "taken back"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class WindowGesture:
    """One step of it: how far from its beginning, in view pixels, and whether Shift makes it finer."""

    step: WindowStep
    dx_px: float = 0.0
    dy_px: float = 0.0
    is_fine: bool = False


class WindowTool(Tool):
    """Either button. A click alone does nothing; a double click is back at what the file asks for."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._start: Pointer | None = None
        self._is_drag = False

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        self._start, self._is_drag = pointer, False
        return True

    def key_press(self, pointer: Pointer) -> bool:
        self._start, self._is_drag = pointer, True
        return True

    def move(self, pointer: Pointer) -> None:
        start = self._start
        if start is None or not (self._is_drag or pointer.is_far_from(start)):
            return
        self._is_drag = True
        by = pointer.at - start.at
        self.context.window(WindowGesture(WindowStep.DRAG, by.x(), by.y(), bool(pointer.keys & SHIFT)))

    def release(self, pointer: Pointer) -> None:
        self.finish()

    def finish(self) -> None:
        was_drag, self._start, self._is_drag = self._is_drag, None, False
        if was_drag:
            self.context.window(WindowGesture(WindowStep.DONE))

    def cancel(self) -> None:
        was_drag, self._start, self._is_drag = self._is_drag, None, False
        if was_drag:
            self.context.window(WindowGesture(WindowStep.TAKEN_BACK))

    def double_click(self, pointer: Pointer) -> bool:
        self._start, self._is_drag = None, False
        self.context.window(WindowGesture(WindowStep.RESET))
        return True


class RightDrag:
    """Right drags of the images of radiology, with any tool in the hand that has no use for one of its own."""

    def __init__(self, tool: WindowTool) -> None:
        self.tool = tool
        self.is_wanted = False
        """Whether the image is one where the right hand expects it."""
        self._start: Pointer | None = None
        self.is_going = False
        """Whether the drag is at the window now, and not the tool's."""

    def press(self, pointer: Pointer, other: Tool) -> None:
        """The button was pressed; what it is shows when it moves."""
        is_ours = self.is_wanted and pointer.button == RIGHT and not other.uses_right_drag
        self._start, self.is_going = pointer if is_ours else None, False

    def move(self, pointer: Pointer, other: Tool) -> bool:
        """Whether the drag is at the window; ``other`` forgets its gesture then."""
        if self._start is not None and not self.is_going and pointer.is_far_from(self._start):
            other.cancel()
            self.is_going = self.tool.press(self._start)
        if self.is_going:
            self.tool.move(pointer)
        return self.is_going

    def end(self, *, is_kept: bool) -> bool:
        """The button was let go, or the gesture is dropped; whether it was at the window."""
        was_going, self._start, self.is_going = self.is_going, None, False
        if was_going and is_kept:
            self.tool.finish()
        elif was_going:
            self.tool.cancel()
        return was_going
