"""The Similar panel: objects of the project as pictures, the most alike, or the most suspect, first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QIcon, QImage, QKeyEvent, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QLabel, QListView, QPushButton, QVBoxLayout, QWidget

from annotator.ui.panels.list_models import ROW_ROLE, Index

THUMB_PX = 72
_LEAST_PX = 32
"""Of the pictures, so that the buttons below them are seen in a low window, too."""
_HINT = "Objects that look like the selected one, in all images. Nothing is sent anywhere."
_ROOT = QModelIndex()
_ROLE = Qt.ItemDataRole


@dataclass(frozen=True, slots=True)
class SimilarRow:
    """An object as it is listed, or an image (``annotation_id`` is 0); ``text`` stands below its picture, ``tip`` says
    more."""

    annotation_id: int
    image_id: int
    text: str
    tip: str

    @property
    def key(self) -> int:
        """What its picture is found by: an object's id, or less than 0."""
        return self.annotation_id or -self.image_id


class SimilarModel(QAbstractListModel):
    """Rows with pictures that arrive later."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: tuple[SimilarRow, ...] = ()
        self._pictures: dict[int, QPixmap] = {}
        self._blank = QPixmap(THUMB_PX, THUMB_PX)
        self._blank.fill(Qt.GlobalColor.transparent)

    def set_rows(self, rows: Sequence[SimilarRow]) -> None:
        self.beginResetModel()
        self.rows, self._pictures = tuple(rows), {}
        self.endResetModel()

    def set_picture(self, key: int, picture: QImage) -> None:
        """It has been cut out."""
        self._pictures[key] = QPixmap.fromImage(picture)
        for at, row in enumerate(self.rows):
            if row.key == key:
                self.dataChanged.emit(self.index(at), self.index(at), [int(_ROLE.DecorationRole)])

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> object:
        row = self.rows[index.row()]
        if role == _ROLE.DisplayRole:
            return row.text
        if role == _ROLE.DecorationRole:
            return QIcon(self._pictures.get(row.key, self._blank))
        if role in (_ROLE.ToolTipRole, _ROLE.AccessibleTextRole):
            return row.tip
        return row if role == ROW_ROLE else None


class _Grid(QListView):
    """Enter goes to an object, a digit gives the marked ones a class."""

    digit = Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        text = event.text()
        if event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier) and text in tuple(
            "123456789"
        ):
            self.digit.emit(int(text))
            event.accept()
        else:
            super().keyPressEvent(event)


class SimilarPanel(QWidget):
    """Pictures in a grid. A double click, or Enter, goes to the object; several can be marked."""

    picked = Signal(object)
    """SimilarRow: it is to be shown"""
    digit = Signal(int)
    """The marked ones are to have the class of this key"""
    find_wanted = Signal()
    suspects_wanted = Signal()
    copies_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model = SimilarModel(self)
        self.stands = QLabel(_HINT)
        self.stands.setObjectName("dim")
        self.stands.setWordWrap(True)
        self.view = _Grid()
        self.view.setMinimumHeight(_LEAST_PX)
        self.view.setModel(self.model)
        self.view.setAccessibleName("Similar objects")
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setIconSize(QSize(THUMB_PX, THUMB_PX))
        self.view.setGridSize(QSize(THUMB_PX + 16, THUMB_PX + 30))
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.view.activated.connect(self._on_activated)
        self.view.digit.connect(self.digit)
        self.find_button = self._button("Find similar", self.find_wanted)
        self.suspects_button = self._button("Unlike their class", self.suspects_wanted)
        self.copies_button = self._button("Near copies", self.copies_wanted)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 4, 12, 8)
        box.setSpacing(6)
        box.addWidget(self.stands)
        box.addWidget(self.view, 1)
        line = QHBoxLayout()
        line.setSpacing(6)
        for button in self._buttons:
            line.addWidget(button)
        box.addLayout(line)
        self.set_allowed(False)

    def show_rows(self, text: str, rows: Sequence[SimilarRow]) -> None:
        """Other objects; ``text`` says what they are."""
        self.stands.setText(text or _HINT)
        self.model.set_rows(rows)
        if rows:
            self.view.setCurrentIndex(self.model.index(0))

    def set_allowed(self, has_project: bool) -> None:
        for button in self._buttons:
            button.setEnabled(has_project)

    def go(self, step: int) -> SimilarRow | None:
        """The next row (+1), or the one before, becomes the current one; None at the ends."""
        if not self.model.rows:
            return None
        now = self.view.currentIndex().row()
        wanted = now + step
        if not 0 <= wanted < len(self.model.rows):
            return None
        self.view.setCurrentIndex(self.model.index(wanted))
        return self.model.rows[wanted]

    @property
    def current(self) -> SimilarRow | None:
        at = self.view.currentIndex().row()
        return self.model.rows[at] if 0 <= at < len(self.model.rows) else None

    def marked(self) -> list[SimilarRow]:
        """Those that are selected."""
        return [self.model.rows[index.row()] for index in self.view.selectedIndexes()]

    def set_pictures(self, pictures: Mapping[int, QImage]) -> None:
        for key, picture in pictures.items():
            self.model.set_picture(key, picture)

    @property
    def _buttons(self) -> tuple[QPushButton, ...]:
        return self.find_button, self.suspects_button, self.copies_button

    def _button(self, text: str, signal: SignalInstance) -> QPushButton:
        button = QPushButton(text)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _=False: signal.emit())
        return button

    def _on_activated(self, index: QModelIndex) -> None:
        self.picked.emit(self.model.rows[index.row()])
