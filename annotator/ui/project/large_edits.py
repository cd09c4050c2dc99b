"""Edits of thousands of objects, and steps back and forward over them: written beside the window as jobs that can be
cancelled, and reported when they are there. Whatever else is to be written meanwhile waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.domain.collecting import no_collection
from annotator.domain.errors import UserError
from annotator.domain.objects_in_order import after_edit
from annotator.domain.ports.jobs import Progress, WorkCancelled
from annotator.domain.project import Annotation, Change, Edit
from annotator.io.project.edit_rows import UNDO, Step
from annotator.jobs.job import Job
from annotator.ui.threads.background import BackgroundWork

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession

_log = logging.getLogger(__name__)
FEW_OBJECTS = 24
"""An edit of so many is written in less than a frame of the window."""
LARGE_BYTES = 32768
"""An edit that takes this much in the file, compressed, may take more than a frame of the window to read and write:
more than a hundred objects. What is less is in the file before the next event; so are steps that give drafts back,
because a click that came before the draft would take its place."""
SHOW_AFTER_MS = 250
"""An edit that takes longer is listed among the jobs."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What was done, put together beside the window.

    Attributes:
        objects: of the image that was shown when it began, as they are now.
    """

    change: Change
    objects: tuple[Annotation, ...]
    drafts_of: tuple[int, ...]

    @classmethod
    def of(cls, edit: Edit, rows: tuple[Annotation, ...], image_id: int) -> _Written:
        return cls(edit.change(), after_edit(rows, edit, image_id), edit.drafts_of)


class LargeEdits(QObject):
    """Serves a session, as the class book does."""

    lasting = Signal(object)
    """Job: an edit that takes longer than a moment. It ends with the session, not with the list of jobs."""

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._thread: BackgroundWork | None = None
        self._end: Callable[[], None] = lambda: None

    @property
    def is_busy(self) -> bool:
        """Whether one is on its way into the file."""
        return self._thread is not None

    def apply(
        self, title: str, make: Callable[[], Edit], count: int, then: Callable[[], object] = lambda: None
    ) -> None:
        """Make an edit and apply it, both beside the window where it is large; then tell everyone, and do ``then``.

        Args:
            title: in the list of jobs.
            make: for another thread. An edit that changes a locked object is refused.
            count: of objects that it is about.
        """
        session = self._session
        self.settle()
        session.facts.settle()
        store = session.store
        if store is None:
            return

        def inline() -> None:
            edit = make()
            if session.store is store and session.attempt(lambda: session.apply(edit)):
                then()

        def done(told: _Written) -> None:
            session.drafts.forget_unsaved(told.drafts_of)
            session.broadcast(told.change, told.objects)
            then()

        locked = session.locked

        def write(progress: Progress) -> Edit | None:
            edit = make()
            edit.refuse_locked(locked)
            return store.perform(edit, progress=progress)

        if count > FEW_OBJECTS:
            self._start(title, write, done, inline)
        else:
            inline()

    def write(self, edit: Edit, then: Callable[[], object] = lambda: None) -> None:
        """As :meth:`apply`, of an edit that is made already."""
        self.apply(f"{edit.name[:1].upper()}{edit.name[1:]}", lambda: edit, len(edit.changes), then)

    def step(self, step: Step) -> None:
        """Take the newest edit back, or do again what was undone last."""
        session = self._session
        self.settle()
        session.facts.settle()
        store = session.store
        if store is None:
            return
        which, said = ("undo", "Undone") if step is UNDO else ("redo", "Done again")
        name = store.undo_name if step is UNDO else store.redo_name

        def tell(change: Change | None, objects: tuple[Annotation, ...] | None = None) -> None:
            if change is None:
                session.reported.emit(f"Nothing to {which}.")
                return
            is_elsewhere = self._show_where(change)  # and has read its objects there
            session.broadcast(change, None if is_elsewhere else objects)
            session.reported.emit(f"{said}: {name}.")

        def inline() -> None:
            if session.store is store:
                session.attempt(lambda: tell(store.undo() if step is UNDO else store.redo()))

        if store.step_bytes(step) >= LARGE_BYTES:
            title = f"{which.capitalize()}: {name}"
            work = partial(store.perform, step)
            self._start(title, lambda progress: work(progress=progress), lambda w: tell(w.change, w.objects), inline)
        else:
            inline()

    def stop(self) -> bool:
        """Cancel what is on its way: the project stays as it was before. False when nothing is."""
        if self._thread is None:
            return False
        self._thread.cancel()
        return True

    def settle(self) -> None:
        """Wait for what is on its way, and tell of it. What comes next is written after it."""
        if self._thread is not None:
            self._thread.wait()
            self._finish()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _start(
        self,
        title: str,
        work: Callable[[Progress], Edit | None],
        done: Callable[[_Written], None],
        inline: Callable[[], None],
    ) -> None:
        """What cannot be written beside the window is tried on this thread, where every failure has its answer."""
        found: list[_Written | Exception | None] = []
        rows, image = self._session.annotations, self._session.image

        def keep(job: Job) -> None:
            try:
                with no_collection():  # thousands of rows, and no cycles among them
                    edit = work(job.progress)
                found.append(None if edit is None else _Written.of(edit, rows, 0 if image is None else image.id))
            except Exception as error:  # looked at where it can be reported
                found.append(error)
                raise

        def end() -> None:
            (result,) = found or (WorkCancelled(),)
            if isinstance(result, _Written):
                done(result)
            elif isinstance(result, WorkCancelled):
                self._session.broadcast(Change("cancelled"))  # what was read meanwhile may not be there
                self._session.reported.emit(f"Cancelled, nothing was changed: {title}.")
            elif result is None or isinstance(result, UserError):
                _log.info("a large edit was not written beside the window: %s", result)
                inline()
            else:
                raise result

        self._end = end
        job = Job(title, unit="change")
        thread = self._thread = BackgroundWork(keep, self, job=job)
        thread.finished.connect(partial(self._on_finished, thread))
        QTimer.singleShot(SHOW_AFTER_MS, self, partial(self._show, job))
        thread.start()

    def _show(self, job: Job) -> None:
        if not job.standing.is_over:
            self.lasting.emit(job)

    def _on_finished(self, thread: BackgroundWork) -> None:
        if thread is self._thread:
            self._finish()

    def _finish(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
            end, self._end = self._end, lambda: None
            end()

    def _show_where(self, change: Change) -> bool:
        """Jump to the image that a step back or forward changed, so that nothing changes unseen. Whether it was
        another one."""
        image = self._session.image
        if change.has_other_images:
            return False
        is_elsewhere = bool(change.image_ids) and (image is None or image.id not in change.image_ids)
        if is_elsewhere:
            self._session.go_to(min(change.image_ids))
        return is_elsewhere
