"""The Window panel: histogram, numbers and switches for which greys are shown; brightness and contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.window import GREATEST_CLAHE, Preset, Window
from annotator.domain.windowing import Native, Spread
from annotator.ui.look.theme import Theme
from annotator.ui.panels.fitted_area import FittedArea
from annotator.ui.panels.histogram import Histogram

_STEPS = 100
_NUMBER_LIMIT = 1e12
_HINT = "Open an image to change how it is shown."


class WindowPanel(QWidget):
    """Says what is wanted, and shows what is in use; whoever listens paints it."""

    changed = Signal(object)
    """Window, while a handle or slider moves, or a number was typed"""
    settled = Signal()
    """That is what is wanted: the whole image is shown so, and the model sees it."""
    preset_wanted = Signal(int)
    """Its place in the list."""
    reset_wanted = Signal()
    all_wanted = Signal()
    """All images of this kind."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._native: Native | None = None
        self._window: Window | None = None
        self._presets: list[Preset] = []
        self.histogram = Histogram(theme)
        self.hint = _dim(_HINT)
        self.hint.setContentsMargins(12, 8, 12, 8)
        self.presets = QComboBox()
        self.presets.setAccessibleName("Preset")
        self.presets.setPlaceholderText("Choose…")
        self.presets.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.level, self.width_box = _number("Level"), _number("Window width")
        self.brightness, self.contrast = _slider("Brightness", -_STEPS), _slider("Contrast", -_STEPS)
        self.gamma, self.local = _slider("Gamma", -_STEPS), _slider("Local contrast", 0)
        self.invert = QCheckBox("Invert")
        self.reset = QPushButton("Reset")
        self.reset.setToolTip("As the file asks to be shown")
        self.for_all = QPushButton("Use for all")
        self.scope = _dim("")
        self.body = QWidget()
        self.body.setObjectName("panel")
        self._rows = self._fill()
        self.view = FittedArea(self.body, name="Window")
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.hint)
        box.addWidget(self.view, 1)
        self._wire()
        self.show_source(None, None)

    def _fill(self) -> dict[str, tuple[QWidget, ...]]:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows: dict[str, tuple[QWidget, ...]] = {}
        fields = {
            "Preset": self.presets,
            "Level": self.level,
            "Width": self.width_box,
            "Brightness": self.brightness,
            "Contrast": self.contrast,
            "Gamma": self.gamma,
            "Local contrast": self.local,
        }
        for at, (name, field) in enumerate(fields.items()):
            label = _dim(name)
            label.setWordWrap(False)
            label.setBuddy(field)
            grid.addWidget(label, at, 0)
            grid.addWidget(field, at, 1)
            rows[name] = (label, field)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.invert)
        foot.addStretch(1)
        foot.addWidget(self.reset)
        box = QVBoxLayout(self.body)
        box.setContentsMargins(12, 4, 12, 8)
        box.setSpacing(8)
        box.addWidget(self.histogram)
        box.addLayout(grid)
        box.addLayout(foot)
        box.addWidget(self.for_all)
        box.addWidget(self.scope)
        box.addStretch(1)
        return rows

    def _wire(self) -> None:
        self.histogram.dragged.connect(self._wish)
        self.histogram.settled.connect(self.settled)
        self.histogram.reset_wanted.connect(self.reset_wanted)
        self.presets.activated.connect(self.preset_wanted)
        self.reset.clicked.connect(lambda: self.reset_wanted.emit())
        self.for_all.clicked.connect(lambda: self.all_wanted.emit())
        for number in (self.level, self.width_box):
            number.valueChanged.connect(self._on_numbers)
            number.valueChanged.connect(lambda _value: self.settled.emit())
        for slider in (self.brightness, self.contrast, self.gamma, self.local):
            slider.valueChanged.connect(self._on_sliders)
            slider.sliderReleased.connect(self.settled)
            slider.valueChanged.connect(lambda _value, one=slider: self._settle_unless_held(one))
        self.invert.toggled.connect(self._on_invert)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def show_source(
        self, native: Native | None, spread: Spread | None, presets: Sequence[tuple[str, Preset]] = ()
    ) -> None:
        """Another picture; None for none.

        Args:
            presets: with their keys, in the order of those.
        """
        self._native, self._presets = native, [preset for _, preset in presets]
        self.hint.setVisible(native is None)
        self.view.setVisible(native is not None)
        with QSignalBlocker(self.presets):
            self.presets.clear()
            for key, preset in presets:
                self.presets.addItem(preset.title)
                # Beside the title there is no room for it.
                self.presets.setItemData(self.presets.count() - 1, key, Qt.ItemDataRole.ToolTipRole)
            self.presets.setCurrentIndex(-1)
        self.histogram.show_spread(spread)
        if native is None or spread is None:
            self.show_window(None)
            return
        is_deep = native.is_deep
        for name, is_shown in (("Level", is_deep), ("Width", is_deep), ("Brightness", not is_deep)):
            for widget in self._rows[name]:
                widget.setVisible(is_shown)
        for widget in self._rows["Contrast"]:
            widget.setVisible(not is_deep)
        reach = spread.within[1] - spread.within[0]
        decimals = 0 if native.values.dtype.kind in "iu" and native.slope == 1.0 else _decimals(reach)
        for number in (self.level, self.width_box):
            with QSignalBlocker(number):
                number.setDecimals(decimals)
                number.setSingleStep(max(10.0**-decimals, round(reach / 200, decimals)))
                number.setSuffix(f" {native.unit}" if native.unit else "")

    def show_window(self, window: Window | None, scope: str = "") -> None:
        """What is in use now; ``scope`` says for which pictures."""
        self._window = window
        self.histogram.show_window(window)
        if window is None or self._native is None:
            return
        brightness, contrast = window.brightness_contrast(self._native.default)
        values = (
            (self.brightness, round(brightness * _STEPS)),
            (self.contrast, round(contrast * _STEPS)),
            (self.gamma, round(math.log10(window.gamma) * _STEPS)),
            (self.local, round(window.clahe / GREATEST_CLAHE * _STEPS)),
        )
        for slider, value in values:
            if not slider.isSliderDown():
                with QSignalBlocker(slider):
                    slider.setValue(value)
        self.gamma.setToolTip(f"{window.gamma:.2f}")
        for number, amount in ((self.level, window.centre), (self.width_box, window.width)):
            with QSignalBlocker(number):
                number.setValue(amount)
        in_use = [(one.centre, one.width) == (window.centre, window.width) for one in self._presets]
        with QSignalBlocker(self.presets):
            self.presets.setCurrentIndex(in_use.index(True) if any(in_use) else -1)
        with QSignalBlocker(self.invert):
            self.invert.setChecked(window.is_inverted)
        self.scope.setText(scope)

    # --- what is wanted -----------------------------------------------------------------------------------------------

    def _wish(self, window: Window) -> None:
        self._window = window
        self.changed.emit(window)

    def _on_numbers(self) -> None:
        if self._window is not None:
            width = max(self.width_box.value(), self._window.least_width)
            self._wish(replace(self._window, centre=self.level.value(), width=width))

    def _on_sliders(self) -> None:
        window, native = self._window, self._native
        if window is None or native is None:
            return
        sender = self.sender()
        if sender in (self.brightness, self.contrast):
            bright, steep = self.brightness.value() / _STEPS, self.contrast.value() / _STEPS
            window = window.with_brightness_contrast(bright, steep, native.default)
        elif sender is self.gamma:
            window = replace(window, gamma=10.0 ** (self.gamma.value() / _STEPS))
        else:
            window = replace(window, clahe=self.local.value() / _STEPS * GREATEST_CLAHE)
        self._wish(window)

    def _on_invert(self, is_inverted: bool) -> None:
        if self._window is not None:
            self._wish(replace(self._window, is_inverted=is_inverted))
            self.settled.emit()

    def _settle_unless_held(self, slider: QSlider) -> None:
        if not slider.isSliderDown():
            self.settled.emit()


def _dim(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("dim")
    label.setWordWrap(True)
    return label


def _number(name: str) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setAccessibleName(name)
    number.setRange(-_NUMBER_LIMIT, _NUMBER_LIMIT)
    number.setKeyboardTracking(False)
    number.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return number


def _slider(name: str, least: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setAccessibleName(name)
    slider.setRange(least, _STEPS)
    return slider


def _decimals(reach: float) -> int:
    """So many that a hundredth of the range can be typed."""
    return min(9, max(0, math.ceil(2 - math.log10(max(reach, 1e-7)))))
