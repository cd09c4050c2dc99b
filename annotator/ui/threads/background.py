"""Long work on a Qt thread of its own: a job whose progress and end come as queued signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal, Slot

from annotator.jobs.job import Job
from annotator.jobs.runner import run

Work = Callable[[Job], object]
"""Leaves nothing half-written when the progress of its job raises."""


class BackgroundWork(QThread):
    """Runs ``work(job)`` once.

    Args:
        job: what those who watch see of it; None: nobody watches.
    """

    progressed = Signal(object, object)
    """(done, in all); 0 in all: not known"""
    succeeded = Signal(object)
    failed = Signal(object)
    """The exception; ``WorkCancelled`` when the person stopped it."""

    def __init__(self, work: Work, parent: QObject | None = None, *, job: Job | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self.job = job if job is not None else Job("")

    def cancel(self) -> None:
        """Ask the work to stop at its next progress call."""
        self.job.cancel()

    def run(self) -> None:
        told = (0, 0)

        def on_change(job: Job) -> None:
            nonlocal told
            now = (job.standing.done, job.standing.total)
            if now != told:
                told = now
                self.progressed.emit(*now)

        self.job.subscribe(on_change)
        try:
            result = run(self.job, self._work)
        except Exception as error:  # handed to the window, which tells the person or reports a bug
            self.failed.emit(error)
        else:
            self.succeeded.emit(result)


class Errand(QObject):
    """One short piece of work with files at a time, for a handler that must not wait for the disk."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread: BackgroundWork | None = None
        self._answers: tuple[Callable[[Any], object], Callable[[Exception], object]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a call of :meth:`start` would do nothing."""
        return self._thread is not None

    def start(
        self,
        work: Callable[[], object],
        on_result: Callable[[Any], object],
        on_error: Callable[[Exception], object],
    ) -> None:
        """Do ``work`` on a thread of its own, then one of the others on this one. Nothing while another one runs."""
        if self._thread is not None:
            return
        self._answers = on_result, on_error
        thread = self._thread = BackgroundWork(lambda _job: work(), self)
        thread.succeeded.connect(self._on_success)
        thread.failed.connect(self._on_failure)
        thread.start()

    def shut_down(self) -> None:
        """Wait for the end of what still runs; it is reported to nobody any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()

    @Slot(object)
    def _on_success(self, result: Any) -> None:
        if self.sender() is self._thread and self._answers is not None:
            self.shut_down()
            self._answers[0](result)

    @Slot(object)
    def _on_failure(self, error: Exception) -> None:
        if self.sender() is self._thread and self._answers is not None:
            self.shut_down()
            self._answers[1](error)
