"""Whether the file of the open project is still in its place, and still ours; the work is rescued when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError, UserError
from annotator.files.places import documents_dir
from annotator.io.project.identity import FileState
from annotator.io.project.place import SUFFIX
from annotator.io.project.store import ProjectStore
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.loading import PoolJob

TOPIC = f"{Subject.FILE}/gone"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look showed; ``rescued`` is where the work is, ``failure`` why it could not be saved."""

    state: FileState
    has_work: bool = False
    rescued: Path | None = None
    failure: str = ""


class ProjectWatch(QObject):
    """Looks after every change, beside the GUI thread, and reports above the canvas."""

    open_wanted = Signal(object)
    """Path of the project to go on with."""
    _arrived = Signal(object, object, object)
    _ready = Signal(object, object, object)

    def __init__(self, session: ProjectSession, notices: Notices, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._notices, self._parent = session, notices, parent
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._is_looking = self._is_due = self._is_over = False
        self._rescued: _Found | None = None
        """Of the open project, once: nothing comes to it any more."""
        self._arrived.connect(self._on_arrived)
        self._ready.connect(self._on_ready)
        session.changed.connect(lambda _change: self._look())
        session.replaced.connect(self._look)
        session.opened.connect(self._forget)

    def check(self) -> FileState:
        """Look now, because the person asked; what is wrong is reported."""
        store = self._session.store
        if store is None:
            return FileState.GONE
        state = store.held.state(is_thorough=True)
        if state.is_foreign:
            self._look()
        else:
            self._tell(store.path, _Found(state))
        return state

    def shut_down(self) -> None:
        """Wait for what still runs; call before the program ends."""
        self._is_over = True
        self._pool.waitForDone(5000)

    def _forget(self) -> None:
        self._rescued = None

    def _look(self) -> None:
        store = self._session.store
        if store is None or store.is_read_only or self._is_over:
            return
        if self._is_looking:
            self._is_due = True  # what is looked at now may be from before
            return
        self._is_looking, self._is_due, known = True, False, self._rescued

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(store, result, error)

        self._pool.start(PoolJob(lambda: known or _look_at(store), done))

    @Slot(object, object, object)
    def _on_arrived(self, store: ProjectStore, found: _Found | None, error: Exception | None) -> None:
        self._is_looking = False
        if self._is_due:
            self._look()
        if self._session.store is not store:
            return
        if found is None:
            # The drive does not answer: as good as gone, until it does.
            found = _Found(FileState.GONE)
            if not isinstance(error, OSError):
                raise error or RuntimeError("no answer")
        if found.state.is_foreign:
            self._rescued = found
        self._tell(store.path, found)

    def _tell(self, path: Path, found: _Found) -> None:
        if found.state is FileState.OURS:
            self._notices.withdraw(Subject.FILE)
            return
        text = found.state.value.format(path.name)
        if found.state is FileState.GONE:
            text += " Put it back, or save a copy; until then nothing that you accept is safe."
            action = ("Save a copy…", self._ask_copy)
        elif found.rescued is not None:
            rescued = found.rescued
            text += f" It was not touched; your version is saved beside it as {brief(rescued.name)}."
            action = ("Continue in your version", lambda: self._go_on(rescued))
        elif found.has_work:
            text += f" It was not touched. {found.failure}"
            action = ("Save a copy…", self._ask_copy)
        else:
            text += " You had changed nothing."
            action = ("Open what is there now", lambda: self._go_on(path))
        self._notices.warn(text, about=TOPIC, action=action)

    def _go_on(self, path: Path) -> None:
        """Open this version, with what is in progress and no file has yet."""
        is_ours = self._rescued is not None and path == self._rescued.rescued
        unsaved = dict(self._session.drafts.unsaved) if is_ours else {}

        def work() -> None:
            if unsaved:
                with ProjectStore.open(path) as rescued:
                    rescued.save_drafts(unsaved)

        self._pool.start(PoolJob(work, lambda _result, error: self._ready.emit(self._session.store, path, error)))

    @Slot(object, object, object)
    def _on_ready(self, store: ProjectStore | None, path: Path, error: Exception | None) -> None:
        if store is not self._session.store or self._is_over:
            return
        if error is not None and not isinstance(error, UserError):
            raise error
        self.open_wanted.emit(path)  # which tells what is wrong with it, if anything is

    def _ask_copy(self) -> None:
        store = self._session.store
        if store is None:
            return
        suggestion = documents_dir() / store.path.name
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
            self._notices.tell(f"The copy is saved as {brief(Path(name).name)}. Open it to go on.", about=Subject.FILE)


def _look_at(store: ProjectStore) -> _Found:
    state = store.held.state()
    if not state.is_foreign:
        return _Found(state)
    with store.held.kept_open() as is_open:
        if not is_open:
            return _Found(FileState.OURS)  # what is missing went with the closing
        if not store.held.has_work:
            return _Found(state)
        try:
            return _Found(state, has_work=True, rescued=store.held.rescue())
        except ProjectError as error:
            return _Found(state, has_work=True, failure=str(error))
