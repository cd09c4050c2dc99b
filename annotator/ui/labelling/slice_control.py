"""Going through a series: the slider below the canvas, Alt and the wheel, playing, and from series to series."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from annotator.domain.media import Series
from annotator.domain.pace import Pace, nearest_speed
from annotator.domain.project import FINISHED, Change, ImageRecord
from annotator.domain.tracks.track import TrackMember
from annotator.ui.labelling.timeline_control import TimelineControl
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.series_rows import SPEED_ACTIONS
from annotator.ui.shell.slice_bar import Mark, Slices, TrackMark


class SliceControl(QObject):
    """One per window."""

    speed_chosen = Signal(float)
    """Times the normal one."""
    played = Signal(bool)
    """Whether it plays, from now on."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._bar = window.area.slices
        self._annotated: frozenset[int] = frozenset()
        """Slices of the shown series that have objects."""
        self._places: tuple[float, ...] = ()
        """Where its slices lie, in millimetres; empty until they are shown, and where nobody knows."""
        self._members: list[TrackMember] = []
        """Objects of tracks in it."""
        self._series: Series | None = None
        self._is_shown = False
        """Whether the slice that is wanted is on the canvas: playing waits for it."""
        self._pace = Pace()
        self.now_ms: Callable[[], float] = lambda: time.monotonic() * 1000
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.show_following)
        self._bar.set_action(window.actions_by_id["play_slices"])
        self._bar.set_speeds({speed: window.actions_by_id[name] for speed, name in SPEED_ACTIONS.items()})
        self.timeline = TimelineControl(self._bar.timeline, session, window.objects.selected_ids, self)
        for part in (self._bar.track, self._bar.timeline):
            part.moved.connect(self.go_to)
        window.canvas.slices_turned.connect(self.turn)
        session.opened.connect(self._forget)
        session.image_changed.connect(self._on_image)
        session.changed.connect(self._on_change)
        window.objects.selection_changed.connect(self._on_selection)

    @property
    def is_playing(self) -> bool:
        return self._timer.isActive()

    def go_to(self, position: int) -> None:
        """Show the slice at this place of the series, as far as it goes."""
        image = self._session.image
        if image is None or self._series is None:
            return
        slices = self._session.slices.slices_of(image)
        wanted = slices[min(max(position, 0), len(slices) - 1)]
        if wanted.id != image.id:
            self._session.go_to(wanted.id)

    def go_to_last(self) -> None:
        """Show the last slice of the series."""
        image = self._session.image
        if image is not None:
            self.go_to(len(self._session.slices.slices_of(image)) - 1)

    def turn(self, steps: int) -> None:
        """So many slices on, or back when negative; nothing beside a series."""
        image = self._session.image
        if image is not None:
            self.go_to(image.position + steps)

    def go_to_entry(self, step: int) -> None:
        """The next series or image (+1), or the one before (-1)."""
        image = self._session.image
        found = None if image is None else self._session.slices.entry(image, step)
        if found is not None:
            self._session.go_to(found.id)
        elif image is not None:
            which = "last" if step > 0 else "first"
            text = f"This is the {which} image or series{self._session.image_filter.clause}."
            self._window.notices.tell(text, about=Subject.IMAGE)

    def play(self, is_on: bool) -> None:
        """Show one slice after the other, from the last one on from the first."""
        if is_on and self._series is not None:
            self._pace.step_ms = self._series.step_ms
            self._start()
        else:
            self.stop()

    def choose_speed(self, speed: float) -> None:
        """The person wants this speed, times the normal one."""
        self.speed_chosen.emit(speed)

    def show_speed(self, speed: float) -> None:
        """Play at the nearest of the speeds that there are, from now on."""
        self._pace.speed = nearest_speed(speed)
        self._window.actions_by_id[SPEED_ACTIONS[self._pace.speed]].setChecked(True)
        self._bar.show_speed(self._pace.speed)
        if self.is_playing:
            self._start()

    def _start(self) -> None:
        self.timeline.frames.hold(True)
        self._pace.begin(self.now_ms())
        self.played.emit(True)
        self._timer.start(self._pace.tick_ms)

    def stop(self) -> None:
        self._timer.stop()
        self.played.emit(False)
        self.timeline.frames.hold(False)
        self._window.actions_by_id["play_slices"].setChecked(False)

    def show_following(self) -> None:
        """While it plays: the slice that is due, once the one before is to be seen."""
        image = self._session.image
        if image is None or self._series is None:
            self.stop()
        elif self._is_shown:
            count = len(self._session.slices.slices_of(image))
            self.go_to((image.position + self._pace.steps(self.now_ms())) % count)

    def on_picture(self, _image_id: int) -> None:
        """The canvas shows the image."""
        self._is_shown = True

    # --- what the bar shows -------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Another project: its series have the same numbers."""
        self.stop()
        self._series = None

    def _on_image(self, image: ImageRecord | None) -> None:
        series, self._is_shown = self._session.slices.series_of(image), False
        is_other = (series is None) != (self._series is None) or (
            series is not None and self._series is not None and series.id != self._series.id
        )
        self._series = series
        self.timeline.show_series(series, image)
        if is_other:
            self._places = ()
            self._read_annotated()
            self.stop()
        if is_other or image is None:
            self._show(image)
        elif series is not None:
            self._bar.show_position(image.position)  # a video has thousands of frames: marks are made when they change

    def _on_selection(self, _ids: object) -> None:
        if self._members:
            self._show(self._session.image)
        self.timeline.on_selection(self._members)

    def _on_change(self, change: Change) -> None:
        if self._series is not None:
            if change.annotation_ids:
                self._read_annotated()
            if change.name != "image facts":
                self._show(self._session.image)
            self.timeline.on_change(change)

    def _read_annotated(self) -> None:
        store = self._session.store
        if store is None or self._series is None:
            self._annotated, self._members = frozenset(), []
        else:
            self._annotated = store.slices.annotated(self._series.id)
            self._members = store.tracks.members(self._series.id)
        self.timeline.show_members(self._members)

    def _show(self, image: ImageRecord | None) -> None:
        if image is None or self._series is None:
            self._bar.show_slices(None)
            return
        series, slices = self._series, self._session.slices.slices_of(image)
        if len(self._places) != len(slices):
            self._places = _places_of(series, len(slices))
        marks = tuple(map(self._mark, slices))
        gaps = frozenset(at for at, _missing in series.gaps)
        shown = Slices(marks, gaps, self._places, ", ".join(series.notes), self._track_marks(len(slices)))
        self._bar.show_slices(shown, image.position)

    def _track_marks(self, count: int) -> tuple[TrackMark, ...]:
        """Of the selected objects' tracks, else of all."""
        if not self._members:
            return ()
        ids = self._window.objects.selected_ids()
        chosen = {row.track_id for row in self._session.annotations if row.id in ids and row.track_id}
        marks = [TrackMark.NONE] * count
        for one in self._members:
            if one.position < count and (not chosen or one.track_id in chosen):
                marks[one.position] = max(marks[one.position], _track_mark(one), key=lambda mark: mark.value)
        return tuple(marks)

    def _mark(self, image: ImageRecord) -> Mark:
        if image.status in FINISHED:
            return Mark.DONE
        return Mark.OBJECTS if image.id in self._annotated else Mark.NONE


def _places_of(series: Series, count: int) -> tuple[float, ...]:
    """In millimetres along the normal; empty where the files do not say."""
    step = series.step_mm
    return series.offsets_mm or (() if step is None else tuple(step * at for at in range(count)))


def _track_mark(member: TrackMember) -> TrackMark:
    if member.lost:
        return TrackMark.LOST
    if member.is_key:
        return TrackMark.KEY
    return TrackMark.DOUBTFUL if member.is_doubtful else TrackMark.FOUND
