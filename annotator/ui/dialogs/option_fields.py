"""Form fields for the options of a format, by their types."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from annotator.domain.ports.formats import FormatOption, OptionValue

TEXT_INSET_PX = 5
"""The style sheet's padding does not reach the text of a number field."""
_LIMIT = 10**9


def option_field(option: FormatOption, value: OptionValue) -> tuple[QWidget, Callable[[], OptionValue]]:
    """A field that shows ``value``, and what reads it."""
    field, read = _field(option, value)
    field.setToolTip(option.help)
    field.setAccessibleName(option.title)
    return field, read


def _field(option: FormatOption, value: OptionValue) -> tuple[QWidget, Callable[[], OptionValue]]:
    if option.choices:
        return _choice(option, value)
    if isinstance(option.default, bool):
        box = QCheckBox(option.help)
        box.setChecked(bool(value))
        return box, box.isChecked
    if isinstance(option.default, int):
        whole = QSpinBox()
        whole.setRange(int(_or(option.minimum, -_LIMIT)), int(_or(option.maximum, _LIMIT)))
        whole.setValue(int(value))
        whole.lineEdit().setTextMargins(TEXT_INSET_PX, 0, 0, 0)
        return whole, whole.value
    if isinstance(option.default, float):
        number = QDoubleSpinBox()
        number.setDecimals(3)
        number.setRange(_or(option.minimum, -_LIMIT), _or(option.maximum, _LIMIT))
        number.setValue(float(value))
        number.lineEdit().setTextMargins(TEXT_INSET_PX, 0, 0, 0)
        return number, number.value
    line = QLineEdit(str(value))
    return line, line.text


def _choice(option: FormatOption, value: OptionValue) -> tuple[QWidget, Callable[[], OptionValue]]:
    box = QComboBox()
    for choice in option.choices:
        box.addItem(choice.title, choice.value)
    box.setCurrentIndex(max(0, box.findData(value)))
    return box, lambda: str(box.currentData())


def _or(limit: float | None, other: float) -> float:
    return other if limit is None else limit
