"""Short work beside the GUI thread, of which only the newest answer is wanted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, SignalInstance, Slot


class _Job(QRunnable):
    def __init__(self, done: SignalInstance, generation: int, work: Callable[[], object]) -> None:
        super().__init__()
        self._done, self._generation, self._work = done, generation, work

    def run(self) -> None:
        result: object
        try:
            result = self._work()
        except Exception as error:  # shows itself on the GUI thread, where it is reported
            result = error
        with suppress(RuntimeError):  # the window has gone meanwhile, and nobody waits any more
            self._done.emit(self._generation, result)


class Latest(QObject):
    """One thread; what has not begun when something newer is wanted is never done."""

    _done = Signal(int, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._generation = 0
        self._answer: Callable[[Any], object] | None = None
        self._is_over = False
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._done.connect(self._on_done)

    @property
    def is_busy(self) -> bool:
        return self._answer is not None

    def start(self, work: Callable[[], object], answer: Callable[[Any], object]) -> None:
        """Do ``work`` on the other thread, then ``answer`` with what it gave on this one; nothing after the end."""
        self.forget()
        if self._is_over:
            return
        self._answer = answer
        self._pool.start(_Job(self._done, self._generation, work))

    def forget(self) -> None:
        """The answer that is still to come is not wanted any more."""
        self._generation += 1
        self._answer = None
        self._pool.clear()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._is_over = True
        self.forget()
        self._pool.waitForDone()

    @Slot(int, object)
    def _on_done(self, generation: int, result: object) -> None:
        answer = self._answer
        if generation != self._generation or answer is None:
            return
        self._answer = None
        if isinstance(result, Exception):
            raise result
        answer(result)
