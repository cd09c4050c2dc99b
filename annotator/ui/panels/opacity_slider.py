"""How strongly masks are filled, in view at all times."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSlider, QWidget

_WIDTH_PX, _STEPS = 84, 20


class OpacitySlider(QSlider):
    """Acts while it is moved; what it is let go at is remembered."""

    opacity_tried = Signal(float)
    opacity_chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setRange(0, _STEPS)
        self.setFixedWidth(_WIDTH_PX)
        self.setAccessibleName("Opacity of masks")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.valueChanged.connect(self._on_value)
        self.sliderReleased.connect(lambda: self.opacity_chosen.emit(self.opacity))

    @property
    def opacity(self) -> float:
        """0..1"""
        return self.value() / _STEPS

    def show_opacity(self, opacity: float) -> None:
        """What the setting says; no signal is sent."""
        was_blocked = self.blockSignals(True)
        self.setValue(round(opacity * _STEPS))
        self.blockSignals(was_blocked)
        self.setToolTip(f"Opacity of masks: {opacity:.0%}")

    def _on_value(self) -> None:
        self.setToolTip(f"Opacity of masks: {self.opacity:.0%}")
        (self.opacity_tried if self.isSliderDown() else self.opacity_chosen).emit(self.opacity)
