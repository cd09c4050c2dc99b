"""Actions of other packages in the window: looked for beside its thread, and run there."""

from __future__ import annotations

import logging
from typing import cast

from PySide6.QtCore import QObject

from annotator import plugins
from annotator.domain.brevity import brief, brief_message
from annotator.domain.errors import UserError
from annotator.domain.ports.actions import ActionContext, ActionSpec, Run
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.action_rows import ActionRow
from annotator.ui.shell.added_rows import added_rows
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand

_log = logging.getLogger(__name__)
TOPIC = "added action"


class AddedActions(QObject):
    """One action of another package at a time."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session, self._notices = window, session, window.notices
        self._running = ""
        self._work, search = Errand(self), Errand(self)
        window.closing.connect(search.shut_down)
        search.start(added_rows, self._add, self._on_not_found)

    def run(self, spec: ActionSpec) -> None:
        """Do what the row says, with what is open now, beside this thread."""
        if self._running:
            self._notices.tell(f"{self._running} is still running.", about=TOPIC)
            return
        context = self._context()
        name = self._running = spec.title.rstrip("…")

        def work() -> str | None:
            # Loaded here: importing a package may take as long as it likes.
            return cast(Run, plugins.load_target(spec.run))(context)

        self._notices.tell(f"{brief(name)}…", about=TOPIC, stays=True)
        self._work.start(work, lambda text: self._on_done(name, text), lambda error: self._on_failed(name, error))

    def shut_down(self) -> None:
        """Wait for the end of what still runs."""
        self._work.shut_down()

    def _context(self) -> ActionContext:
        session = self._session
        if session.store is None:
            return ActionContext()
        image = session.image
        return ActionContext(
            project_path=session.store.path,
            image=image,
            image_path=None if image is None else session.image_path(image),
            annotations=session.annotations if image is not None else (),
            selected=frozenset(self._window.objects.selected_ids()),
            categories=tuple(session.categories.values()),
        )

    def _add(self, rows: tuple[ActionRow, ...]) -> None:
        if rows:
            self._window.take_actions(rows)

    def _on_not_found(self, error: Exception) -> None:
        raise error

    def _on_done(self, name: str, text: object) -> None:
        self._running = ""
        self._notices.withdraw(TOPIC)
        if text is not None and not isinstance(text, str):
            _log.warning("%s answered %r, which is no text", name, text)
        self._notices.tell(text if isinstance(text, str) and text else f"{brief(name)}: done.", about=TOPIC)

    def _on_failed(self, name: str, error: Exception) -> None:
        self._running = ""
        self._notices.withdraw(TOPIC)
        if isinstance(error, UserError):
            text = str(error)
        else:
            _log.error("the action %s of a package failed", name, exc_info=error)
            kind, advice = type(error).__name__, "It belongs to another package: tell its authors."
            text = f"{brief(name)} failed ({kind}: {brief_message(str(error))}). {advice}"
        self._notices.warn(text, about=TOPIC)
