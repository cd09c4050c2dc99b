"""A label that is cut off with an ellipsis where it does not fit, so that it never pushes others out of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from annotator.domain.brevity import brief_message


class ElidedLabel(QLabel):
    """It gets the room that others leave. The whole text is in the tool tip when a part of it is hidden.

    Args:
        mode: where the text is cut.
    """

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = mode
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    @property
    def shown_text(self) -> str:
        """As it is painted."""
        return self.fontMetrics().elidedText(self.text(), self._mode, self.contentsRect().width())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def setText(self, text: str) -> None:
        text = brief_message(text)
        super().setText(text)
        self.setAccessibleDescription(text)
        self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        where, flags, role = self.contentsRect(), int(self.alignment()), self.foregroundRole()
        self.style().drawItemText(painter, where, flags, self.palette(), self.isEnabled(), self.shown_text, role)

    def _fit(self) -> None:
        self.setToolTip(self.text() if self.shown_text != self.text() else "")
