"""Edits of thousands of objects, and steps back and forward over them: written beside the window, reported when
they are there. Whatever else is to be written meanwhile waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.domain.errors import UserError
from annotator.domain.project import Annotation, Change, Edit
from annotator.io.project.edit_rows import UNDO, Step
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


class LargeEdits(QObject):
    """Serves a session, as the class book does."""

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._thread: BackgroundWork | None = None
        self._end: Callable[[], None] = lambda: None

    @property
    def is_busy(self) -> bool:
        """Whether one is on its way into the file."""
        return self._thread is not None

    def apply(self, make: Callable[[], Edit], count: int, then: Callable[[], object] = lambda: None) -> None:
        """Make an edit and apply it, both beside the window where it is large; then tell everyone, and do ``then``.

        Args:
            make: for another thread. Its edit changes no object that is locked.
            count: of objects that it is about.
        """
        session = self._session
        self.settle()
        store = session.store
        if store is None:
            return

        def inline() -> None:
            edit = make()
            if session.store is store and session.attempt(lambda: session.apply(edit)):
                then()

        def done(edit: Edit) -> None:
            session.drafts.forget_unsaved(edit.drafts_of)
            self._tell(edit)
            then()

        if count > FEW_OBJECTS:
            self._start(lambda: store.perform(make()), done, inline)
        else:
            inline()

    def step(self, step: Step) -> None:
        """Take the newest edit back, or do again what was undone last."""
        session = self._session
        self.settle()
        store = session.store
        if store is None:
            return
        which, said = ("undo", "Undone") if step is UNDO else ("redo", "Done again")
        name = store.undo_name if step is UNDO else store.redo_name

        def tell(change: Change | None, edit: Edit | None = None) -> None:
            if change is None:
                session.reported.emit(f"Nothing to {which}.")
                return
            self._show_where(change)
            self._tell(edit) if edit is not None else session.broadcast(change)
            session.reported.emit(f"{said}: {name}.")

        def inline() -> None:
            if session.store is store:
                session.attempt(lambda: tell(store.undo() if step is UNDO else store.redo()))

        if store.step_bytes(step) >= LARGE_BYTES:
            self._start(lambda: store.perform(step), lambda edit: tell(edit.change(), edit), inline)
        else:
            inline()

    def settle(self) -> None:
        """Wait for what is on its way, and tell of it. What comes next is written after it."""
        if self._thread is not None:
            self._thread.wait()
            self._finish()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _start(self, work: Callable[[], Edit | None], done: Callable[[Edit], None], inline: Callable[[], None]) -> None:
        """What cannot be written beside the window is tried on this thread, where every failure has its answer."""
        found: list[Edit | Exception | None] = []

        def keep(_job: object) -> None:
            try:
                found.append(work())
            except Exception as error:  # looked at where it can be reported
                found.append(error)

        def end() -> None:
            (result,) = found
            if isinstance(result, Edit):
                done(result)
            elif result is None or isinstance(result, UserError):
                _log.info("a large edit was not written beside the window: %s", result)
                inline()
            else:
                raise result

        self._end = end
        self._thread = BackgroundWork(keep, self)
        self._thread.finished.connect(partial(self._on_finished, self._thread))
        self._thread.start()

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

    def _tell(self, edit: Edit) -> None:
        rows = [(one.row.id, one.after) for one in edit.changes if isinstance(one.row, Annotation)]
        self._session.broadcast(edit.change(), {i: row if isinstance(row, Annotation) else None for i, row in rows})

    def _show_where(self, change: Change) -> None:
        """Jump to the image that a step back or forward changed, so that nothing changes unseen."""
        image = self._session.image
        if change.has_other_images:
            return
        if change.image_ids and (image is None or image.id not in change.image_ids):
            self._session.go_to(min(change.image_ids))
