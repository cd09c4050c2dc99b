"""The example boxes that are drawn on the image; they go when another image comes."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from annotator.domain.ports.concept import ExampleBox
from annotator.ui.canvas.display import CanvasDisplay


class DrawnExamples(QObject):
    """One per canvas. Seen while the tool that draws them is in the hand."""

    changed = Signal()
    """Also after a gesture that has changed nothing."""

    def __init__(self, view: CanvasDisplay) -> None:
        super().__init__(view)
        self._view = view
        self.boxes: tuple[ExampleBox, ...] = ()

    def set(self, boxes: tuple[ExampleBox, ...]) -> None:
        """All of them."""
        self.boxes = boxes
        self._view.viewport().update()
        self.changed.emit()
