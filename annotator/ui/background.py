"""Long work with files (export, import) on a thread of its own, with progress and a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PySide6.QtCore import QElapsedTimer, QObject, QThread, Signal

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
