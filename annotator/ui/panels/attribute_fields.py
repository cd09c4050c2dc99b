"""Fields for attributes, one kind of widget per kind of value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QDoubleValidator
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QVBoxLayout, QWidget

from annotator.domain.attributes import LONGEST_TEXT, Attribute, AttributeForm
from annotator.ui.look.plain import menu_text

_NOTHING, _MIXED = "–", "(several)"


class AttributeField(QWidget):
    """One value. ``said`` gives it when the person is done with it; None: nothing is said any more."""

    said = Signal(object)

    def __init__(self, attribute: Attribute, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.attribute = attribute
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(2)
        self._make()

    def _make(self) -> None:
        """Build the widgets inside."""

    def show_value(self, value: object, *, is_mixed: bool = False) -> None:
        """What holds now; no signal is sent. ``is_mixed``: the objects differ."""

    def _add(self, widget: QWidget) -> None:
        widget.setAccessibleName(self.attribute.name)
        self._box.addWidget(widget)
        if self.focusProxy() is None:
            self.setFocusProxy(widget)


class TextField(AttributeField):
    def _make(self) -> None:
        self.edit = QLineEdit()
        self.edit.setMaxLength(LONGEST_TEXT)
        self.edit.editingFinished.connect(self._on_done)
        self._shown = ""
        self._add(self.edit)

    def show_value(self, value: object, *, is_mixed: bool = False) -> None:
        self._shown = "" if value is None or is_mixed else _number_text(value)
        self.edit.setPlaceholderText(_MIXED if is_mixed else "")
        if not self.edit.hasFocus() or not self.edit.isModified():
            self.edit.setText(self._shown)

    def _on_done(self) -> None:
        text = self.edit.text().strip()
        self.edit.setModified(False)
        if text != self._shown:
            self._shown = text
            self.said.emit(self._value(text))

    def _value(self, text: str) -> object:
        return text or None


class NumberField(TextField):
    def _make(self) -> None:
        super()._make()
        self.edit.setValidator(QDoubleValidator(self.edit))

    def _value(self, text: str) -> object:
        number, is_number = self.edit.locale().toDouble(text)
        if not is_number:
            return None
        return int(number) if number.is_integer() else number


class OneField(AttributeField):
    values: tuple[tuple[str, object], ...] = ()

    def _make(self) -> None:
        self.values = tuple((choice, choice) for choice in self.attribute.choices)
        self._fill()

    def _fill(self) -> None:
        self.box = QComboBox()
        self.box.addItems([_NOTHING, *(text for text, _ in self.values)])
        self.box.activated.connect(lambda at: self.said.emit(self.values[at - 1][1] if at else None))
        self._add(self.box)

    def show_value(self, value: object, *, is_mixed: bool = False) -> None:
        at = next((number for number, (_, known) in enumerate(self.values, 1) if known == value), 0)
        self.box.setItemText(0, _MIXED if is_mixed else _NOTHING)
        self.box.setCurrentIndex(0 if is_mixed else at)


class YesNoField(OneField):
    def _make(self) -> None:
        self.values = (("yes", True), ("no", False))
        self._fill()


class ManyField(AttributeField):
    def _make(self) -> None:
        self.checks = [QCheckBox(menu_text(choice)) for choice in self.attribute.choices]
        for check in self.checks:
            check.clicked.connect(self._on_click)
            self._add(check)
            check.setAccessibleName(f"{self.attribute.name}: {check.text()}")

    def show_value(self, value: object, *, is_mixed: bool = False) -> None:
        chosen = value if isinstance(value, list) and not is_mixed else []
        for check, choice in zip(self.checks, self.attribute.choices, strict=True):
            with QSignalBlocker(check):
                check.setChecked(choice in chosen)

    def _on_click(self) -> None:
        pairs = zip(self.checks, self.attribute.choices, strict=True)
        chosen = [choice for check, choice in pairs if check.isChecked()]
        self.said.emit(chosen or None)


FIELDS: Mapping[AttributeForm, Callable[[Attribute], AttributeField]] = {
    AttributeForm.TEXT: TextField,
    AttributeForm.NUMBER: NumberField,
    AttributeForm.ONE: OneField,
    AttributeForm.MANY: ManyField,
    AttributeForm.YES_NO: YesNoField,
}


def field_for(attribute: Attribute) -> AttributeField:
    return FIELDS[attribute.form](attribute)


def _number_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
