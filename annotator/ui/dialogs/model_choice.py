"""The field for the model in use: the registry's models with their state, or the path of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPalette, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

BEST = "The best one that is here"
_STATE_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_INSET_PX = 8
_TEXT_SHIFT_PX = -2
"""The text begins where that of the other fields does."""
_POPUP_WIDTH_PX = 340
_BESIDE_PX = 52
"""The arrow and the margins beside the text."""
_ROW_PX = 26


class ModelChoice(QComboBox):
    """Editable: a name of the list, or a path. An empty text stands for the best model that is here."""

    model_chosen = Signal(str)
    """Once per choice: an entry was picked, or a text typed and left."""

    def __init__(self, value: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QLineEdit(self)
        self.setLineEdit(self._line)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setModel(QStandardItemModel(self))
        self.setItemDelegate(_ModelDelegate(self))
        self.view().setMinimumWidth(_POPUP_WIDTH_PX)
        self._line.setPlaceholderText(BEST)
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance(BEST) + _BESIDE_PX)
        self._line.setTextMargins(_TEXT_SHIFT_PX, 0, 0, 0)
        self._line.editingFinished.connect(self._tell)
        self.activated.connect(lambda _row: self._tell())
        self._chosen = value
        self.set_models(())

    def set_models(self, models: Sequence[Any]) -> None:
        """Offer these (``name``, ``is_present``, ``is_verified``, ``note``); what is in the field stays."""
        text = self._line.text() or self._chosen
        model = QStandardItemModel(self)
        model.appendRow(_row("", "", "The program chooses: " + BEST.lower(), is_usable=True))
        for found in models:
            state = ("present" if found.is_verified else "not verified") if found.is_present else "to download"
            entry = getattr(found, "entry", None)
            good_at = f"; good at {entry.good_at}" if entry is not None and entry.good_at else ""
            tip = f"{found.note}{good_at}" if found.is_present else f"annotator models download {found.name}"
            model.appendRow(_row(found.name, state, tip, is_usable=bool(found.is_present)))
        self.setModel(model)
        self.setCurrentIndex(-1)
        self.setEditText(text)

    def _tell(self) -> None:
        text = self.currentText().strip()
        if text != self._chosen:
            self._chosen = text
            self.model_chosen.emit(text)


def _row(name: str, state: str, tip: str, *, is_usable: bool) -> QStandardItem:
    item = QStandardItem(name)
    item.setData(state, _STATE_ROLE)
    item.setToolTip(tip)
    item.setAccessibleText(f"{name or BEST}, {state}" if state else name or BEST)
    item.setEnabled(is_usable)
    return item


class _ModelDelegate(QStyledItemDelegate):
    """A model's name, its state at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(_POPUP_WIDTH_PX, _ROW_PX)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        state, palette, rect = option.state, option.palette, option.rect
        is_enabled = bool(state & QStyle.StateFlag.State_Enabled)
        painter.save()
        if is_enabled and state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.fillRect(rect, palette.color(QPalette.ColorRole.Highlight))
        group = QPalette.ColorGroup.Active if is_enabled else QPalette.ColorGroup.Disabled
        painter.setPen(palette.color(group, QPalette.ColorRole.Text))
        inner = rect.adjusted(_INSET_PX, 0, -_INSET_PX, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignLeft | middle), index.data() or BEST)
        painter.setPen(palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.PlaceholderText))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignRight | middle), index.data(_STATE_ROLE) or "")
        painter.restore()
