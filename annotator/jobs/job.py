"""Long work as a person sees it: title, progress, time left, a way to stop, log and result; any thread may look."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from annotator.domain.ports.jobs import HasLines, WorkCancelled

REPORT_EVERY_S = 0.05
"""Listeners hear of progress no more often, but always of its end."""
_LOG_LINES = 1000
_LEAST_S = 1.0
"""No speed is given from less."""


class JobState(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands.

    Attributes:
        done, total: in the job's unit; ``total`` 0: not known.
        note: what is being done now.
        left_s: seconds that it will still take; None: not known.
        error: one sentence and what to do, of a job that failed.
    """

    state: JobState = JobState.WAITING
    done: int = 0
    total: int = 0
    note: str = ""
    left_s: float | None = None
    error: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)

    @property
    def share(self) -> float | None:
        """0..1; None: not known."""
        return min(1.0, self.done / self.total) if self.total > 0 else None


class Job:
    """One piece of long work. The work reports, one thread at a time; others read ``standing`` and ``lines``.

    Args:
        title: such as "Export birds.json".
        unit: what is counted, in the singular: "object", "file"; "B" stands for bytes.
        place: the file or folder that it writes, which can be opened when it is done.
        on_cancel: stops work that does not ask :meth:`check`, such as another process.
        on_show: shows the result, where that is neither ``place`` nor lines to read.
        clock: seconds.
    """

    def __init__(
        self,
        title: str,
        *,
        unit: str = "",
        place: Path | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_show: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.unit, self.place, self.on_show = title, unit, place, on_show
        self._on_cancel, self._clock = on_cancel, clock
        self.standing = Standing()
        self.result: object = None
        self._stop = threading.Event()
        self._listeners: list[Callable[[Job], object]] = []
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._told_s = 0.0
        self._first: tuple[float, int] | None = None
        """When progress was first reported, and how much was done by then: a download may go on from a part."""

    # --- for those who watch ------------------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[Job], object]) -> None:
        """Call ``listener`` with this job after changes, on the thread that made them: mostly the work's."""
        self._listeners.append(listener)

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next :meth:`check` or progress."""
        if self.standing.is_over or self._stop.is_set():
            return
        self._stop.set()
        if self._on_cancel is not None:
            self._on_cancel()
        self._tell()

    @property
    def is_cancelled(self) -> bool:
        """Whether the person asked it to stop; it may still be running."""
        return self._stop.is_set()

    @property
    def lines(self) -> tuple[str, ...]:
        """The newest lines of the log; of a result that can be read, its lines."""
        return tuple(self._log.copy())

    # --- for the work -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """
        Raises:
            WorkCancelled: the person wants it to stop.
        """
        if self._stop.is_set():
            raise WorkCancelled

    def progress(self, done: int, total: int) -> None:
        """A :data:`~annotator.domain.ports.jobs.Progress`.

        Raises:
            WorkCancelled: the person wants it to stop.
        """
        self.check()
        self.show_progress(done, total)

    def show_progress(self, done: int, total: int) -> None:
        """Progress of work that is stopped in another way."""
        now = self._clock()
        if self._first is None or done < self.standing.done:  # the next part counts anew
            self._first = now, done
        self.standing = replace(self.standing, done=done, total=total, left_s=self._left_s(now, done, total))
        if 0 < total <= done or now - self._told_s >= REPORT_EVERY_S:
            self._told_s = now
            self._tell()

    def note(self, text: str) -> None:
        """Say what is being done now."""
        if text != self.standing.note:
            self._change(note=text)

    def log(self, line: str) -> None:
        """Keep a line for who wants to know more."""
        self._log.append(line)
        self._tell()

    # --- its life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """It runs now."""
        self._change(state=JobState.RUNNING)

    def succeed(self, result: object) -> None:
        """It is done; a result that can be read goes into the log."""
        self.result = result
        if isinstance(result, HasLines):
            self._log.extend(result.lines())
        self._change(state=JobState.DONE, left_s=None, note="")

    def fail(self, error: str) -> None:
        """It ended by an error: one sentence and what to do."""
        self._change(state=JobState.FAILED, left_s=None, note="", error=error)

    def stopped(self) -> None:
        """It ended because the person wanted it to."""
        self._change(state=JobState.CANCELLED, left_s=None, note="")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _left_s(self, now: float, done: int, total: int) -> float | None:
        if self._first is None or total <= 0:
            return None
        first_s, first_done = self._first
        if done <= first_done or now - first_s < _LEAST_S:
            return None
        return max(0.0, (total - done) * (now - first_s) / (done - first_done))

    def _change(self, **fields: object) -> None:
        self.standing = replace(self.standing, **fields)  # type: ignore[arg-type]
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener(self)
