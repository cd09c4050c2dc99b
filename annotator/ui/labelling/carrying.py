"""A run in the window: frames are read, carried on the engine's thread and written, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Signal

from annotator.domain.errors import ImageError, ProjectError
from annotator.domain.mask import Mask
from annotator.domain.ports.requests import EngineFailure
from annotator.domain.ports.tracking import CARRY_EPOCH, CarryRequest, CarryResult, TrackFrame, TrackSeed
from annotator.domain.project import ImageRecord
from annotator.domain.tracks.plan import Pass
from annotator.domain.tracks.run import FINDING_PATIENCE, CarryRun, Ending
from annotator.jobs.job import Job
from annotator.ui.labelling.carry_writer import CarryWriter
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.frame_reader import FrameReader
from annotator.ui.threads.jobs import JobBoard
from annotator.ui.threads.worker import EngineClient


@dataclass(slots=True)
class CarryReport:
    """How a run went, for the person.

    Attributes:
        written: masks; lost: where tracks ended, with the direction; unreadable: frames that were left out.
        note: what the model says of how it carries; problem: why it ended early.
    """

    title: str
    written: int = 0
    lost: list[tuple[Ending, int]] = field(default_factory=list)
    ended: list[tuple[Ending, int]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    note: str = ""
    problem: str = ""
    was_stopped: bool = False


class Carrying(QObject):
    """At most one run at a time. Everything here happens on the GUI thread, in short steps."""

    changed = Signal()
    """It has begun, or is over."""
    ended = Signal(object)
    """CarryReport"""

    def __init__(
        self, session: ProjectSession, client: EngineClient, reader: FrameReader, board: JobBoard, *, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._client, self._reader, self._board = session, client, reader, board
        self._generation = 0
        self._job: Job | None = None
        self._writer: CarryWriter | None = None
        self._passes: deque[Pass] = deque()
        self._run: CarryRun | None = None
        self._slices: Sequence[ImageRecord] = ()
        self._patience, self._total, self._before = 0, 0, 0
        self._frames: dict[int, TrackFrame | ImageError] = {}
        self._asked: set[int] = set()
        self._is_waiting = False
        """Whether the engine owes an answer."""
        self._mask_at: Callable[[int, int], Mask | None] = lambda _track, _at: None
        self._report = CarryReport("")
        client.carried.connect(self._on_carried)
        client.failed.connect(self._on_failed)
        reader.read.connect(self._on_read)

    @property
    def is_running(self) -> bool:
        return self._job is not None

    def begin(
        self,
        writer: CarryWriter,
        slices: Sequence[ImageRecord],
        *,
        mask_at: Callable[[int, int], Mask | None],
        patience: int,
    ) -> None:
        """Start what the writer's record says; nothing may be running.

        Args:
            mask_at: of a track at a position that is certain.
        """
        self._writer, self._slices, self._mask_at, self._patience = writer, slices, mask_at, patience
        self._passes, self._before = deque(writer.record.passes), 0
        self._total = sum(self._made(one).total for one in self._passes)
        self._report = CarryReport(writer.record.title)
        title = writer.record.title
        job = self._job = Job(f"{title[:1].upper()}{title[1:]}", unit="frame", on_cancel=self.stop)
        self._board.add(job)
        job.begin()
        self._next_pass()
        self.changed.emit()

    def stop(self) -> bool:
        """End it; what was carried stays. False when none was running."""
        if self._job is None:
            return False
        self._report.was_stopped = True
        self._finish()
        return True

    def leave(self) -> None:
        """The project is closed: what is done is written, and the rest can be gone on with."""
        writer, job = self._writer, self._job
        if writer is None or job is None:
            return
        writer.commit()
        writer.remember(tuple(self._passes))
        self._forget()
        job.stopped()
        self.changed.emit()

    # --- frame after frame --------------------------------------------------------------------------------------------

    def _made(self, one: Pass) -> CarryRun:
        return CarryRun(one.legs, one.direction, patience=self._patience)

    def _next_pass(self) -> None:
        self._generation += 1
        self._drop_frames()
        self._run = self._made(self._passes[0]) if self._passes else None
        if self._run is None:
            self._finish()
        else:
            self._advance()

    def _advance(self) -> None:
        """Ask for what is needed next, or submit it when it is there."""
        run = self._run
        if run is None or self._is_waiting:
            return
        position = run.position
        if position is None:
            self._before += run.total
            self._passes.popleft()
            if self._commit():
                self._next_pass()
            return
        needed = [position, *(at for leg in run.starting for at in leg.memory)]
        self._ask(needed)
        if not all(at in self._frames for at in needed):
            return
        frame = self._frames[position]
        if isinstance(frame, ImageError):
            self._report.unreadable.append((position, str(frame)))
            run.leave_out(position)
            self._advance()
            return
        self._is_waiting = True
        frames = len(self._slices)
        seeded = self._seeded(run, frame)
        request = CarryRequest(self._generation, frame, run.wanted, seeded, run.direction, frames)
        self._client.carry_lane.submit(request)
        self._ask([position + run.direction])  # while that one is carried

    def _seeded(self, run: CarryRun, frame: TrackFrame) -> tuple[tuple[TrackFrame, tuple[TrackSeed, ...]], ...]:
        found: list[tuple[TrackFrame, tuple[TrackSeed, ...]]] = []
        here: list[TrackSeed] = []
        for leg in run.starting:
            for at in leg.memory:
                known, before = self._mask_at(leg.track_id, at), self._frames.get(at)
                if known is not None and isinstance(before, TrackFrame):
                    found.append((before, (TrackSeed(leg.track_id, known),)))
            mask = self._mask_at(leg.track_id, leg.start)
            if mask is None:
                run.stop_track(leg.track_id)  # it was deleted meanwhile
            else:
                here.append(TrackSeed(leg.track_id, mask))
        return (*found, (frame, tuple(here))) if here else tuple(found)

    def _ask(self, positions: Sequence[int]) -> None:
        for at in positions:
            if at in self._frames or at in self._asked or not 0 <= at < len(self._slices):
                continue
            image = self._slices[at]
            try:
                path = self._session.image_path(image)
            except ProjectError as error:
                self._frames[at] = ImageError(str(error))
                continue
            self._asked.add(at)
            self._reader.ask(at, image.id, path, frame=image.frame)

    def _on_read(self, position: int, result: TrackFrame | ImageError) -> None:
        self._asked.discard(position)
        self._frames[position] = result
        self._advance()

    def _on_carried(self, result: CarryResult) -> None:
        run, writer, job = self._run, self._writer, self._job
        if result.generation != self._generation or run is None or writer is None or job is None:
            return
        self._is_waiting, self._report.note = False, result.note
        if result.finds_again:
            run.be_patient(FINDING_PATIENCE)
        starts = run.starts
        outcome = run.take(result.answers)
        writer.take(outcome, starts, run.direction, result)
        self._report.ended += [(one, run.direction) for one in outcome.ended]
        self._report.lost += [(one, run.direction) for one in outcome.ended if one.is_lost]
        job.show_progress(self._before + run.done, self._total)
        kept = (run.position, result.position + run.direction)
        self._frames = {at: frame for at, frame in self._frames.items() if at in kept}
        if not writer.is_due or self._commit():
            self._advance()

    def _commit(self) -> bool:
        """False when it could not be written: the run is over then."""
        writer, run = self._writer, self._run
        if writer is None or run is None:
            return False
        is_written, taken_over = writer.commit()
        for track_id in taken_over:
            run.stop_track(track_id)
        if not is_written:
            self._report.problem = "It could not be written."
            self._finish()
            return False
        writer.remember(tuple(self._passes))
        return True

    def _on_failed(self, failure: EngineFailure) -> None:
        if self._job is not None and (failure.epoch, failure.generation) == (CARRY_EPOCH, self._generation):
            self._report.problem = failure.message
            self._finish()

    # --- its end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        writer, job, report = self._writer, self._job, self._report
        if writer is None or job is None:
            return
        self._forget()
        if not report.problem or writer.record.passes:
            writer.commit()
        writer.finish()
        report.written = writer.written
        if report.problem:
            job.fail(report.problem)
        elif report.was_stopped:
            job.stopped()
        else:
            job.succeed(None)
        self.changed.emit()
        self.ended.emit(report)

    def _forget(self) -> None:
        self._client.carry_lane.drop()
        self._generation += 1
        self._job = self._writer = self._run = None
        self._passes.clear()
        self._drop_frames()

    def _drop_frames(self) -> None:
        self._reader.forget()
        self._frames.clear()
        self._asked.clear()
        self._is_waiting = False
