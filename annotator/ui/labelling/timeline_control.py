"""What the timeline of a series shows: pictures of a few slices, and all tracks; it follows what is labelled."""

from __future__ import annotations

from collections.abc import Callable, Collection

from PySide6.QtCore import QObject, QThreadPool, QTimer, Signal, Slot
from PySide6.QtGui import QPixmap

from annotator.domain.errors import ProjectError
from annotator.domain.media import Series
from annotator.domain.project import Change, ImageRecord
from annotator.domain.tracks.bars import TrackBar, bars_of, coarse, row_count
from annotator.domain.tracks.track import TrackMember
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.timeline import Line, Timeline
from annotator.ui.threads.loading import PoolJob
from annotator.ui.threads.small_frames import FramePlace, SmallFrames

_PATIENCE_MS = 150
"""While the window is drawn larger nothing is read."""


class TimelineControl(QObject):
    """One per window.

    Args:
        selected: ids of the selected objects.
    """

    _arrived = Signal(int, object, object)

    def __init__(
        self, timeline: Timeline, session: ProjectSession, selected: Callable[[], Collection[int]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._timeline, self._session, self._selected = timeline, session, selected
        self.frames = SmallFrames(self)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._generation = 0
        self._is_on = True
        self._series: Series | None = None
        self._slices: list[ImageRecord] = []
        self._bars: tuple[TrackBar, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._timer.timeout.connect(self._read_pictures)
        timeline.picture_at = self._picture
        timeline.places_changed.connect(self._timer.start)
        self.frames.ready.connect(lambda _id: timeline.refresh())
        self._arrived.connect(self._on_bars)
        session.opened.connect(self._forget)

    def switch(self, is_on: bool) -> None:
        """Whether it is shown beside a series."""
        self._is_on = is_on
        self._show()

    def show_series(self, series: Series | None, image: ImageRecord | None) -> None:
        """The series of the image that is shown; None for an image that is no slice."""
        self._series = series
        slices = [] if series is None or image is None else self._session.slices.slices_of(image)
        if [one.id for one in slices[:1]] != [one.id for one in self._slices[:1]] or len(slices) != len(self._slices):
            self._slices, self._bars = slices, ()
            self._timer.start()
        self._show()
        if image is not None:
            self._timeline.show_position(image.position)

    def show_members(self, members: list[TrackMember]) -> None:
        """Other tracks than before: bars are made of them on a thread, for they may be thousands."""
        self._generation += 1
        generation, count = self._generation, len(self._slices)
        first = self._chosen() if self._timeline.rows_shown < row_count(self._bars) else frozenset()

        def work() -> tuple[TrackBar, ...]:
            return coarse(bars_of(members, first), count)

        self._pool.clear()
        self._pool.start(PoolJob(work, lambda bars, error: self._arrived.emit(generation, bars, error)))

    def on_selection(self, members: list[TrackMember]) -> None:
        """The tracks of selected objects stand out, and come first where there is no room for all."""
        if self._timeline.rows_shown < row_count(self._bars):
            self.show_members(members)
        else:
            self._show()

    def on_change(self, change: Change) -> None:
        """Classes may have other colours."""
        if change.category_ids:
            self._show()

    def shut_down(self) -> None:
        self._generation += 1
        self._timer.stop()
        self._pool.clear()
        self._pool.waitForDone(5000)
        self.frames.shut_down()

    def _forget(self) -> None:
        self._slices, self._bars = [], ()
        self._generation += 1
        self.frames.forget()

    def _chosen(self) -> frozenset[int]:
        ids = self._selected()
        return frozenset(row.track_id for row in self._session.annotations if row.id in ids and row.track_id)

    @Slot(int, object, object)
    def _on_bars(self, generation: int, bars: object, error: object) -> None:
        if generation != self._generation:
            return
        if isinstance(error, Exception):
            raise error
        if isinstance(bars, tuple):
            self._bars = bars
            self._show()

    def _show(self) -> None:
        is_shown = self._series is not None and self._is_on and bool(self._slices)
        if is_shown:
            first = self._slices[0]
            colours = tuple((one.id, one.colour) for one in self._session.categories.values())
            size_wh = (first.width or 4, first.height or 3)
            self._timeline.show_line(Line(len(self._slices), size_wh, self._bars, colours, self._chosen()))
        if is_shown == self._timeline.isHidden():
            self._timeline.setVisible(is_shown)
            self._timer.start()

    def _picture(self, position: int) -> QPixmap | None:
        return self.frames.picture(self._slices[position].id) if position < len(self._slices) else None

    def _read_pictures(self) -> None:
        if self._series is None or not self._is_on or not self._slices:
            self.frames.want(())
            return
        places = []
        for position in self._timeline.places():
            image = self._slices[min(position, len(self._slices) - 1)]
            try:
                places.append(FramePlace(image.id, self._session.image_path(image), image.frame))
            except ProjectError:
                return  # what is to be done is said above the canvas
        self.frames.want(places)
        self._timeline.refresh()
