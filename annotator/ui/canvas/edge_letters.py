"""Letters at the canvas's edges: where left, right, top and bottom lead in the patient."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

_TEXT_PX, _EDGE_PX, _HALO_PX = 15, 10, 3.0
EDGE_LETTER, _HALO = "#ffd34d", QColor(0, 0, 0, 170)
"""Readable on any picture, in both themes."""
Letters = tuple[str, str, str, str]
"""Left, right, top, bottom."""
NO_LETTERS: Letters = ("", "", "", "")


class EdgeLetters(QWidget):
    """Lies over the viewport of a canvas, and takes no clicks. Hidden where nothing is known.

    It is a child of the canvas: scrolling moves what the viewport has.
    """

    def __init__(self, canvas: QAbstractScrollArea) -> None:
        super().__init__(canvas)
        self.letters = NO_LETTERS
        self._viewport = canvas.viewport()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        self._viewport.installEventFilter(self)

    def show_letters(self, letters: Letters) -> None:
        """Empty ones: nothing is known."""
        if letters == self.letters:
            return
        self.letters = letters
        words = ("left", "right", "top", "bottom")
        told = ", ".join(f"{where} {letter}" for where, letter in zip(words, letters, strict=True))
        self.setAccessibleName(f"Directions in the patient: {told}" if any(letters) else "")
        self.setGeometry(self._viewport.geometry())
        self.setVisible(any(letters))
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self.setGeometry(self._viewport.geometry())
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(_TEXT_PX)
        font.setBold(True)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        width, height, ascent = self.width(), self.height(), metrics.ascent()
        left, right, top, bottom = self.letters
        places = (
            (left, _EDGE_PX, (height + ascent) / 2),
            (right, width - _EDGE_PX - metrics.horizontalAdvance(right), (height + ascent) / 2),
            (top, (width - metrics.horizontalAdvance(top)) / 2, _EDGE_PX + ascent),
            (bottom, (width - metrics.horizontalAdvance(bottom)) / 2, height - _EDGE_PX - metrics.descent()),
        )
        halo = QPen(_HALO, _HALO_PX)
        halo.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        for letter, x, y in places:
            outline = QPainterPath()
            outline.addText(QPointF(x, y), font, letter)
            painter.strokePath(outline, halo)
            painter.fillPath(outline, QColor(EDGE_LETTER))
        painter.end()
