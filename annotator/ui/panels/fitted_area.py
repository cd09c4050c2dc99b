"""A scroll area that scrolls up and down only."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget


class FittedArea(QScrollArea):
    """What is in it is exactly as wide as what is seen of it, whatever it would like."""

    def __init__(self, content: QWidget, *, name: str) -> None:
        super().__init__()
        self._content = content
        self.setObjectName("jobs")
        self.setAccessibleName(name)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def resizeEvent(self, event: QResizeEvent) -> None:
        # Here and not in the panel's own event: there the area still has its old width.
        self._content.setMaximumWidth(self.viewport().width())
        super().resizeEvent(event)
