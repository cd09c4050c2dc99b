"""The side panels: objects of the image, and classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QPoint,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Category, Review
from annotator.ui.look.elided import ElidedLabel
from annotator.ui.look.icons import icon
from annotator.ui.look.plain import menu_text, title_text
from annotator.ui.look.still import StillLabel
from annotator.ui.look.theme import Theme, Tokens
from annotator.ui.panels.chips import class_icon
from annotator.ui.panels.class_menu import ClassDetails, class_menu
from annotator.ui.panels.delegates import OBJECT_ROW_HEIGHT_PX, ClassDelegate, ObjectDelegate
from annotator.ui.panels.list_models import ROW_ROLE, ClassModel, ObjectModel, stretches
from annotator.ui.panels.opacity_slider import OpacitySlider

_LEAST_PX = 28
"""Of a list, so that the panels below it are seen in a low window, too."""


class PanelDock(QDockWidget):
    """A panel at the window's edge with a quiet title line."""

    def __init__(self, title: str, name: str, content: QWidget, parent: QWidget) -> None:
        super().__init__(title, parent)
        self.setObjectName(name)
        self.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        bar = QWidget()
        bar.setObjectName("dockTitle")
        row = self._title_row = QHBoxLayout(bar)
        row.setContentsMargins(12, 8, 12, 6)
        heading = QLabel(title)
        heading.setObjectName("heading")
        self.subject = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        """What is open, in the room that the rest of the line leaves."""
        self.subject.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.detail = StillLabel()
        self.detail.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.detail.setObjectName("dim")
        row.addWidget(heading)
        row.addWidget(self.subject, 1)
        row.addSpacing(12)
        row.addWidget(self.detail)
        self.setTitleBarWidget(bar)
        self.setWidget(content)

    def add_tool(self, tool: QWidget) -> None:
        """A part of the title line, after its heading."""
        self._title_row.setContentsMargins(12, 3, 12, 2)
        self._title_row.insertSpacing(1, 12)
        self._title_row.insertWidget(2, tool)
        tool.show()


def _list_view(name: str) -> QListView:
    view = QListView()
    view.setAccessibleName(name)
    view.setUniformItemSizes(True)
    view.setMinimumHeight(_LEAST_PX)
    view.setMouseTracking(True)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    return view


class ObjectPanel(QWidget):
    """Accepted objects: select, refine by a double click, delete and change class by menu or key.

    Signals carry annotation ids (a ``frozenset``) or one id.
    """

    selection_changed = Signal(object)
    refine_wanted = Signal(object)
    delete_wanted = Signal(object)
    reclass_wanted = Signal(object, object)
    review_wanted = Signal(object, Review)
    note_wanted = Signal(object)
    hide_wanted = Signal(object)
    lock_wanted = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._categories: tuple[Category, ...] = ()
        self._is_writable = True
        self.model = ObjectModel(self)
        self.view = _list_view("Objects of this image")
        self.view.setMinimumHeight(OBJECT_ROW_HEIGHT_PX + 2)
        self.view.setModel(self.model)
        delegate = ObjectDelegate(theme, self.view)
        delegate.hide_wanted.connect(lambda row_id: self.hide_wanted.emit(frozenset({row_id})))
        delegate.lock_wanted.connect(lambda row_id: self.lock_wanted.emit(frozenset({row_id})))
        self.view.setItemDelegate(delegate)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self.view.doubleClicked.connect(self._on_double_click)
        self.view.customContextMenuRequested.connect(self._on_menu)
        self.opacity = OpacitySlider(self)
        self.opacity.hide()
        """For the title line of its dock."""
        self.hint = QLabel("Accepted objects appear here.")
        self.hint.setObjectName("dim")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.hint.setContentsMargins(12, 16, 12, 0)
        self.hint.setWordWrap(True)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.hint)
        box.addWidget(self.view, 1)

    def set_rows(
        self,
        rows: Sequence[Annotation],
        categories: Mapping[int, Category],
        *,
        spacing_mm: tuple[float, float] | None = None,
        is_writable: bool = True,
    ) -> None:
        """As :meth:`ObjectModel.set_rows`."""
        self._categories = tuple(categories.values())
        self._is_writable = is_writable
        selected = self.selected_ids()
        self.model.set_rows(rows, categories, spacing_mm)
        self.hint.setVisible(not rows)
        self.view.setVisible(bool(rows))
        if selected != self.selected_ids():
            self.select_ids(selected & {row.id for row in rows})

    @property
    def has_selection(self) -> bool:
        """Quicker than :meth:`selected_ids` with thousands of them."""
        return bool(self.view.selectionModel().hasSelection())

    def selected_ids(self) -> frozenset[int]:
        # By the stretches of the selection: Qt would ask for the flags of every one of thousands.
        selection: Iterable[QItemSelectionRange] = self.view.selectionModel().selection()  # type: ignore[assignment]
        rows, parts = self.model.rows, ((one.top(), one.bottom() + 1) for one in selection)
        return frozenset(row.id for top, end in parts for row in rows[top:end])

    def select_ids(self, ids: frozenset[int]) -> None:
        """Select exactly these objects and bring the last one into view."""
        if ids == self.selected_ids():
            return
        selection, places = QItemSelection(), self.model.places_of(ids)
        for first, last in stretches(places):
            selection.select(self.model.index(first), self.model.index(last))
        self.view.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if places:
            self.view.scrollTo(self.model.index(places[-1]))

    def _on_selection(self) -> None:
        self.selection_changed.emit(self.selected_ids())

    def _on_double_click(self, index: QModelIndex) -> None:
        self.refine_wanted.emit(index.data(ROW_ROLE).id)

    def _on_menu(self, at: QPoint) -> None:
        menu = self.make_menu(self.selected_ids())
        if menu is not None:
            menu.popup(self.view.viewport().mapToGlobal(at))

    def make_menu(self, ids: frozenset[int], parent: QWidget | None = None) -> QMenu | None:
        """The context menu for these objects; none when nothing can be done."""
        if not ids or not self._is_writable:
            return None
        tokens = self._theme.tokens
        menu = QMenu(parent or self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if len(ids) == 1:
            refine = menu.addAction(icon("edit", tokens), "Refine with clicks")
            refine.triggered.connect(lambda: self.refine_wanted.emit(next(iter(ids))))
        classes = menu.addMenu(icon("tag", tokens), "Change class")
        for category in self._categories:
            name = menu_text(category.name)
            label = f"{name}\t{category.key}" if category.key else name
            action = classes.addAction(class_icon(category), label)
            action.triggered.connect(lambda _=False, cid=category.id: self.reclass_wanted.emit(ids, cid))
        menu.addSeparator()
        rows = [row for row in self.model.rows if row.id in ids]
        for text, review in (("Approved", Review.APPROVED), ("Needs rework", Review.REWORK)):
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(all(row.review is review for row in rows))
            action.triggered.connect(lambda _=False, said=review: self.review_wanted.emit(ids, said))
        menu.addAction("Note…").triggered.connect(lambda: self.note_wanted.emit(ids))
        menu.addSeparator()
        text = "Delete object" if len(ids) == 1 else f"Delete {counted(len(ids), 'object')}"
        menu.addAction(icon("delete", tokens), text).triggered.connect(lambda: self.delete_wanted.emit(ids))
        return menu


class ClassPanel(QWidget):
    """Classes: click to use, double click to rename, buttons to add, recolour and delete.

    Signals carry category ids; ``add_wanted`` asks for a new class, whose name is edited in place.
    """

    picked = Signal(object)
    add_wanted = Signal()
    rename_wanted = Signal(object, str)
    colour_wanted = Signal(object, str)
    delete_wanted = Signal(object)
    merge_wanted = Signal(object, object)
    """(the class that goes, the one that gets its objects)"""
    move_wanted = Signal(int, int)
    """(class, so many places further down)"""
    key_wanted = Signal(int, int)
    """(class, the number key that is to pick it; 0 for none)"""
    details_wanted = Signal(int, str, str)
    """(class, its supercategory, its description)"""
    delete_unused_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self.model = ClassModel(self)
        self.model.rename_wanted.connect(self.rename_wanted)
        self.view = _list_view("Classes")
        self.view.setModel(self.model)
        self.view.setItemDelegate(ClassDelegate(theme, self.view))
        self.view.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.view.clicked.connect(lambda index: self.picked.emit(index.data(ROW_ROLE).id))
        self.view.activated.connect(lambda index: self.picked.emit(index.data(ROW_ROLE).id))  # Enter
        self.view.customContextMenuRequested.connect(self._on_menu)
        self.view.selectionModel().currentChanged.connect(lambda *_: self._update_buttons())
        self._buttons: dict[str, QToolButton] = {}
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.view, 1)
        box.addLayout(self._make_buttons())
        theme.subscribe(self._retint)

    def _make_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(8, 4, 8, 8)
        row.setSpacing(4)
        for name, title, handler in (
            ("add", "Add a class", self.add_wanted.emit),
            ("edit", "Rename the class", self._rename_current),
            ("tag", "Change the class's colour", self.recolour_current),
            ("delete", "Delete the class (only when no object has it)", self._delete_current),
        ):
            button = QToolButton()
            button.setObjectName("flat")
            button.setIconSize(QSize(18, 18))
            button.setToolTip(title)
            button.setAccessibleName(title)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(handler)
            self._buttons[name] = button
            row.addWidget(button)
        row.addStretch(1)
        return row

    def set_rows(
        self, rows: Sequence[Category], counts: Mapping[int, int], *, current: int, is_writable: bool = True
    ) -> None:
        self.model.is_editable = is_writable
        before = self.model.current
        self.model.set_rows(rows, counts, current)
        at = next((i for i, row in enumerate(rows) if row.id == current), -1)
        # A mask that arrives while a name is typed must not take the editor away.
        is_editing = self.view.state() == QAbstractItemView.State.EditingState
        if at >= 0 and (current != before or not self.view.currentIndex().isValid()) and not is_editing:
            self.view.setCurrentIndex(self.model.index(at))
        self._update_buttons()

    def edit_name(self, category_id: int) -> None:
        """Open the editor of a class's name."""
        for at, row in enumerate(self.model.rows):
            if row.id == category_id:
                self.view.setFocus()
                self.view.setCurrentIndex(self.model.index(at))
                self.view.edit(self.model.index(at))

    def _current(self) -> Category | None:
        index = self.view.currentIndex()
        return index.data(ROW_ROLE) if index.isValid() else None

    def _update_buttons(self) -> None:
        category, is_writable = self._current(), self.model.is_editable
        self._buttons["add"].setEnabled(is_writable)
        for name in ("edit", "tag"):
            self._buttons[name].setEnabled(is_writable and category is not None)
        unused = category is not None and self.model.count(category.id) == 0 and len(self.model.rows) > 1
        self._buttons["delete"].setEnabled(is_writable and unused)

    def _rename_current(self) -> None:
        if (category := self._current()) is not None:
            self.edit_name(category.id)

    def recolour_current(self) -> None:
        """Choose another colour for the class that is marked."""
        category = self._current()
        if category is None:
            return
        dialog = QColorDialog(self)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog, True)
        dialog.setWindowTitle(title_text(f"Colour of {brief(category.name)}"))
        dialog.setCurrentColor(category.colour)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(lambda colour: self.colour_wanted.emit(category.id, colour.name()))
        dialog.open()

    def _delete_current(self) -> None:
        if (category := self._current()) is not None:
            self.delete_wanted.emit(category.id)

    def _on_menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if index.isValid():
            self.view.setCurrentIndex(index)
        menu = self.make_menu()
        if menu is not None:
            menu.popup(self.view.viewport().mapToGlobal(at))

    def make_menu(self) -> QMenu | None:
        """The context menu of the current class."""
        category = self._current()
        if category is None or not self.model.is_editable:
            return None
        return class_menu(self, category, self._theme.tokens, can_delete=self._buttons["delete"].isEnabled())

    def show_details(self, category: Category) -> ClassDetails:
        """Open the dialog for what a data set says of a class."""
        dialog = ClassDetails(category, self.window())
        dialog.written.connect(lambda *texts: self.details_wanted.emit(category.id, *texts))
        dialog.open()
        return dialog

    def _retint(self, tokens: Tokens) -> None:
        for name, button in self._buttons.items():
            button.setIcon(icon(name, tokens))
        self.view.viewport().update()
