"""What takes a while with proposals, beside the GUI thread: run lengths, overlaps, what objects cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from annotator.domain.likeness.describe import Vectors, describe
from annotator.domain.project import Annotation
from annotator.domain.proposals.gather import Covered, FoundObject, Gathering, covered_by_objects
from annotator.domain.proposals.table import ProposalTable
from annotator.domain.seen import Seen
from annotator.io.project.proposals import kept_rows
from annotator.ui.threads.loading import PoolJob


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Proposals of an image.

    Attributes:
        dropped: None: as it is known already.
        annotations: the objects that ``covered`` is about; those that came since are not in it.
        done: of a search that goes on, clicks whose answers are all in the table; 0: it is over; None: as it was.
    """

    table: ProposalTable
    dropped: frozenset[int] | None
    covered: Covered
    annotations: tuple[Annotation, ...]
    is_last: bool
    done: int | None = None


class ProposalWork(QObject):
    """One piece after the other; only what is newest is reported."""

    looked_at = Signal(object)
    """By proposal id how each looks (see :mod:`annotator.domain.likeness.describe`), of the image asked about last"""
    gathered = Signal(object)
    """Gathered, of the image that was asked about last"""
    _arrived = Signal(int, object, object)
    _seen = Signal(int, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._generation = 0
        self.is_busy = False
        """Whether :attr:`gathered` will come."""
        self._arrived.connect(self._on_arrived)
        self._seen.connect(self._on_seen)

    def read(
        self, rows: Sequence[tuple[Any, ...]], annotations: tuple[Annotation, ...], size_wh: tuple[int, int]
    ) -> None:
        """Rows of the project file, of an image of this size in pixels."""

        def work() -> Gathered:
            kept = kept_rows(rows, width=size_wh[0], height=size_wh[1])
            table = ProposalTable(kept.items)
            return Gathered(table, kept.dropped, covered_by_objects(table, annotations), annotations, True)

        self._start(work)

    def add(
        self,
        gathering: Gathering,
        found: Sequence[FoundObject],
        annotations: tuple[Annotation, ...],
        *,
        is_last: bool,
        done: int = 0,
    ) -> None:
        """What a search has found so far, and after how many clicks; 0: all are done."""

        def work() -> Gathered:
            table = gathering.add(found)
            return Gathered(table, None, covered_by_objects(table, annotations), annotations, is_last, done)

        self._start(work)

    def look_at(self, seen: Seen, table: ProposalTable) -> None:
        """See how each of them looks, of those that lie in what is seen."""
        generation = self._generation

        def work() -> dict[int, Vectors] | None:
            looks: dict[int, Vectors] = {}
            for one in table.items:
                if generation != self._generation:
                    return None
                for mask in seen.inside((one.mask,)):
                    looks[one.id] = describe(seen.rgb, mask)
            return looks

        def done(result: object, error: Exception | None) -> None:
            self._seen.emit(generation, result, error)

        self._pool.start(PoolJob(work, done))

    def cover(self, table: ProposalTable, annotations: tuple[Annotation, ...]) -> None:
        """Many objects are others than before."""
        self._start(lambda: Gathered(table, None, covered_by_objects(table, annotations), annotations, False))

    def forget(self) -> None:
        """Nobody waits for what is under way."""
        self._generation += 1
        self.is_busy = False

    def shut_down(self) -> None:
        """Wait for what still runs; call before the program ends."""
        self.forget()
        self._pool.waitForDone(5000)

    def _start(self, work: Callable[[], Gathered]) -> None:
        self._generation += 1
        self.is_busy = True
        generation = self._generation

        def if_wanted() -> Gathered | None:
            return work() if generation == self._generation else None

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, result, error)

        self._pool.start(PoolJob(if_wanted, done))

    @Slot(int, object, object)
    def _on_seen(self, generation: int, result: object, error: object) -> None:
        if isinstance(error, Exception):
            raise error
        if generation == self._generation and result is not None:
            self.looked_at.emit(result)

    @Slot(int, object, object)
    def _on_arrived(self, generation: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        self.is_busy = False
        if isinstance(error, Exception):
            raise error
        self.gathered.emit(result)
