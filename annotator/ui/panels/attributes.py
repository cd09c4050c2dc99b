"""The panel of attributes: what is said of the selected objects and of the image."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from annotator.domain.attributes import Attribute
from annotator.ui.panels.attribute_fields import AttributeField, field_for

_LEAST_PX = 32
"""Of the fields, so that the button below them is seen in a low window, too."""
Section = tuple[str, Sequence[tuple[Attribute, object, bool]]]
"""(heading, (attribute, value, whether the objects differ) each)"""


class AttributePanel(QWidget):
    """Its fields are made anew only when there are others."""

    said = Signal(object, object)
    """(Attribute, its value, or None for nothing)"""
    define_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.fields: list[AttributeField] = []
        self._made_for: object = None
        self.hint = QLabel()
        self.hint.setObjectName("dim")
        self.hint.setWordWrap(True)
        self.hint.setContentsMargins(12, 8, 12, 0)
        self._content = QWidget()
        self._form = QFormLayout(self._content)
        self._form.setContentsMargins(12, 4, 12, 8)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._content.setObjectName("panel")
        self.view = QScrollArea()
        self.view.setObjectName("jobs")  # a frame shows that it has the focus
        self.view.setAccessibleName("Attributes")
        self.view.setMinimumHeight(_LEAST_PX)
        self.view.setWidgetResizable(True)
        self.view.setWidget(self._content)
        self.define_button = QPushButton("Define attributes…")
        self.define_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.define_button.clicked.connect(self.define_wanted)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 8)
        box.addWidget(self.hint)
        box.addWidget(self.view, 1)
        box.addWidget(self.define_button, 0, Qt.AlignmentFlag.AlignHCenter)

    def show_sections(self, sections: Sequence[Section], *, hint: str, is_writable: bool) -> None:
        """What can be said now; ``hint`` is for when there is nothing, or nothing is selected."""
        wanted = [(heading, tuple(attribute for attribute, _, _ in rows)) for heading, rows in sections]
        if wanted != self._made_for:
            self._made_for = wanted
            self._rebuild(sections)
        values = [row for _, rows in sections for row in rows]
        for field, (attribute, value, is_mixed) in zip(self.fields, values, strict=True):
            field.show_value(value, is_mixed=is_mixed)
            field.setEnabled(is_writable)
            label = self._form.labelForField(field)
            if isinstance(label, QLabel):
                is_missing = attribute.is_required and value is None and not is_mixed
                label.setText(f"{attribute.name}{'  (needed)' if is_missing else ''}")
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self.define_button.setEnabled(is_writable)

    def _rebuild(self, sections: Sequence[Section]) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        self.fields = []
        for heading, rows in sections:
            title = QLabel(heading)
            title.setObjectName("heading")
            self._form.addRow(title)
            for attribute, _value, _is_mixed in rows:
                field = field_for(attribute)
                field.said.connect(lambda value, one=attribute: self.said.emit(one, value))
                self.fields.append(field)
                self._form.addRow(QLabel(attribute.name), field)
