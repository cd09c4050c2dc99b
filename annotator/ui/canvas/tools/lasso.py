"""The lasso: the ring that is drawn while the button is down is filled; the right button and Shift take it away."""

from __future__ import annotations

from annotator.ui.canvas.tools.polygon import PolygonTool
from annotator.ui.canvas.tools.tool import Pointer


class LassoTool(PolygonTool):
    """A polygon of one drag: letting go closes it."""

    @property
    def is_open(self) -> bool:
        return False

    def release(self, pointer: Pointer) -> None:
        super().release(pointer)
        self.finish()

    def double_click(self, pointer: Pointer) -> bool:
        return False

    def key_press(self, pointer: Pointer) -> bool:
        return self.press(pointer)
