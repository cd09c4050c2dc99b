"""Long work with files (export, import) on a thread of its own, with progress and a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QElapsedTimer, QObject, QThread, Signal, Slot

Progress = Callable[[int, int], None]
_REPORT_EVERY_MS = 50


class WorkCancelled(Exception):  # noqa: N818 - asked for by the person, nothing is wrong
    """Raised inside the work, by its progress call, when the person stopped it."""


class BackgroundWork(QThread):
    """Runs ``work(progress)`` once. The work must leave nothing half-written when its progress call raises."""

    progressed = Signal(int, int)
    """(done, in all)"""
    succeeded = Signal(object)
    failed = Signal(object)
    """The exception; ``WorkCancelled`` when the person stopped it."""

    def __init__(self, work: Callable[[Progress], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._stop = threading.Event()
        self._clock = QElapsedTimer()

    def cancel(self) -> None:
        """Ask the work to stop at its next progress call."""
        self._stop.set()

    def run(self) -> None:
        self._clock.start()
        try:
            result = self._work(self._report)
        except Exception as error:  # handed to the window, which tells the person or reports a bug
            self.failed.emit(error)
        else:
            self.succeeded.emit(result)

    def _report(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise WorkCancelled
        if done >= total or self._clock.elapsed() >= _REPORT_EVERY_MS:
            self._clock.restart()
            self.progressed.emit(done, total)


class Errand(QObject):
    """One short piece of work with files at a time, for a handler that must not wait for the disk."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread: BackgroundWork | None = None
        self._answers: tuple[Callable[[Any], object], Callable[[Exception], object]] | None = None

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
        thread = self._thread = BackgroundWork(lambda _progress: work(), self)
        thread.succeeded.connect(self._on_success)
        thread.failed.connect(self._on_failure)
        thread.start()

    def shut_down(self) -> None:
        """Wait for the end of what still runs; nobody is told of it any more."""
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
