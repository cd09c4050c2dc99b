"""The window's end: not before the last accepted mask is in the project file; what would be stopped is named first,
and once, drafts are named."""

from __future__ import annotations

import logging

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from annotator.domain.errors import UserError
from annotator.io.settings import Settings
from annotator.jobs.job import Job
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.main_window import MainWindow

_log = logging.getLogger(__name__)


class ClosingGate(QObject):
    """Says whether the window may close now; if not, it closes the window later.

    Args:
        window: its ``may_close`` becomes this gate.
    """

    def __init__(
        self,
        window: MainWindow,
        patience: Patience,
        *,
        session: ProjectSession,
        settings: Settings,
    ) -> None:
        super().__init__(window)
        self._window, self._patience = window, patience
        self._session, self._settings = session, settings
        self._is_waiting = self._is_due = False
        self._told: tuple[Job, ...] = ()
        """The jobs that the person knows of."""
        window.may_close = self.may_close
        window.closing.connect(patience.forget_all)

    def may_close(self) -> bool:
        """Asked by the window for every wish to close it."""
        if self._is_due:
            return True
        if not self._patience.must_wait():
            return not (self._tell_of_jobs() or self._tell_of_drafts())
        if self._is_waiting:
            # Asked again: the person does not want to wait for an engine that may not come back.
            self._patience.offer_way_out()
        else:
            self._is_waiting = True
            self._patience.wait(
                self._close, then="The window closes by itself", way_out="Close without it", give_up=self._stay
            )
        return False

    def _tell_of_jobs(self) -> bool:
        """Say what the end of the window would stop; whether there is something that was not said yet."""
        ending = self._window.jobs.ending
        if _is_logging_out() or all(job in self._told for job in ending):
            return False
        self._told = ending
        what = f"{ending[0].title} is" if len(ending) == 1 else f"{len(ending)} jobs are"
        self._window.notices.warn(
            f"{what} still running. Close again to stop it and leave; nothing is left half-written.",
            about="jobs",
            is_error=False,
            action=("Stop and close", self._close),
        )
        return True

    def _tell_of_drafts(self) -> bool:
        """Say, the first time that it happens to this person, that nothing in progress is lost; whether it was said."""
        held = self._session.drafts.text()
        if not held or self._settings.get("knows_drafts_stay") or _is_logging_out():
            return False
        try:
            self._settings.set("knows_drafts_stay", True)
        except UserError as error:  # it holds for this session, so the next wish closes the window
            _log.warning("%s", error)
        self._window.notices.warn(
            f"{held}. Unaccepted objects stay in the project and are back when you open their image. "
            "Close again to leave.",
            about=Subject.WORK,
            is_error=False,
            action=("Close", self._close),
        )
        return True

    def _close(self) -> None:
        self._is_due = True
        self._window.close()

    def _stay(self) -> None:
        """The mask did not come, or was taken back: the person sees to that first, and can close right after."""
        self._is_waiting = False


def _is_logging_out() -> bool:
    app = QGuiApplication.instance()
    return isinstance(app, QGuiApplication) and app.isSavingSession()
