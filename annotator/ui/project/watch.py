"""Whether the file of the open project is still in its place: SQLite goes on writing into one that was deleted."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from PySide6.QtCore import QObject, QThreadPool, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from annotator.domain.errors import UserError
from annotator.domain.project import Change
from annotator.io.project.place import SUFFIX
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.loading import PoolJob

TOPIC = f"{Subject.FILE}/gone"


class ProjectWatch(QObject):
    """Looks after every change, beside the GUI thread, and tells above the canvas."""

    _arrived = Signal(object, bool)

    def __init__(self, session: ProjectSession, notices: Notices, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._notices, self._parent = session, notices, parent
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._is_looking = self._is_over = False
        self._arrived.connect(self._on_arrived)
        session.changed.connect(self._look)

    def is_there(self) -> bool:
        """Look now, because the person asked; what is wrong is told."""
        store = self._session.store
        if store is None:
            return False
        is_there = store.path.exists()
        self._tell(store.path, is_there=is_there)
        return is_there

    def shut_down(self) -> None:
        """Wait for what still runs; call before the program ends."""
        self._is_over = True
        self._pool.waitForDone(5000)

    def _look(self, _change: Change) -> None:
        store = self._session.store
        if store is None or self._is_looking or self._is_over:
            return
        self._is_looking, path = True, store.path

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(path, error is None and bool(result))

        self._pool.start(PoolJob(path.exists, done))

    @Slot(object, bool)
    def _on_arrived(self, path: Path, is_there: bool) -> None:
        self._is_looking = False
        if self._session.store is not None and self._session.store.path == path:
            self._tell(path, is_there=is_there)

    def _tell(self, path: Path, *, is_there: bool) -> None:
        if is_there:
            self._notices.withdraw(Subject.FILE)
            return
        self._notices.warn(
            f"{path.name} is not in its place any more: the file or its folder was moved or deleted. Put it back, or "
            "save a copy; until then nothing that you accept is safe.",
            about=TOPIC,
            action=("Save a copy…", self._ask_copy),
        )

    def _ask_copy(self) -> None:
        store = self._session.store
        if store is None:
            return
        suggestion = platformdirs.user_documents_path() / store.path.name
        kinds = f"Annotator projects (*{SUFFIX})"
        name, _ = QFileDialog.getSaveFileName(self._parent, "Save a copy of the project", str(suggestion), kinds)
        if not name:
            return
        try:
            # Only this connection still knows what is in the file; another thread could not open it.
            store.backup(name)
        except UserError as error:
            self._notices.warn(str(error), about=TOPIC, action=("Save a copy…", self._ask_copy))
        else:
            self._notices.tell(f"The copy is saved as {Path(name).name}. Open it to go on.", about=Subject.FILE)
