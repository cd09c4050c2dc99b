"""A bar that asks for one attribute of an object that was just accepted. It stops nothing."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from annotator.domain.attributes import Attribute
from annotator.ui.panels.attribute_fields import AttributeField, field_for

_FIELD_WIDTH_PX = 200


class AttributeBar(QFrame):
    """It takes no focus by itself."""

    said = Signal(object)
    """The value."""
    skipped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("floatingBar")
        self.label = QLabel()
        self.skip_button = QPushButton("Later")
        self.skip_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.skip_button.clicked.connect(self.skipped)
        self.field: AttributeField | None = None
        self._box = QHBoxLayout(self)
        self._box.setContentsMargins(12, 8, 8, 8)
        self._box.setSpacing(8)
        self._box.addWidget(self.label)
        self._box.addWidget(self.skip_button)
        self.hide()

    @property
    def is_open(self) -> bool:
        return not self.isHidden()

    def ask(self, text: str, attribute: Attribute) -> None:
        """Ask in the place of an earlier question."""
        self._clear()
        self.label.setText(text)
        self.setAccessibleName(text)
        self.field = field_for(attribute)
        self.field.setMinimumWidth(_FIELD_WIDTH_PX)
        self.field.said.connect(self.said)
        self._box.insertWidget(1, self.field)
        self.show()

    def withdraw(self) -> None:
        self.hide()
        self._clear()

    def _clear(self) -> None:
        if self.field is not None:
            self._box.removeWidget(self.field)
            self.field.hide()
            self.field.deleteLater()
            self.field = None
