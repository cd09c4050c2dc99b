"""The box tool: the click tool whose left button begins a box at once. A click is still a point."""

from __future__ import annotations

from annotator.ui.canvas.tools.click import ClickTool


class BoxTool(ClickTool):
    """Left drag: a box, also a short one. Handles of the shown box and the right button are the click tool's."""

    is_box_at_once = True
