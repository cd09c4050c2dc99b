"""Which model a project is labelled with: kept in its file when a person chooses one, and loaded again with it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Slot

from annotator.domain.ports.engine import ModelInfo
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.worker import EngineClient

_KEY = "model"


class ModelMemory(QObject):
    """A project for which nothing was chosen is labelled with the model of the settings.

    Args:
        usual: the model of the settings; empty for the best that is here.
        is_here: whether a model of that name can be loaded.
        load: loads a model, for this project alone.
    """

    def __init__(
        self,
        session: ProjectSession,
        client: EngineClient,
        notices: Notices,
        *,
        usual: Callable[[], str],
        is_here: Callable[[str], bool],
        load: Callable[[str], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._client, self._notices = session, client, notices
        self._usual, self._is_here, self._load = usual, is_here, load
        self._is_due = self._was_put_in = False
        session.opened.connect(self._on_opened)
        client.ready.connect(self._on_ready)

    def keep(self, name: str) -> None:
        """A person chose a model (empty: the best that is here). A file or a server is not kept: it is of this
        computer."""
        self._was_put_in = False
        if self._session.is_writable:
            self._session.remember(_KEY, name if self._is_here(name) else "")

    @Slot()
    def _on_opened(self) -> None:
        self._is_due = True
        self._restore()

    @Slot(object)
    def _on_ready(self, _info: ModelInfo) -> None:
        self._restore()

    def _restore(self) -> None:
        store, info = self._session.store, self._client.info
        if not self._is_due or store is None or info is None:
            return
        self._is_due = False
        kept = store.meta_get(_KEY) or ""
        if kept and not self._is_here(kept):
            text = f"This project was labelled with the model {kept}, which is not here. {info.name} answers."
            self._notices.warn(text, about=Subject.MODEL, is_error=False)
            return
        if kept and kept != info.source:
            self._was_put_in = True
            self._load(kept)
        elif not kept and self._was_put_in:
            self._was_put_in = False
            self._load(self._usual())
