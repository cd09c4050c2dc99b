"""A bar above the canvas for an operation that is tried out: its amount, what it would change, and two answers."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget

_AMOUNT_WIDTH_PX, _EFFECT_WIDTH_PX = 112, 160


class OperationBar(QFrame):
    """It takes no focus by itself: the keys that accept and cancel answer it, those of the brush's size turn the
    amount."""

    applied = Signal()
    dropped = Signal()
    amount_changed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("floatingBar")
        self.label, self.effect = QLabel(), QLabel()
        self.effect.setObjectName("dim")
        self.amount = QSpinBox()
        self.amount.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.amount.setAccessibleName("Amount")
        self.amount.setFixedWidth(_AMOUNT_WIDTH_PX)
        self.amount.valueChanged.connect(self.amount_changed)
        self.amount.lineEdit().returnPressed.connect(self.applied)
        self.apply_button, self.drop_button = QPushButton(), QPushButton()
        self.apply_button.setObjectName("primary")
        self.apply_button.clicked.connect(self.applied)
        self.drop_button.clicked.connect(self.dropped)
        box = QHBoxLayout(self)
        box.setContentsMargins(12, 8, 8, 8)
        box.setSpacing(8)
        box.addWidget(self.label)
        box.addWidget(self.amount)
        self.effect.setMinimumWidth(_EFFECT_WIDTH_PX)  # what it says changes with every step of the amount
        box.addWidget(self.effect, 1)
        for button in (self.apply_button, self.drop_button):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.addWidget(button)
        self.hide()

    @property
    def is_open(self) -> bool:
        return not self.isHidden()

    def open_for(
        self, title: str, *, amount: int, limits: tuple[int, int], unit: str, apply_key: str, drop_key: str
    ) -> None:
        """Show it; ``limits`` (0, 0) for an operation without an amount."""
        self.label.setText(title)
        self.setAccessibleName(title)
        self.apply_button.setText(f"Apply  ({apply_key})" if apply_key else "Apply")
        self.drop_button.setText(f"Cancel  ({drop_key})" if drop_key else "Cancel")
        was_blocked = self.amount.blockSignals(True)
        self.amount.setRange(*limits)
        self.amount.setSuffix(f" {unit}" if unit else "")
        self.amount.setValue(amount)
        self.amount.blockSignals(was_blocked)
        self.amount.setVisible(limits != (0, 0))
        self.effect.setText("…")
        self.show()

    def show_effect(self, text: str) -> None:
        self.effect.setText(text)
