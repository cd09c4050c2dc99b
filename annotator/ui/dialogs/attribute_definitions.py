"""The dialog in which attributes are defined: those that are there, and a form for another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget, Value
from annotator.domain.project import Category
from annotator.ui.dialogs.note import Note

_FORMS = (
    ("Text", AttributeForm.TEXT),
    ("Number", AttributeForm.NUMBER),
    ("One of", AttributeForm.ONE),
    ("Many of", AttributeForm.MANY),
    ("Yes or no", AttributeForm.YES_NO),
)
_ANOTHER = "Another one"
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


class AttributeDefinitions(QDialog):
    """Every change is made at once, and can be undone.

    Args:
        define: adds a definition; answers why it cannot be used, or nothing.
        change: puts a definition in the place of the one of this id; answers the same.
        delete: takes the one of this id away.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        *,
        define: Callable[[Attribute], str],
        change: Callable[[int, Attribute], str],
        delete: Callable[[int], object],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Attributes")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._define, self._change, self._delete = define, change, delete
        self._categories = list(categories)
        self._rows: dict[int, Attribute] = {}
        self._changed_id = 0
        """The definition that the form changes; 0: it adds one."""
        self.list = QListWidget()
        self.list.setAccessibleName("Attributes of this project")
        self.delete_button, self.change_button = QPushButton("Delete"), QPushButton("Change…")
        self.list.currentRowChanged.connect(self._on_row)
        self._on_row(-1)
        self.delete_button.clicked.connect(self._on_delete)
        self.change_button.clicked.connect(self._take_up)
        self.list.itemActivated.connect(lambda _item: self._take_up())
        self.note = Note()
        box = QVBoxLayout(self)
        box.addWidget(self.list, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.change_button)
        row.addWidget(self.delete_button)
        box.addLayout(row)
        self.heading = QLabel(_ANOTHER)
        self.heading.setObjectName("heading")
        box.addWidget(self.heading)
        box.addLayout(self._make_form())
        box.addWidget(self.note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        box.addWidget(buttons)
        self.resize(460, 560)

    def _make_form(self) -> QFormLayout:
        form = QFormLayout()
        self.name, self.choices, self.default = QLineEdit(), QLineEdit(), QLineEdit()
        self.choices.setPlaceholderText("heads, tails, …")
        self.target, self.form, self.of_class = QComboBox(), QComboBox(), QComboBox()
        self.target.addItem("Objects", AttributeTarget.OBJECT)
        self.target.addItem("Images", AttributeTarget.IMAGE)
        for text, value in _FORMS:
            self.form.addItem(text, value)
        self.of_class.addItem("All classes", 0)
        for category in self._categories:
            self.of_class.addItem(category.name, category.id)
        self.required = QCheckBox()
        self.add_button, self.back_button = QPushButton("Add"), QPushButton("Leave it as it was")
        self.add_button.setObjectName("primary")
        self.add_button.clicked.connect(self._on_add)
        self.back_button.clicked.connect(self._leave)
        self.back_button.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button, 1)
        buttons.addWidget(self.back_button)
        for combo in (self.target, self.form):
            combo.currentIndexChanged.connect(self._fit)
        for text, field in (
            ("Name", self.name),
            ("Said of", self.target),
            ("Class", self.of_class),
            ("Value", self.form),
            ("Choices", self.choices),
            ("Default", self.default),
            ("", self.required),
        ):
            form.addRow(text, field)
        form.addRow("", buttons)
        self._fit()
        return form

    def show_rows(self, rows: Sequence[Attribute]) -> None:
        """The definitions that are there."""
        names = {category.id: category.name for category in self._categories}
        chosen = self.list.currentItem()
        chosen_id = None if chosen is None else chosen.data(Qt.ItemDataRole.UserRole)
        self._rows = {row.id: row for row in rows}
        if self._changed_id not in self._rows:
            self._leave()
        self.list.clear()
        for row in rows:
            whose = "images" if row.target is AttributeTarget.IMAGE else names.get(row.category_id, "all objects")
            parts = [row.name, whose, ", ".join(row.choices) or row.form.value, "needed" if row.is_required else ""]
            item = QListWidgetItem("  ·  ".join(part for part in parts if part))
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            self.list.addItem(item)
            if row.id == chosen_id:
                self.list.setCurrentItem(item)

    def wanted(self) -> Attribute:
        """What the form says; an unusable default is left out by the definition itself."""
        form, target = self._form, self._target
        choices = [text for one in self.choices.text().split(",") if (text := one.strip())]
        extra: dict[str, object] = {}
        if form in (AttributeForm.ONE, AttributeForm.MANY):
            extra["choices"] = list(dict.fromkeys(choices))
        if target is AttributeTarget.OBJECT and self.of_class.currentData():
            extra["class"] = self.of_class.currentData()
        if self.required.isChecked():
            extra["required"] = True
        default = _parsed(form, self.default.text().strip())
        if default is not None:
            extra["default"] = default
        return Attribute(0, self.name.text().strip(), target, form, extra)

    @property
    def _target(self) -> AttributeTarget:
        return AttributeTarget(self.target.currentData())  # Qt gives the plain word back

    @property
    def _form(self) -> AttributeForm:
        return AttributeForm(self.form.currentData())

    def _on_add(self) -> None:
        wanted = self.wanted()
        problem = ""
        if self.default.text().strip() and wanted.default is None:
            problem = "The default is no value of this attribute."
        if not problem:
            problem = self._change(self._changed_id, wanted) if self._changed_id else self._define(wanted)
        self.note.say(problem)
        if not problem:
            self._leave()
            self.name.setFocus()

    def _on_row(self, row: int) -> None:
        for button in (self.delete_button, self.change_button):
            button.setEnabled(row >= 0)

    def _take_up(self) -> None:
        """The chosen definition in the form."""
        item = self.list.currentItem()
        row = None if item is None else self._rows.get(item.data(Qt.ItemDataRole.UserRole))
        if row is None:
            return
        self._changed_id = row.id
        self.heading.setText(f"Change “{row.name}”")
        self.name.setText(row.name)
        self.choices.setText(", ".join(row.choices))
        self.default.setText(_typed(row.default))
        self.required.setChecked(row.is_required)
        for combo, value in ((self.target, row.target), (self.form, row.form), (self.of_class, row.category_id)):
            combo.setCurrentIndex(max(combo.findData(value), 0))
        self._fit()
        self.name.setFocus()
        self.name.selectAll()

    def _leave(self) -> None:
        """The form adds another one."""
        self._changed_id = 0
        self.heading.setText(_ANOTHER)
        for field in (self.name, self.choices, self.default):
            field.clear()
        self._fit()

    def _on_delete(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self._delete(item.data(Qt.ItemDataRole.UserRole))

    def _fit(self) -> None:
        is_object = self._target is AttributeTarget.OBJECT
        self.target.setEnabled(not self._changed_id)
        self.of_class.setEnabled(is_object)
        self.required.setText(f"Ask for it when {'an object is accepted' if is_object else 'an image is done'}")
        self.add_button.setText("Change" if self._changed_id else "Add")
        self.back_button.setVisible(bool(self._changed_id))
        self.choices.setEnabled(self._form in (AttributeForm.ONE, AttributeForm.MANY))


def _typed(value: Value | None) -> str:
    """A default as a person types it."""
    if isinstance(value, bool):
        return _YES[0] if value else _NO[0]
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _parsed(form: AttributeForm, text: str) -> object:
    """A default as it was typed, in the attribute's type; None where it is none."""
    if not text:
        return None
    if form is AttributeForm.NUMBER:
        try:
            return float(text) if "." in text or "e" in text else int(text)
        except ValueError:
            return None
    if form is AttributeForm.YES_NO:
        return True if text.lower() in _YES else False if text.lower() in _NO else None
    return [one.strip() for one in text.split(",")] if form is AttributeForm.MANY else text
