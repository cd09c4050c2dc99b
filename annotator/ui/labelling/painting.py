"""Brush and eraser in the window: where their strokes go, and their size."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.brush import Stroke
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController


class Painting(QObject):
    """Strokes on the canvas change the current object."""

    def __init__(self, canvas: Canvas, session: ProjectSession, refine: RefineController, notices: Notices) -> None:
        super().__init__(canvas)
        self._canvas, self._session, self._refine, self._notices = canvas, session, refine, notices
        canvas.painted.connect(self._on_painted)
        canvas.brush_turned.connect(self.resize)
        canvas.tool_told.connect(lambda text: notices.tell(text, about=Subject.TOOL))

    def resize(self, steps: int) -> None:
        """Make the brush so many steps larger, or smaller; the window says its diameter."""
        brush = self._canvas.brush
        brush.resize(steps)
        self._notices.tell(f"Brush: {2 * brush.radius_px:g} px", about=Subject.TOOL)

    def finish(self) -> None:
        """Keep the stroke that is being drawn, as if the button had been let go."""
        self._canvas.finish_gesture()

    def _on_painted(self, stroke: Stroke) -> None:
        if self._session.is_writable:
            self._refine.paint(stroke)
