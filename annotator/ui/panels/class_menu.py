"""The context menu of a class, and the dialog for what a data set says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QMenu, QPlainTextEdit, QWidget

from annotator.domain.brevity import brief
from annotator.domain.project import Category
from annotator.ui.look.icons import icon
from annotator.ui.look.plain import menu_text, title_text
from annotator.ui.look.theme import Tokens
from annotator.ui.panels.chips import class_icon

if TYPE_CHECKING:
    from annotator.ui.panels.dock import ClassPanel

LONGEST_TEXT = 2000


def class_menu(panel: ClassPanel, category: Category, tokens: Tokens, *, can_delete: bool) -> QMenu:
    """What can be done to a class, for the panel that has it."""
    rows = panel.model.rows
    menu = QMenu(panel)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.addAction("Use this class").triggered.connect(lambda: panel.picked.emit(category.id))
    menu.addAction(icon("edit", tokens), "Rename").triggered.connect(lambda: panel.edit_name(category.id))
    menu.addAction(icon("tag", tokens), "Change colour…").triggered.connect(panel.recolour_current)
    menu.addAction("Details…").triggered.connect(lambda: panel.show_details(category))
    _add_keys(menu, panel, category)
    at = [row.id for row in rows].index(category.id)
    for text, step, is_possible in (("Move up", -1, at > 0), ("Move down", +1, at + 1 < len(rows))):
        action = menu.addAction(text)
        action.setEnabled(is_possible)
        action.triggered.connect(lambda _=False, by=step: panel.move_wanted.emit(category.id, by))
    _add_merges(menu, panel, category)
    menu.addSeparator()
    delete = menu.addAction(icon("delete", tokens), "Delete class")
    delete.triggered.connect(lambda: panel.delete_wanted.emit(category.id))
    delete.setEnabled(can_delete)
    unused = menu.addAction("Delete unused classes")
    unused.triggered.connect(panel.delete_unused_wanted)
    unused.setEnabled(len(rows) > 1 and any(panel.model.count(row.id) == 0 for row in rows))
    return menu


def _add_keys(menu: QMenu, panel: ClassPanel, category: Category) -> None:
    """Which number key picks it; one that another class has goes over."""
    keys, group = menu.addMenu("Key"), QActionGroup(menu)
    names = {row.key: row.name for row in panel.model.rows if row.id != category.id}
    for key in (*range(1, 10), 0):
        text = "None" if key == 0 else f"{key}   {menu_text(names[key])}" if key in names else str(key)
        action = keys.addAction(text)
        action.setCheckable(True)
        action.setChecked(key == category.key)
        group.addAction(action)
        action.triggered.connect(lambda _=False, to=key: panel.key_wanted.emit(category.id, to))


def _add_merges(menu: QMenu, panel: ClassPanel, category: Category) -> None:
    others = [row for row in panel.model.rows if row.id != category.id]
    merges = menu.addMenu("Merge into")
    merges.setEnabled(bool(others))
    for other in others:
        action = merges.addAction(class_icon(other), menu_text(other.name))
        action.triggered.connect(lambda _=False, to=other.id: panel.merge_wanted.emit(category.id, to))


class ClassDetails(QDialog):
    """The supercategory and the description of a class."""

    written = Signal(str, str)

    def __init__(self, category: Category, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title_text(f"Details of {brief(category.name)}"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.supercategory = QLineEdit(str(category.extra.get("supercategory") or ""))
        self.supercategory.setMaxLength(200)
        self.supercategory.setPlaceholderText("animal, vehicle, …")
        self.description = QPlainTextEdit(str(category.extra.get("description") or ""))
        self.description.setPlaceholderText("What belongs to the class, and what does not")
        self.description.setTabChangesFocus(True)
        form = QFormLayout(self)
        form.addRow("Supercategory", self.supercategory)
        form.addRow("Description", self.description)
        buttons = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(buttons.Ok | buttons.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form.addRow(self.buttons)
        self.resize(440, 260)

    def accept(self) -> None:
        text = self.description.toPlainText().strip()[:LONGEST_TEXT]
        self.written.emit(self.supercategory.text().strip(), text)
        super().accept()
