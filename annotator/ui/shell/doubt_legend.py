"""The switch of the doubt layer at the canvas's edge, and what its colours mean."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QColor, QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from annotator.ui.canvas.heat_items import ramp_colours
from annotator.ui.look.theme import RADIUS_PX, Theme

_RAMP_PX = (72, 10)
_GROUND = "#262626"
"""Pictures are mostly dark or of middle tone, in a light window too."""


class _Ramp(QWidget):
    """The layer's colours, as they look on a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(*_RAMP_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = ramp_colours(8)
        gradient = QLinearGradient(QPointF(0, 0), QPointF(self.width(), 0))
        for at, colour in enumerate(colours):
            gradient.setColorAt(at / (len(colours) - 1), colour)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for brush in (QColor(_GROUND), gradient):
            painter.setBrush(brush)
            painter.drawRoundedRect(QRectF(self.rect()), RADIUS_PX / 2, RADIUS_PX / 2)
        painter.end()


class DoubtLegend(QFrame):
    """There while an object is in progress; the colours are explained while the layer is shown."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._text = "Doubt"
        self._shown: tuple[bool, bool, str] | None = None
        self.button = QToolButton()
        self.button.setObjectName("switch")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setIconSize(QSize(16, 16))
        self._scale = [QLabel("sure"), _Ramp(), QLabel("in doubt")]
        row = self._row = QHBoxLayout(self)
        row.setContentsMargins(4, 4, 8, 4)
        row.setSpacing(8)
        row.addWidget(self.button)
        for part in self._scale:
            if isinstance(part, QLabel):
                part.setObjectName("dim")
            row.addWidget(part)
        self.setAccessibleName("Doubt of the model")
        self.hide()

    def set_action(self, action: QAction) -> None:
        """What the switch does."""
        self.button.setDefaultAction(action)
        # An action that changes would bring its title back.
        action.changed.connect(lambda: self.button.setText(self._text))

    def set_key(self, key: str) -> None:
        self._text = f"Doubt  {key}" if key else "Doubt"
        self.button.setText(self._text)

    def show_state(self, is_active: bool, is_shown: bool) -> None:
        """Whether an object is in progress, and whether the layer is on the screen."""
        shown = is_active, is_shown, self._text
        if shown == self._shown and self.isHidden() != is_active:
            return
        self._shown = shown
        for part in self._scale:
            part.setVisible(is_shown)
        self._row.setContentsMargins(4, 4, 8 if is_shown else 4, 4)
        self.setVisible(is_active)
        self.adjustSize()
