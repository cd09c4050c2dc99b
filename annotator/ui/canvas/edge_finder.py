"""Maps of the edges around a place, made beside the GUI thread for the live-wire tool."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, SignalInstance, Slot

from annotator.domain.brush import Point
from annotator.domain.livewire import EdgeMap, EdgeSource

Answer = Callable[[int, EdgeMap], object]


class _Job(QRunnable):
    def __init__(self, done: SignalInstance, ticket: int, work: Callable[[], EdgeMap]) -> None:
        super().__init__()
        self._done, self._ticket, self._work = done, ticket, work

    def run(self) -> None:
        found: EdgeMap | Exception
        try:
            found = self._work()
        except Exception as error:  # shows itself on the GUI thread, where it is reported
            found = error
        self._done.emit(self._ticket, found)


class EdgeFinder(QObject):
    """One map at a time, in the order in which they are asked for."""

    _done = Signal(int, object)

    def __init__(self, answer: Answer, parent: QObject) -> None:
        super().__init__(parent)
        self._answer, self._ticket, self._asked = answer, 0, set[int]()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._done.connect(self._on_done)

    def ask(self, source: EdgeSource, anchor: Point, *, reach_px: float) -> int:
        """Start; the answer names the ticket that is returned."""
        self._ticket += 1
        self._asked.add(self._ticket)
        self._pool.start(_Job(self._done, self._ticket, lambda: EdgeMap.build(source, anchor, reach_px=reach_px)))
        return self._ticket

    def forget(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self._pool.clear()
        self._asked.clear()

    @Slot(int, object)
    def _on_done(self, ticket: int, found: EdgeMap | Exception) -> None:
        if ticket not in self._asked:
            return
        self._asked.discard(ticket)
        if isinstance(found, Exception):
            raise found
        self._answer(ticket, found)
