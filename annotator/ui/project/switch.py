"""One project in the place of another: opened beside the GUI thread, taken when nothing of the old one is in flight."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from annotator.domain.collecting import bulk_loading
from annotator.domain.ports.jobs import WorkCancelled
from annotator.io.project.opened import OpenedProject, is_same_project, open_project
from annotator.io.project.picking import AS_REMEMBERED, OpeningWish
from annotator.jobs.job import Job
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.patience import Patience
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.jobs import JobBoard

SLOW_AFTER_MS = 400
"""Opening that takes longer is shown, with a way to stop it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is to be opened: a folder or project file, maybe with the project of a folder, and what is wished of the
    series there."""

    path: Path
    project_path: Path | None = None
    wish: OpeningWish = AS_REMEMBERED


class _Opening(QObject):
    """One wish to open something, on a thread of its own. ``ended`` comes once, after the thread is over."""

    ended = Signal(object)
    found = Signal(int)

    def __init__(self, place: Place, session: ProjectSession, *, after: Future[None] | None, parent: QObject) -> None:
        super().__init__(parent)
        self.path = place.path
        self.result: OpenedProject | None = None
        self.error: Exception | None = None
        author, keeps_uids = session.author, session.keeps_uids

        def work(job: Job) -> None:
            if after is not None:
                # It may be the very project that is still being closed.
                wait_for((after,))
            # Kept here and not sent, so that a project which nobody takes any more can still be closed.
            self.result = open_project(
                place.path,
                project_path=place.project_path,
                author=author,
                on_found=lambda count: job.progress(count, 0),
                wish=place.wish,
                is_quick=True,
                keeps_uids=keeps_uids,
            )

        self.job = Job(f"Open {place.path.name}", unit="image")
        self._work = BackgroundWork(work, self, job=self.job)
        self._work.progressed.connect(self._on_progress)
        self._work.failed.connect(self._on_failure)
        self._work.finished.connect(self._on_finished)

    def start(self) -> None:
        self._work.start()

    def cancel(self) -> None:
        self._work.cancel()

    def wait(self) -> None:
        self._work.wait()

    def drop(self) -> None:
        """Close what was opened: nobody wants it."""
        if self.result is not None:
            self.result.store.close()
            self.result = None

    @Slot(object, object)
    def _on_progress(self, done: int, _total: int) -> None:
        self.found.emit(done)

    @Slot(object)
    def _on_failure(self, error: Exception) -> None:
        self.error = error

    @Slot()
    def _on_finished(self) -> None:
        self.ended.emit(self)


class ProjectSwitch(QObject):
    """Opens, replaces and closes the project of a session. The one that is open can be worked on meanwhile.

    Args:
        board: lists an opening that takes a while.
        leave: called right before the old project goes, when no accept of it waits any more.
    """

    opened = Signal(object)
    """Path: it is open and shown now."""
    failed = Signal(object, object)
    """(Path, Exception); what was open stays open, unless the same project was opened again."""
    slow = Signal(object, int)
    """(Path, images found so far): opening takes a while. :meth:`cancel` stops it."""
    ended = Signal()
    """Nothing is being opened any more."""

    def __init__(
        self,
        session: ProjectSession,
        patience: Patience,
        *,
        leave: Callable[[], None],
        board: JobBoard,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._patience, self._leave, self._board = session, patience, leave, board
        self._current: _Opening | None = None
        self._ending: list[_Opening] = []
        self._next: Place | None = None
        self._found = 0
        self._is_over = False
        self._closer = ThreadPoolExecutor(1, "closer")
        self._closing: Future[None] | None = None
        """The newest project that was put away; the closer's one thread has closed the others before."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SLOW_AFTER_MS)
        self._timer.timeout.connect(self._tell_slow)

    @property
    def is_opening(self) -> bool:
        return self._current is not None or self._next is not None

    def open(self, path: Path, *, project_path: Path | None = None, wish: OpeningWish = AS_REMEMBERED) -> None:
        """Open a folder or project file; the newest wish counts. The answer is ``opened`` or ``failed``."""
        if self._is_over:
            return
        self.cancel()
        store, place = self._session.store, Place(path, project_path, wish)
        if store is not None and is_same_project(store, path, project_path):
            # The lock belongs to an opener, not to a process: the same project has to be closed first.
            self.close_then(lambda: self._begin(place), then=f"{path.name} opens", way_out="Open without it")
        else:
            self._begin(place)

    def close_then(self, following: Callable[[], None], *, then: str, way_out: str) -> None:
        """Close the project as soon as no accept waits, and go on; nothing happens when the last mask fails.

        Args:
            then, way_out: as in :meth:`Patience.wait`.
        """

        def close() -> None:
            self._leave()
            self._session.close()
            following()

        self._patience.wait(close, then=then, way_out=way_out)

    def cancel(self) -> None:
        """Stop opening; what was open stays."""
        self._next = None
        opening, self._current = self._current, None
        if opening is None:
            return
        opening.cancel()
        opening.drop()
        self._end()

    def shut_down(self) -> None:
        """Stop, and wait for threads that still run; nothing is opened any more."""
        self._is_over = True
        self.cancel()
        for opening in self._ending:
            opening.cancel()
            opening.wait()
            opening.drop()
        self._ending.clear()
        self._closer.shutdown()
        if self._closing is not None:
            self._closing.result()

    def _begin(self, place: Place) -> None:
        if self._current is not None:
            self.cancel()
        # One that was given up may still hold the lock of the same project for a moment.
        if any(opening.path == place.path for opening in self._ending):
            self._next = place
            return
        self._found = 0
        opening = self._current = _Opening(place, self._session, after=self._closing, parent=self)
        self._ending.append(opening)
        opening.found.connect(self._on_found)
        opening.ended.connect(self._on_ended)
        self._timer.start()
        opening.start()

    @Slot(int)
    def _on_found(self, count: int) -> None:
        if self.sender() is self._current:
            self._found = count
            if not self._timer.isActive():
                self._tell_slow()

    def _tell_slow(self) -> None:
        if self._current is not None:
            if self._current.job not in self._board.jobs:
                self._board.add(self._current.job)
            self.slow.emit(self._current.path, self._found)

    @Slot(object)
    def _on_ended(self, opening: _Opening) -> None:
        if opening in self._ending:
            self._ending.remove(opening)
        opening.deleteLater()
        if opening is not self._current:
            opening.drop()
            if self._next is not None and self._next.path == opening.path:
                place, self._next = self._next, None
                self._begin(place)
        elif opening.error is not None:
            self._give_up(opening, opening.error)
        else:
            self._patience.wait(
                lambda: self._take(opening),
                then=f"{opening.path.name} opens",
                way_out="Open without it",
                give_up=lambda: self._keep_old(opening),
            )

    def _take(self, opening: _Opening) -> None:
        result, opening.result = opening.result, None
        if result is None or opening is not self._current:
            return
        self._end()
        self._leave()
        with bulk_loading() as made:  # views make lists of all images of their own
            replaced = self._session.adopt(result)
            made.append(len(result.images))
        if replaced is not None:
            # Beside the GUI thread: closing writes what the journal holds into the project file.
            self._closing = self._closer.submit(replaced.close)
        # Events of their own: lists of thousands of rows, the settings file and a picture are too much for one frame.
        QTimer.singleShot(0, self, lambda: self._tell_opened(result, opening.path))

    def _tell_opened(self, opened: OpenedProject, path: Path) -> None:
        if self._session.store is opened.store:
            self.opened.emit(path)
            QTimer.singleShot(0, self, lambda: self._show_first(opened))

    def _show_first(self, opened: OpenedProject) -> None:
        if self._session.store is opened.store and self._session.image is None:
            self._session.go_to(opened.first_id)

    def _keep_old(self, opening: _Opening) -> None:
        """An accept of the old project could not be stored: the person sees to that first."""
        if opening is self._current:
            self.cancel()

    def _give_up(self, opening: _Opening, error: Exception) -> None:
        self._end()
        if not isinstance(error, WorkCancelled):
            self.failed.emit(opening.path, error)

    def _end(self) -> None:
        self._current = None
        self._timer.stop()
        self.ended.emit()
