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
    """Thumbnails; a click, or Enter, goes to an image.

    Args:
        ask: called when a thumbnail is needed; answer with :meth:`set_thumbnail`.
    """

    picked = Signal(int)

    def __init__(self, theme: Theme, ask: Callable[[ImageRecord], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ImageModel(ask, self)
        self._wanted_row = -1
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
        self.model.set_rows(rows)

    def set_current(self, image_id: int) -> None:
        """Mark an image as the one shown and keep it in view."""
        row = self.model.row_of(image_id)
        if row < 0:
            return
        index = self.model.index(row)
        self.model.set_current(image_id)
        self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
        self._wanted_row = row
        self._show_wanted()

    def _show_wanted(self) -> None:
        """Scroll to the image that is shown, as soon as its tile has a place."""
        row = self._wanted_row
        if 0 <= row < len(self.model.rows) and self.view.visualRect(self.model.index(row)).isValid():
            self._wanted_row = -1
            self.view.scrollTo(self.model.index(row), QAbstractItemView.ScrollHint.EnsureVisible)

    def set_thumbnail(self, image_id: int, pixmap: QPixmap) -> None:
        self.model.set_pixmap(image_id, pixmap)

    def progress_text(self) -> str:
        return f"{grouped(self.model.finished_count())} of {grouped(len(self.model.rows))} done"

    def _on_click(self, index: QModelIndex) -> None:
        self.picked.emit(index.data(ROW_ROLE).id)

    def _repaint(self, _tokens: Tokens) -> None:
        self.view.viewport().update()
