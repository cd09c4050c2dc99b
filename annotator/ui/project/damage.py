"""What is damaged in the project: named, left out, and brought back from the history when the person wants it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QThreadPool, Signal, Slot

from annotator.domain.project import Annotation, ImageRecord
from annotator.io.project.history import last_good
from annotator.io.project.soundness import Damage
from annotator.io.project.store import ProjectStore
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.loading import PoolJob

_ON_IMAGE = f"{Subject.IMAGE}/damage"
_IN_PROJECT = f"{Subject.PROJECT}/damage"
_NAMED = 3


def note_damage(session: ProjectSession, annotation: Annotation, reason: str) -> None:
    """The mask of an object turned out to be none; it is reported once."""
    store, place = session.store, ("annotation", annotation.id)
    if store is not None and place not in store.damage:
        store.damage[place] = Damage("annotation", annotation.id, annotation.image_id, reason, True)
        session.damaged.emit()


class DamageNotices(QObject):
    """Follows ``session.damaged``."""

    _found = Signal(object, object, object)

    def __init__(self, session: ProjectSession, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._notices = session, notices
        self._told: set[tuple[str, int]] = set()
        """What was reported of the open project as a whole."""
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._found.connect(self._on_found)
        session.opened.connect(self._told.clear)
        # Later: what is reported of the image before goes when the next one comes.
        session.damaged.connect(self._tell, Qt.ConnectionType.QueuedConnection)
        session.image_changed.connect(self._on_image, Qt.ConnectionType.QueuedConnection)

    def is_known(self, annotation: Annotation) -> bool:
        """Whether an object is damaged, as far as anybody has looked."""
        store = self._session.store
        return store is not None and ("annotation", annotation.id) in store.damage

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._pool.waitForDone(5000)

    @Slot(object)
    def _on_image(self, _image: ImageRecord | None) -> None:
        self._tell()

    @Slot()
    def _tell(self) -> None:
        store, image = self._session.store, self._session.image
        if store is None:
            return
        general = [d for place, d in store.damage.items() if d.table != "annotation" and place not in self._told]
        if general:
            self._told |= {(damage.table, damage.id) for damage in general}
            self._notices.warn(_sentence(general), about=_IN_PROJECT, is_error=False)
        here = [d for d in store.damage.values() if d.table == "annotation" and image and d.image_id == image.id]
        if here:
            lost = [damage for damage in here if damage.is_left_out]
            action = ("Bring back", lambda: self._search(store, lost)) if lost and self._session.is_writable else None
            self._notices.warn(_sentence(here), about=_ON_IMAGE, is_error=bool(lost), action=action)

    def _search(self, store: ProjectStore, lost: list[Damage]) -> None:
        """The history may be long: beside the GUI thread, by a connection of its own."""

        def work() -> list[Annotation]:
            with ProjectStore.open(store.path, read_only=True) as reader:
                return [row for damage in lost if (row := last_good(reader.held.connection, damage.id)) is not None]

        def done(result: object, error: Exception | None) -> None:
            self._found.emit(store, result, (lost, error))

        self._pool.start(PoolJob(work, done))

    @Slot(object, object, object)
    def _on_found(self, store: ProjectStore, rows: list[Annotation] | None, asked: tuple[list[Damage], object]) -> None:
        lost, error = asked
        if store is not self._session.store:
            return
        if isinstance(error, Exception):
            raise error
        rows = rows or []
        for row in rows:
            self._session.attempt(lambda row=row: self._session.broadcast(store.restore(row)))  # type: ignore[misc]
        gone = [damage for damage in lost if damage.id not in {row.id for row in rows}]
        if rows:
            names = ", ".join(str(row.id) for row in rows[:_NAMED])
            self._notices.tell(f"Brought back from the history: object {names}.", about=Subject.CHANGE)
        if gone:
            text = f"{_sentence(gone)} The history has no earlier state: draw it again."
            self._notices.warn(text, about=_ON_IMAGE)


def _sentence(damages: list[Damage]) -> str:
    named = "; ".join(map(str, damages[:_NAMED]))
    more = f"; and {len(damages) - _NAMED} more" if len(damages) > _NAMED else ""
    return f"The project file is damaged: {named}{more}."
