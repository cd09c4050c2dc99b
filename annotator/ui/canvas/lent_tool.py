"""While Ctrl is held the outline tool is in the hand, where there is an outline; then the one before it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from annotator.ui.canvas.overlays import Overlays

if TYPE_CHECKING:
    from annotator.ui.canvas.canvas import Canvas

LENT_TOOL = "outline"


class LentTool:
    """Only of tools for which Ctrl means nothing else."""

    def __init__(self, canvas: Canvas, overlays: Overlays) -> None:
        self._canvas, self._overlays = canvas, overlays
        self._before = ""

    def press(self, event: QKeyEvent) -> None:
        canvas = self._canvas
        is_free = not self._before and not canvas.has_gesture and self._overlays.mask is not None
        if event.key() == Qt.Key.Key_Control and is_free and canvas.tool_in_hand.lends_control:
            self._before = canvas.tool
            canvas.set_tool(LENT_TOOL)

    def release(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Control:
            self.give_back()

    def give_back(self) -> None:
        before, self._before = self._before, ""
        if before and self._canvas.tool == LENT_TOOL:
            self._canvas.finish_gesture()
            self._canvas.set_tool(before)
