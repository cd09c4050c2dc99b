"""A label that is cut off with an ellipsis where it does not fit, so that it never pushes others out of the window."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from annotator.domain.brevity import brief_message


class ElidedLabel(QLabel):
    """It gets the room that others leave. The whole text is in the tool tip when a part of it is hidden. No text
    changes the layout: the base class would ask for a new one, up to the window, which is painted anew as a whole then.

    Args:
        mode: where the text is cut.
    """

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode, self._text = mode, ""
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def text(self) -> str:
        return self._text

    def sizeHint(self) -> QSize:
        margins = self.contentsMargins()
        return QSize(0, self.fontMetrics().height() + margins.top() + margins.bottom())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @property
    def shown_text(self) -> str:
        """As it is painted."""
        return self.fontMetrics().elidedText(self._text, self._mode, self.contentsRect().width())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def setText(self, text: str) -> None:
        text = brief_message(text)
        if text != self._text:
            self._text = text
            self.setAccessibleDescription(text)
            self._fit()
            self.update()

    def clear(self) -> None:
        self.setText("")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        where, flags, role = self.contentsRect(), int(self.alignment()), self.foregroundRole()
        self.style().drawItemText(painter, where, flags, self.palette(), self.isEnabled(), self.shown_text, role)

    def _fit(self) -> None:
        self.setToolTip(self._text if self.shown_text != self._text else "")
