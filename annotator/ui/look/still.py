"""A label whose text changes all the time: with the cursor, from slice to slice."""

from __future__ import annotations

from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel


class StillLabel(QLabel):
    """It keeps the room of its longest text until it is empty. A QLabel asks for a new layout at every change, up to
    the window, which is painted again as a whole then.

    Args:
        longest: it always has room for this.
    """

    def __init__(self, longest: str = "") -> None:
        super().__init__(longest)  # the base class has what the layout is to see
        self.longest, self._shown = longest, ""

    def text(self) -> str:
        return self._shown

    def setText(self, text: str) -> None:
        if not text and super().text() != self.longest:
            super().setText(self.longest)
        elif self._width_of(text) > self._width_of(super().text()):
            super().setText(text)
        self._show(text)

    def blank(self) -> None:
        """No text for now; the room stays."""
        self._show("")

    def clear(self) -> None:
        self.setText("")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        where, flags, role = self.contentsRect(), int(self.alignment()), self.foregroundRole()
        self.style().drawItemText(painter, where, flags, self.palette(), self.isEnabled(), self._shown, role)

    def _show(self, text: str) -> None:
        if text != self._shown:
            self._shown = text
            self.setAccessibleDescription(text)
            self.update()

    def _width_of(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text)
