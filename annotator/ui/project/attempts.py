"""Work on the project file that can fail: reported with a way to try again; what another program's lock holds up is
done by itself as soon as the lock is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.domain.errors import (
    ProjectBusyError,
    ProjectReadOnlyError,
    ProjectReplacedError,
    RowGoneError,
    UserError,
)

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession

_log = logging.getLogger(__name__)

EDIT = "edit"
"""What the person did last; the newest counts."""
ONCE = ""
"""An edit that ends drafts. Others may be in progress by the time that the lock is gone: it is tried again by hand."""
ACCEPT = "accept"
"""The object that could not be accepted."""
FIRST_WAIT_MS = 100
LONGEST_WAIT_MS = 3200
"""Between two looks at the lock, each of which waits twice as long as the one before."""


class Attempts(QObject):
    """Serves a session, as the class book does. ``held`` work belongs to the open project and goes with it."""

    held_up = Signal(object)
    """(ProjectBusyError): it is done later, by itself."""
    settled = Signal()
    """Held work was done, or is not wanted any more. Whether more is held: :attr:`is_waiting`."""

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._held: dict[str, Callable[[], object]] = {}
        """By what it is, in the order in which it is done."""
        self._is_trying = False
        self._wait_ms = FIRST_WAIT_MS
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.try_now)

    # --- at once ----------------------------------------------------------------------------------------------------

    def do(self, work: Callable[[], object], what: str = EDIT) -> bool:
        """Do ``work``; a failure of the person's world is reported with a way to try again, in this project only.

        Args:
            what: work that is held up takes the place of held work of the same name. An edit comes after the one that
                is held, so that both are done in the person's order.
        """
        session, store = self._session, self._session.store
        session.large.settle()

        def retry() -> None:
            if session.store is store:
                self.do(work, what)

        if what in (EDIT, ONCE) and EDIT in self._held and not self._is_trying:
            self.try_now(EDIT)
        try:
            work()
        except RowGoneError as error:
            _log.info("%s", error)
            session.reported.emit("That is done already, or what it was about is gone.")
            return False
        except UserError as error:
            _log.warning("%s", error)
            if isinstance(error, ProjectReplacedError):
                session.replaced.emit()
                return False
            if isinstance(error, ProjectBusyError) and what != ONCE:
                self.hold(what, retry)
                self.held_up.emit(error)
            else:
                session.failed.emit(error, None if isinstance(error, ProjectReadOnlyError) else retry)
            return False
        if self._held and not self._is_trying:
            self._timer.start(0)  # the lock is gone
        return True

    # --- later ------------------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def is_held(self, what: str) -> bool:
        return what in self._held

    def hold(self, what: str, work: Callable[[], object]) -> None:
        """Do this once the lock is gone. It may fail and be held again."""
        self._held.pop(what, None)
        self._held[what] = work
        if not self._is_trying:
            self._schedule()

    def forget(self, what: str = "") -> None:
        """Do not do this any more, or none of it."""
        gone = [what] if what in self._held else [] if what else list(self._held)
        for one in gone:
            del self._held[one]
        if not self._held:
            self._end()
        if gone:
            self.settled.emit()

    def try_now(self, *only: str) -> bool:
        """Do what is held, or only this part of it, unless the file is still locked. Whether nothing is held."""
        store = self._session.store
        if not self._held or self._is_trying:
            return not self._held
        if store is None or not store.held.is_free():
            self._schedule()
            return False
        before = dict(self._held)
        self._is_trying = True
        try:
            for what, work in before.items():
                if only and what not in only:
                    continue
                if self._held.get(what) is work:  # nothing newer has taken its place
                    del self._held[what]
                    work()
                if what in self._held:
                    break  # locked again
        finally:
            self._is_trying = False
        if self._held:
            self._schedule()
        else:
            self._end()
        if self._held.keys() != before.keys():
            self.settled.emit()
        return not self._held

    def _schedule(self) -> None:
        if not self._timer.isActive():
            self._timer.start(self._wait_ms)
            self._wait_ms = min(2 * self._wait_ms, LONGEST_WAIT_MS)

    def _end(self) -> None:
        self._timer.stop()
        self._wait_ms = FIRST_WAIT_MS
