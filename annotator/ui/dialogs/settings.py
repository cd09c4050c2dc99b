"""The settings, made from their table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.errors import UserError
from annotator.io.settings import SETTINGS, Setting, Settings
from annotator.ui.dialogs.model_choice import ModelChoice
from annotator.ui.dialogs.scroll_pane import BAR_ROOM_PX, ScrollPane, fit_to_screen, fits_beside
from annotator.ui.dialogs.work_dialog import closing_row, title_label

_TEXT_INSET_PX = 5
"""The style sheet's padding does not reach the text of a number field."""
_SIDE_PX = 48
"""The dialog's margins left and right."""


class SettingsDialog(QDialog):
    """Made from the settings table; every change is applied and kept at once."""

    changed = Signal(str)
    """The key that has a new value."""
    failed = Signal(str)

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.setWindowTitle("Settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.editors: dict[str, QWidget] = {}
        self._explanations: list[QLabel] = []
        content = QWidget()  # before the button: Tab goes by age
        grid = self._make_grid()
        grid.setContentsMargins(0, 0, BAR_ROOM_PX, 0)
        content.setLayout(grid)
        if not fits_beside(self, content, margin_px=_SIDE_PX):
            for explanation in self._explanations:
                explanation.setWordWrap(True)
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 20, 24 - BAR_ROOM_PX, 16)
        box.setSpacing(16)
        box.addWidget(title_label("Settings"))
        box.addWidget(ScrollPane(content))
        box.addLayout(closing_row(self, margin_px=BAR_ROOM_PX))

    def showEvent(self, event: QShowEvent) -> None:
        if not event.spontaneous():
            fit_to_screen(self)
        super().showEvent(event)

    def _make_grid(self) -> QGridLayout:
        """A heading per group; per setting its name, its editor, and what it is for."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 150)
        grid.setColumnMinimumWidth(1, 200)
        grid.setColumnMinimumWidth(2, 180)
        grid.setColumnStretch(2, 1)
        group, row = "", 0
        for setting in (s for s in SETTINGS if s.group != "state"):
            if setting.group != group:
                group = setting.group
                heading = QLabel(group)
                heading.setObjectName("heading")
                if row:
                    grid.setRowMinimumHeight(row, 12)
                    row += 1
                grid.addWidget(heading, row, 0, 1, 3)
                row += 1
            name = QLabel(_title(setting))
            editor = self._make_editor(setting)
            editor.setAccessibleName(_title(setting))
            editor.setToolTip(setting.description)
            editor.setMinimumHeight(26)
            name.setBuddy(editor)
            text = setting.description + (" Works from the next start." if setting.is_restart_needed else "")
            explanation = QLabel(text)
            explanation.setObjectName("dim")
            grid.addWidget(name, row, 0)
            grid.addWidget(editor, row, 1)
            self._explanations.append(explanation)
            grid.addWidget(explanation, row, 2)
            self.editors[setting.key] = editor
            row += 1
        return grid

    def set_models(self, models: Sequence[Any]) -> None:
        """Offer these models, as in :meth:`ModelChoice.set_models`; looking for them takes a moment."""
        choice = self.editors["model"]
        if isinstance(choice, ModelChoice):
            choice.set_models(models)

    def _make_editor(self, setting: Setting) -> QWidget:
        key, value = setting.key, self._settings.get(setting.key)
        if isinstance(setting.default, bool):
            switch = QCheckBox()
            switch.setChecked(bool(value))
            switch.toggled.connect(lambda on: self._set(key, on))
            return switch
        if setting.choices:
            choice = QComboBox()
            choice.addItems(list(setting.choices))
            choice.setCurrentText(str(value))
            choice.currentTextChanged.connect(lambda text: self._set(key, text))
            return choice
        if isinstance(setting.default, int | float):
            return self._make_number(setting, value)
        if key == "model":
            model = ModelChoice(str(value))
            model.model_chosen.connect(lambda text: self._set(key, text))
            return model
        line = QLineEdit(str(value))
        line.editingFinished.connect(lambda: self._set(key, line.text().strip()))
        return line

    def _make_number(self, setting: Setting, value: float) -> QWidget:
        low = setting.minimum if setting.minimum is not None else -1e9
        high = setting.maximum if setting.maximum is not None else 1e9
        key = setting.key
        if isinstance(setting.default, int):
            whole = QSpinBox()
            whole.lineEdit().setTextMargins(_TEXT_INSET_PX, 0, 0, 0)
            whole.setRange(int(low), int(high))
            whole.setValue(int(value))
            whole.valueChanged.connect(lambda number: self._set(key, number))
            return whole
        real = QDoubleSpinBox()
        real.lineEdit().setTextMargins(_TEXT_INSET_PX, 0, 0, 0)
        real.setRange(low, high)
        real.setDecimals(2)
        real.setSingleStep(0.05 if high <= 1 else 0.5)
        real.setValue(value)
        real.valueChanged.connect(lambda number: self._set(key, number))
        return real

    def _set(self, key: str, value: Any) -> None:
        try:
            is_new = self._settings.set(key, value)
        except UserError as error:
            self.failed.emit(str(error))
            is_new = True
        if is_new:
            self.changed.emit(key)


def _title(setting: Setting) -> str:
    words = setting.key.split("_")
    units = {
        "megapixels": "(megapixels)",
        "px": "(px)",
        "mib": "(MiB)",
        "gib": "(GiB)",
        "ram": "in memory",
        "disk": "on disk",
        "dicom": "DICOM",
        "uids": "UIDs",
    }
    text = " ".join(units.get(word, word) for word in words if word != "enabled")
    return text[:1].upper() + text[1:]
