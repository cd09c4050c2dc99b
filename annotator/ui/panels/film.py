"""The film strip: the folder's images as thumbnails, with their state, at the window's bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QPixmap, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QVBoxLayout, QWidget

from annotator.domain.image_filter import ImageFilter
from annotator.domain.media import Series
from annotator.domain.project import ImageRecord
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import Theme, Tokens
from annotator.ui.panels.delegates import SMALL_THUMB_PX, THUMB_PX, FilmDelegate
from annotator.ui.panels.film_filter import FilmFilter
from annotator.ui.panels.image_model import ImageModel, Known
from annotator.ui.panels.list_models import ROW_ROLE, Index

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

    picked = Signal(object)
    filtered = Signal(ImageFilter)
    """Other images are shown than before."""

    def __init__(self, theme: Theme, ask: Callable[[ImageRecord], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model = ImageModel(ask, self)
        self._is_current_wanted = False
        """Whether the image that is open has yet to come into view."""
        self.filter = FilmFilter(self)
        self.filter.hide()  # until it has its place
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
        box.addStretch(1)  # a panel beside it may be higher
        self.filter.changed.connect(self._apply_filter)
        for changed in (self.model.modelReset, self.model.rowsInserted, self.model.rowsRemoved):
            changed.connect(self._show_current)
        theme.subscribe(self._repaint)

    def fit(self, window_height_px: int) -> bool:
        """Smaller thumbnails in a low window: the image that is labelled needs the room. Whether they changed."""
        thumb_px = SMALL_THUMB_PX if window_height_px < SMALL_BELOW_PX else THUMB_PX
        if thumb_px == self._delegate.thumb_px:
            return False
        self._delegate.thumb_px = thumb_px
        self._size_tiles()
        self.view.scheduleDelayedItemsLayout()
        return True

    def _size_tiles(self) -> None:
        tile = self._delegate.tile
        self.view.setFixedHeight(tile.height() + 12)
        self.view.setIconSize(tile)

    def set_rows(
        self,
        images: Sequence[ImageRecord],
        series: Mapping[int, Series] | None = None,
        known: Known | None = None,
    ) -> None:
        """As :meth:`ImageModel.set_rows`."""
        self.filter.reset()
        self.model.set_rows(images, series or {}, known)

    def set_current(self, image_id: int) -> None:
        """Mark an image as the one that is open and keep it in view."""
        if self.model.place_of(image_id) >= 0:
            self.model.set_current(image_id)
            self._show_current()

    def _show_current(self) -> None:
        row = self.model.row_of(self.model.current_id)
        if row >= 0:
            index = self.model.index(row)
            self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
        self._is_current_wanted = row >= 0
        self._show_wanted()

    def _show_wanted(self) -> None:
        """Scroll to the image that is open, as soon as its tile has a place; what comes next is in view, too."""
        index = self.model.index(self.model.row_of(self.model.current_id))
        if not self._is_current_wanted or not self.view.visualRect(index).isValid():
            return
        if not self._is_in_middle(index):
            self.view.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
        bar, last = self.view.horizontalScrollBar(), self.model.index(self.model.rowCount() - 1)
        # At the end of a batch the tiles that follow have no place yet.
        is_whole = bar.value() < bar.maximum() or self.view.visualRect(last).isValid()
        self._is_current_wanted = not (is_whole or self._is_in_middle(index))

    def _is_in_middle(self, index: QModelIndex) -> bool:
        third = self.view.viewport().width() / 3
        return third <= self.view.visualRect(index).center().x() <= 2 * third

    def set_thumbnail(self, image_id: int, pixmap: QPixmap) -> None:
        self.model.set_pixmap(image_id, pixmap)

    def set_unreadable(self, image_id: int, reason: str) -> None:
        """There is no thumbnail; the tool tip says why."""
        self.model.set_unreadable(image_id, reason)

    def progress_text(self) -> str:
        """Which image of how many is open, how many the filter leaves, how many are done."""
        total = grouped(len(self.model.images))
        parts = [f"{grouped(self.model.finished_count())} of {total} done"]
        if self.model.filter.is_set:
            parts.insert(0, f"{grouped(self.model.rowCount())} shown")
        place = self.model.place_of(self.model.current_id)
        if place >= 0:
            parts.insert(0, f"{grouped(place + 1)} / {total}")
        return "  ·  ".join(parts)

    def _apply_filter(self, wanted: ImageFilter) -> None:
        if wanted != self.model.filter:
            self.model.set_filter(wanted)
            self.filtered.emit(wanted)

    def _on_click(self, index: QModelIndex) -> None:
        self.picked.emit(index.data(ROW_ROLE).id)

    def _repaint(self, _tokens: Tokens) -> None:
        self.view.viewport().update()
