"""A project that wants images from outside of its own folder: asked above the canvas before anything there is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from annotator.domain.brevity import MOST_MESSAGE, brief
from annotator.io.project import agreed
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.background import Errand

TOPIC = f"{Subject.PROJECT}/folder"


class FolderQuestion(QObject):
    """Part of the file actions.

    Args:
        reopen: opens a project file in the window.
    """

    def __init__(
        self, session: ProjectSession, notices: Notices, *, reopen: Callable[[Path], None], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._session, self._notices, self._reopen = session, notices, reopen
        self._errand = Errand(self)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    def ask(self) -> None:
        """Called when a project was opened, and whenever an image of the folder is to be shown."""
        store, folder = self._session.store, self._session.asks_for
        if store is None or folder is None or self._notices.has(TOPIC):
            return
        project, place = store.path, brief(folder, MOST_MESSAGE)  # as a whole: it is what the person agrees to
        self._notices.offer(
            f"{brief(project.name)} wants to read images from {place}, outside of its own folder. Is that right?",
            about=TOPIC,
            action=("Allow", lambda: self._allow(project, folder)),
            not_now="Not now",
        )

    def _allow(self, project: Path, folder: Path) -> None:
        """Kept with the person's settings; then the project is opened as any other."""
        self._errand.start(
            lambda: agreed.agree(project, folder),
            lambda _none: self._reopen(project),
            lambda error: self._notices.warn(str(error), about=TOPIC),
        )
