"""A label whose text changes all the time: with the cursor, from slice to slice."""

from __future__ import annotations

from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel


class StillLabel(QLabel):
    """It keeps the room of its longest text until it is empty. A QLabel asks for a new layout at every change, up to
    the window, which is painted again as a whole then. A text that has room in the least width needs none at all."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""

    def text(self) -> str:
        return self._shown

    def setText(self, text: str) -> None:
        wider_px = self._width_of(text) - self._width_of(super().text())  # than what the layout sees
        if not text and super().text():
            super().setText("")
        elif wider_px > 0 and self.sizeHint().width() + wider_px > self.minimumWidth():
            super().setText(text)
        self._show(text)

    def blank(self) -> None:
        """No text for now; the room stays."""
        self._show("")

    def clear(self) -> None:
        self.setText("")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        # Beside a frame, also that of a style sheet, a QLabel leaves half a letter free.
        free_px = self._width_of("x") // 2 if self.frameWidth() else 0
        where, flags = self.contentsRect().adjusted(free_px, 0, -free_px, 0), int(self.alignment())
        role = self.foregroundRole()
        self.style().drawItemText(painter, where, flags, self.palette(), self.isEnabled(), self._shown, role)

    def _show(self, text: str) -> None:
        if text != self._shown:
            self._shown = text
            self.setAccessibleDescription(text)
            self.update()

    def _width_of(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text)
