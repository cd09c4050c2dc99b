"""Carrying objects through the series that is shown: what is carried where, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.domain.media import Series, SeriesKind
from annotator.domain.project import Annotation, ImageRecord, Status
from annotator.domain.tracks.plan import RECORD_KEY, Limits, Pass, RunRecord, passes_between, passes_from
from annotator.domain.tracks.run import PATIENCE, VIDEO_PATIENCE
from annotator.domain.tracks.track import INTERPOLATED, PROPAGATED, Direction, Track, TrackMember, tracks_of
from annotator.ui.labelling.carry_writer import CarryWriter
from annotator.ui.labelling.carrying import Carrying, CarryReport
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController, utc_now
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.frame_reader import FrameReader
from annotator.ui.threads.loading import ImageLoader
from annotator.ui.threads.worker import EngineClient

_TOPIC = f"{Subject.PROJECT}/tracks"
_WAYS: dict[str, tuple[Direction, ...]] = {"forward": (1,), "backward": (-1,), "both": (1, -1)}
_NAMED = 3


class Tracks(QObject):
    """One per window."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        refine: RefineController,
        client: EngineClient,
        loader: ImageLoader,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._refine, self._client = window, session, refine, client
        self._objects, self._notices = window.objects, window.notices
        self._reader = FrameReader(loader, self)
        self.carrying = Carrying(session, client, self._reader, window.jobs, parent=self)
        self._limits: dict[int, tuple[int | None, int | None]] = {}
        """First and last position that may be written, by series."""
        self._runs = 0
        self.carrying.ended.connect(self._tell_end)
        session.opened.connect(self._on_opened)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def carry(self, way: str, reach: int | None = None) -> None:
        """Carry the selected objects, else all of this image, from here: "forward", "backward" or "both".

        Args:
            reach: so many frames at most.
        """
        self._carry(way, reach, crosses_gaps=False)

    def set_limit(self, which: str) -> None:
        """The slice that is shown is the "first" or "last" one that runs may write; the same again takes that back."""
        image = self._session.image
        series = self._session.slices.series_of(image)
        if image is None or series is None:
            return
        at = 0 if which == "first" else 1
        now = list(self._limits.get(series.id, (None, None)))
        now[at] = None if now[at] == image.position else image.position
        self._limits[series.id] = (now[0], now[1])
        ends = [f"from {now[0] + 1}" if now[0] is not None else "", f"to {now[1] + 1}" if now[1] is not None else ""]
        self._tell(f"Objects are carried {' '.join(filter(None, ends)) or 'through the whole series'}.")

    def fill(self) -> None:
        """Carry the selected objects, else all of the series, between the key frames to both sides of here."""
        found = self._startable()
        if found is None:
            return
        image, series = found
        tracks = self._tracks(series)
        chosen = {row.track_id for row in self._chosen() if row.track_id} or set(tracks)
        passes = passes_between((tracks[one] for one in chosen if one in tracks), image.position)
        if not passes:
            self._tell("There are no two key frames with frames between them round here.")
            return
        self._begin(f"fill {self._names(tracks, passes)} between key frames", series, passes, INTERPOLATED, [])

    def _carry(self, way: str, reach: int | None, *, crosses_gaps: bool) -> None:
        found = self._startable()
        if found is None:
            return
        image, series = found
        rows = [row for row in self._chosen() if row.id not in self._session.locked]
        if not rows:
            self._tell("There is no key frame here: accept a mask first.")
            return
        known = self._tracks(series)
        starting = {row.track_id or -row.id: row for row in rows}
        tracks = [self._with(known.get(number), number, row, image) for number, row in starting.items()]
        limits = self._allowed(series, image, crosses_gaps=crosses_gaps)
        passes = passes_from(tracks, image.position, _WAYS[way], limits, reach=reach)
        if not passes:
            self._tell_nothing(image, series, way, limits)
            return
        title = f"carry {self._class_names(rows)} {'to both sides' if way == 'both' else way}"
        self._begin(title, series, passes, PROPAGATED, rows)

    def _begin(
        self, title: str, series: Series, passes: Sequence[Pass], origin: str, starting: Sequence[Annotation]
    ) -> None:
        image, store = self._session.image, self._session.store
        if image is None or store is None:
            return
        self._notices.withdraw(_TOPIC)
        self._runs += 1
        record = RunRecord(f"{utc_now()} {self._runs}", series.id, title, origin, tuple(passes))
        slices = self._session.slices.slices_of(image)
        likes = {row.track_id: row for row in starting if row.track_id}
        writer = CarryWriter(self._session, record, likes, slices)
        if not writer.begin(starting, passes[0].direction):
            return
        # Those of no track have one now: the legs that were planned for them are renamed.
        named = {-row.id: store.annotation(row.id).track_id for row in starting}
        writer.record = record = _renamed(writer.record, named)
        writer.remember(record.passes)
        self._start(writer, series, slices)

    def _start(self, writer: CarryWriter, series: Series, slices: Sequence[ImageRecord]) -> None:
        store = self._session.store
        if store is None:
            return
        for track_id, track in self._tracks(series).items():
            nearest = next(iter(track.keys), min(track.members))
            writer.likes.setdefault(track_id, store.annotation(track.members[nearest].annotation_id))

        def mask_at(track_id: int, position: int) -> Mask | None:
            track = self._tracks(series).get(track_id)
            member = None if track is None else track.members.get(position)
            return None if member is None else store.annotation(member.annotation_id).mask()

        patience = VIDEO_PATIENCE if series.kind is SeriesKind.FOLDER else PATIENCE
        self.carrying.begin(writer, slices, mask_at=mask_at, patience=patience)
        self._tell(f"{writer.record.title[0].upper()}{writer.record.title[1:]} …")

    def _startable(self) -> tuple[ImageRecord, Series] | None:
        image = self._session.image
        series = self._session.slices.series_of(image)
        if image is None or series is None or not self._session.is_writable:
            self._tell("This image is no part of a series: there is nothing to carry it to.")
        elif self.carrying.is_running:
            self._tell("Objects are being carried already: Esc ends that.")
        elif self._refine.state.is_active:
            self._tell("Accept or drop the current object first.")
        elif not self._client.can_answer:
            self._tell("There is no model to carry with: choose one in the Model menu.")
        else:
            return image, series
        return None

    def _allowed(self, series: Series, image: ImageRecord, *, crosses_gaps: bool) -> Limits:
        slices = self._session.slices.slices_of(image)
        first, last = self._limits.get(series.id, (None, None))
        blocked = frozenset(one.position for one in slices if one.status is Status.EMPTY)
        gaps = frozenset(at for at, _count in series.gaps)
        end = len(slices) - 1
        return Limits(0 if first is None else first, end if last is None else last, blocked, gaps, crosses_gaps)

    def _tell_nothing(self, image: ImageRecord, series: Series, way: str, limits: Limits) -> None:
        """Why a run from here would write nothing."""
        is_at_gap = any(limits.end(image.position, direction) == image.position for direction in _WAYS[way])
        counts = dict(series.gaps)
        missing = counts.get(image.position, counts.get(image.position - 1, 0))
        if is_at_gap and missing and not limits.crosses_gaps:
            text = f"{counted(missing, 'slice')} are missing in the series here, so nothing is carried on by itself."
            action = ("Cross it", lambda: self._carry(way, None, crosses_gaps=True))
            self._notices.offer(text, about=_TOPIC, action=action)
        else:
            self._tell("There is nothing to carry to: a key frame, an empty image or the end follows at once.")

    # --- how it went --------------------------------------------------------------------------------------------------

    def stop(self) -> bool:
        """End a run; False when none is going on."""
        return self.carrying.stop()

    def _tell_end(self, report: CarryReport) -> None:
        self._objects.view.viewport().update()
        image = self._session.image
        lines = [f"{counted(report.written, 'mask')} carried."]
        if report.problem:
            lines.append(report.problem)
        elif report.was_stopped:
            lines.append("Stopped: the same key goes on from the last frame.")
        if report.unreadable:
            lines.append(f"{counted(len(report.unreadable), 'frame')} could not be read and are left out.")
        if report.note and not report.lost:
            lines.append(report.note)
        if image is None or not report.lost:
            self._tell(" ".join(lines))
            return
        slices = self._session.slices.slices_of(image)
        ending, direction = report.lost[0]
        where = ", ".join(
            f"{self._name_of(one.leg.track_id, image)} {'after' if way > 0 else 'before'} {one.last + 1}"
            for one, way in report.lost[:_NAMED]
        )
        more = f" and {len(report.lost) - _NAMED} more" if len(report.lost) > _NAMED else ""
        target = slices[min(max(ending.last + direction, 0), len(slices) - 1)].id
        text = f"{lines[0]} Lost: {where}{more}."
        self._notices.offer(text, about=_TOPIC, action=("Look", lambda: self._session.go_to(target)))

    # --- inside -------------------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Write what is done; a run can be gone on with when the project is opened again."""
        self.carrying.leave()
        self._reader.shut_down()

    def _on_opened(self) -> None:
        """A project that was closed, or whose program was killed, in the middle of a run."""
        self._limits.clear()
        store = self._session.store
        text = "" if store is None or store.is_read_only else store.meta_get(RECORD_KEY) or ""
        record = RunRecord.from_text(text) if text else None
        series = None if record is None else self._session.slices.series.get(record.series_id)
        if record is None or series is None or store is None:
            return
        tracks = self._tracks(series)
        left = record.left(tracks)
        slices = [image for image in self._session.images if image.series_id == series.id]
        writer = CarryWriter(self._session, record, {}, slices)
        if not left or not slices:
            writer.finish()
            return
        leg = left[0].legs[0]
        title = f"{record.title[0].upper()}{record.title[1:]}" if record.title else "Carrying"
        text = f"{title}: it was cut off at frame {leg.start + 1} of {len(slices)}."

        def go_on() -> None:
            writer.remember(left)
            self._start(writer, series, slices)

        self._notices.offer(text, about=_TOPIC, action=("Go on", go_on), on_close=writer.finish, not_now="Leave it")

    def _tracks(self, series: Series) -> dict[int, Track]:
        store = self._session.store
        return {} if store is None else tracks_of(store.tracks.members(series.id))

    @staticmethod
    def _with(track: Track | None, number: int, row: Annotation, image: ImageRecord) -> Track:
        """A track that has this object, which may be the first of it."""
        if track is not None:
            return track
        member = TrackMember(row.id, image.id, number, row.category_id, image.position, True)
        return Track(number, {image.position: member})

    def _selected(self) -> list[Annotation]:
        ids = self._objects.selected_ids()
        return [row for row in self._session.annotations if row.id in ids]

    def _chosen(self) -> list[Annotation]:
        """The selected objects, else all of the image."""
        return self._selected() or list(self._session.annotations)

    def _names(self, tracks: dict[int, Track], passes: Sequence[Pass]) -> str:
        legs = passes[0].legs
        ids = {next(iter(tracks[leg.track_id].members.values())).category_id for leg in legs}
        return self._of_classes(ids, len(legs))

    def _class_names(self, rows: Sequence[Annotation]) -> str:
        return self._of_classes({row.category_id for row in rows}, len(rows))

    def _of_classes(self, category_ids: set[int], count: int) -> str:
        names = [self._session.categories[one].name for one in category_ids if one in self._session.categories]
        return f"“{names[0]}”" if len(names) == 1 and count == 1 else counted(count, "object")

    def _name_of(self, track_id: int, image: ImageRecord) -> str:
        series = self._session.slices.series_of(image)
        track = None if series is None else self._tracks(series).get(track_id)
        ids = set() if track is None else {one.category_id for one in track.members.values()}
        return self._of_classes(ids, 1) if ids else "an object"

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=Subject.SELECTION)


def _renamed(record: RunRecord, named: dict[int, int]) -> RunRecord:
    """With the ids that tracks have got."""
    passes = tuple(
        Pass(
            one.direction,
            tuple(replace(leg, track_id=named.get(leg.track_id, leg.track_id)) for leg in one.legs),
        )
        for one in record.passes
    )
    return replace(record, passes=passes)
