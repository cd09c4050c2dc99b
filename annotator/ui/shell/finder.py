"""Class search: type a part of a name, Enter uses it; a new name makes a new class. It floats, it is no dialog."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from annotator.domain.project import Category
from annotator.ui.panels.chips import class_icon

_MAX_ROWS = 8


class _Field(QLineEdit):
    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


class ClassFinder(QFrame):
    """A text field with the matching classes below it."""

    picked = Signal(object)
    new_wanted = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._categories: tuple[Category, ...] = ()
        self._can_add = True
        self.field = _Field()
        self.field.setPlaceholderText("Class name")
        self.field.setAccessibleName("Find a class by name")
        self.field.textChanged.connect(self._filter)
        self.field.installEventFilter(self)
        self.field.left.connect(self.close_finder)
        self.list = QListWidget()
        self.list.setAccessibleName("Matching classes")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda _item: self._take())
        box = QVBoxLayout(self)
        box.setContentsMargins(8, 8, 8, 8)
        box.setSpacing(4)
        box.addWidget(self.field)
        box.addWidget(self.list)
        self.hide()

    def open_for(self, categories: Sequence[Category], *, can_add: bool) -> None:
        self._categories, self._can_add = tuple(categories), can_add
        self.field.clear()
        self._filter("")
        self.show()
        self.raise_()
        self.field.setFocus()

    def close_finder(self) -> None:
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.close_finder()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._take()
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Up) and self.list.count():
            step = 1 if key == Qt.Key.Key_Down else -1
            self.list.setCurrentRow((self.list.currentRow() + step) % self.list.count())
        elif key not in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return False
        return True

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        self.list.clear()
        found = [c for c in self._categories if wanted in c.name.casefold()]
        found.sort(key=lambda c: not c.name.casefold().startswith(wanted))
        for category in found:
            label = f"{category.name}   {category.key}" if category.key else category.name
            item = QListWidgetItem(class_icon(category), label)
            item.setData(Qt.ItemDataRole.UserRole, category.id)
            self.list.addItem(item)
        if wanted and self._can_add and all(c.name.casefold() != wanted for c in self._categories):
            self.list.addItem(QListWidgetItem(f"Add class “{text.strip()}”"))
        self.list.setCurrentRow(0)
        row_px = max(22, self.list.sizeHintForRow(0))
        self.list.setFixedHeight(row_px * max(1, min(_MAX_ROWS, self.list.count())) + 4)
        self.setFixedWidth(260)
        self.adjustSize()

    def _take(self) -> None:
        if self.list.currentRow() < 0:
            return
        item = self.list.currentItem()
        category_id = item.data(Qt.ItemDataRole.UserRole)
        name = self.field.text().strip()
        self.close_finder()
        if category_id is None:
            self.new_wanted.emit(name)
        else:
            self.picked.emit(int(category_id))
