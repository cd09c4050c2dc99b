"""The film strip: the folder's images as thumbnails, with their state, at the window's bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QPixmap, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QVBoxLayout, QWidget

from annotator.domain.project import ImageRecord
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import Theme, Tokens
from annotator.ui.panels.delegates import SMALL_THUMB_PX, THUMB_PX, FilmDelegate
from annotator.ui.panels.film_filter import FilmFilter, ImageFilter
from annotator.ui.panels.list_models import ROW_ROLE, ImageModel, Index

_BATCH = 200
"""Tiles that are laid out at once."""
SMALL_BELOW_PX = 620
"""Height of the window."""


class _Strip(QListView):
    """A horizontal list of equal tiles that an ordinary wheel scrolls sideways."""

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        # Past QListView's own, which lays out every tile again: longer than a frame with ten thousand of them.
        QAbstractItemView.dataChanged(self, first, last, list(roles))

    def wheelEvent(self, event: QWheelEvent) -> None:
        turn = event.angleDelta()
        if turn.y() and not turn.x():
            bar = self.horizontalScrollBar()
            bar.setValue(bar.value() - turn.y())
            event.accept()
            return
        super().wheelEvent(event)


class FilmStrip(QWidget):
    """Thumbnails; a click, or Enter, goes to an image. ``filter`` is for the title line of the panel.

    Args:
        ask: called when a thumbnail is needed; answer with :meth:`set_thumbnail`.
    """

    picked = Signal(int)
    filtered = Signal()
    """Other images are shown than before."""

    def __init__(self, theme: Theme, ask: Callable[[ImageRecord], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ImageModel(ask, self)
        self._wanted_row = -1
        self.filter = FilmFilter(self)
        self.filter.hide()  # until it has its place
        self._shown_filter = ImageFilter()
        self._hidden: set[int] = set()
        """Rows that the filter leaves out."""
        self.view = _Strip()
        view = self.view
        view.setObjectName("film")
        view.setAccessibleName("Images of the folder")
        view.setModel(self.model)
        self._delegate = FilmDelegate(theme, view)
        view.setItemDelegate(self._delegate)
        view.setFlow(QListView.Flow.LeftToRight)
        view.setWrapping(False)
        view.setUniformItemSizes(True)
        # Tile by tile Qt asks the model: a hundred thousand of them in one go would take seconds.
        view.setLayoutMode(QListView.LayoutMode.Batched)
        view.setBatchSize(_BATCH)
        view.horizontalScrollBar().rangeChanged.connect(self._show_wanted)
        view.setMouseTracking(True)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._size_tiles()
        # Marked is the image that is shown; arrow keys only move the frame of the focus, and Enter goes there.
        view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        view.clicked.connect(self._on_click)
        view.activated.connect(self._on_click)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(view)
        self.filter.changed.connect(self._apply_filter)
        self.model.dataChanged.connect(self._on_data)
        theme.subscribe(self._repaint)

    def fit(self, window_height_px: int) -> None:
        """Smaller thumbnails in a low window: the image that is labelled needs the room."""
        thumb_px = SMALL_THUMB_PX if window_height_px < SMALL_BELOW_PX else THUMB_PX
        if thumb_px != self._delegate.thumb_px:
            self._delegate.thumb_px = thumb_px
            self._size_tiles()
            self.view.scheduleDelayedItemsLayout()

    def _size_tiles(self) -> None:
        tile = self._delegate.tile
        self.view.setFixedHeight(tile.height() + 12)
        self.view.setIconSize(tile)

    def set_rows(self, rows: Sequence[ImageRecord]) -> None:
        self.filter.reset()
        self._hidden.clear()
        self.model.set_rows(rows)

    def set_current(self, image_id: int) -> None:
        """Mark an image as the one shown and keep it in view."""
        row = self.model.row_of(image_id)
        if row < 0:
            return
        index, before = self.model.index(row), self.model.current_row
        self.model.set_current(image_id)
        for at in {before, row} - {-1}:
            self._show_row(at)
        self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
        self._wanted_row = row
        self._show_wanted()

    def _show_wanted(self) -> None:
        """Scroll to the image that is shown, as soon as its tile has a place; what comes next is in view, too."""
        row = self._wanted_row
        if not 0 <= row < len(self.model.rows) or not self.view.visualRect(self.model.index(row)).isValid():
            return
        if not self._is_in_middle(row):
            self.view.scrollTo(self.model.index(row), QAbstractItemView.ScrollHint.PositionAtCenter)
        bar, last = self.view.horizontalScrollBar(), self.model.index(len(self.model.rows) - 1)
        # At the end of a batch the tiles that follow have no place yet.
        is_whole = bar.value() < bar.maximum() or self.view.visualRect(last).isValid()
        if is_whole or self._is_in_middle(row):
            self._wanted_row = -1

    def _is_in_middle(self, row: int) -> bool:
        third = self.view.viewport().width() / 3
        return third <= self.view.visualRect(self.model.index(row)).center().x() <= 2 * third

    def set_thumbnail(self, image_id: int, pixmap: QPixmap) -> None:
        self.model.set_pixmap(image_id, pixmap)

    def progress_text(self) -> str:
        """Which image of how many is shown, how many the filter leaves, how many are done."""
        total = grouped(len(self.model.rows))
        parts = [f"{grouped(self.model.finished_count())} of {total} done"]
        if self._hidden:
            parts.insert(0, f"{grouped(len(self.model.rows) - len(self._hidden))} shown")
        if self.model.current_row >= 0:
            parts.insert(0, f"{grouped(self.model.current_row + 1)} / {total}")
        return "  ·  ".join(parts)

    def _apply_filter(self, wanted: ImageFilter) -> None:
        self._shown_filter = wanted
        for row in range(len(self.model.rows)):
            self._show_row(row)
        self.filtered.emit()

    def _on_data(self, first: QModelIndex, last: QModelIndex, roles: list[int]) -> None:
        """A status may have changed; a picture or the mark of the current image changes no filter."""
        if not roles and self._shown_filter != ImageFilter():
            for row in range(first.row(), last.row() + 1):
                self._show_row(row)

    def _show_row(self, row: int) -> None:
        """The image that is open is always there."""
        is_hidden = row != self.model.current_row and not self._shown_filter.shows(self.model.rows[row])
        if is_hidden != (row in self._hidden):
            (self._hidden.add if is_hidden else self._hidden.discard)(row)
            self.view.setRowHidden(row, is_hidden)

    def _on_click(self, index: QModelIndex) -> None:
        self.picked.emit(index.data(ROW_ROLE).id)

    def _repaint(self, _tokens: Tokens) -> None:
        self.view.viewport().update()
