"""Keys in the middle of a gesture that is made of several presses, such as a polygon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.ui.canvas.canvas import Canvas


class OpenGesture:
    """The one of the tool in the hand, if it has any.

    Args:
        is_pressed: whether a button of the mouse is down.
    """

    def __init__(self, canvas: Canvas, *, is_pressed: Callable[[], bool]) -> None:
        self._canvas, self._is_pressed = canvas, is_pressed

    @property
    def is_cancellable(self) -> bool:
        """Whether there is a gesture, or what is left of one, that the key which cancels takes away."""
        return self._canvas.has_gesture or self._canvas.tool_in_hand.has_picture

    def finish(self) -> None:
        """Keep what was made so far: it is more than a drag, and must not be lost with one key."""
        if self._canvas.tool_in_hand.is_open:
            self._canvas.finish_gesture()

    def close(self) -> bool:
        """End it if that makes sense; False when there is none."""
        return self._served(self._canvas.tool_in_hand.close)

    def step_back(self) -> bool:
        """Take its newest press back; False when there is none."""
        return self._served(self._canvas.tool_in_hand.step_back)

    def _served(self, do: Callable[[], None]) -> bool:
        """Not between press and release, where the key would say something about half a press."""
        if not self._canvas.tool_in_hand.is_open:
            return False
        if not self._is_pressed():
            do()
            self._canvas.gesture_changed.emit()
        return True
