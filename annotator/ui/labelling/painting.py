"""Brush and eraser in the window: where their strokes go, and their size."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.brush import Stroke
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow


class Painting(QObject):
    """Strokes on the canvas change the object in work."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController) -> None:
        super().__init__(window)
        self._window, self._session, self._refine = window, session, refine
        window.canvas.painted.connect(self._on_painted)
        window.canvas.brush_turned.connect(self.resize)

    def resize(self, steps: int) -> None:
        """Make the brush so many steps larger, or smaller; its diameter is told."""
        brush = self._window.canvas.brush
        brush.resize(steps)
        self._window.status.tell(f"Brush: {2 * brush.radius_px:g} px")

    def finish(self) -> None:
        """Keep the stroke that is being drawn, as if the button had been let go."""
        canvas = self._window.canvas
        stroke = canvas.brush.end()
        if stroke is not None:
            canvas.cancel_gesture()
            self._on_painted(stroke)

    def _on_painted(self, stroke: Stroke) -> None:
        if self._session.is_writable:
            self._refine.paint(stroke)
