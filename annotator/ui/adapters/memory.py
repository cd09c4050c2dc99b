"""Which adapter a project is labelled with: kept in its file, for each model of its own, and used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject

from annotator.domain.ports.engine import AdapterInUse
from annotator.engine.sam2.adapter_shelf import AdapterEntry
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.worker import EngineClient

_KEY = "adapter/"
"""Followed by the base's SHA-256."""


class AdapterMemory(QObject):
    """When a project is opened, or another model loaded, the adapter of both is put in; without one the base answers.

    Args:
        use: puts an adapter in, or takes it out (None).
        fitting: the adapters of the model in use; none before they were looked up.
    """

    def __init__(
        self,
        session: ProjectSession,
        client: EngineClient,
        notices: Notices,
        *,
        use: Callable[[AdapterEntry | None], None],
        fitting: Callable[[], Sequence[AdapterEntry]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._client, self._notices = session, client, notices
        self._use, self._fitting = use, fitting
        self._is_due = self._are_listed = False
        session.opened.connect(self._on_opened)
        client.ready.connect(lambda _info: self._on_model())
        client.adapter_changed.connect(self._on_adapter)

    def on_listed(self) -> None:
        """The adapters were looked up."""
        self._are_listed = True
        self._restore()

    def _on_opened(self) -> None:
        self._is_due = True
        self._restore()

    def _on_model(self) -> None:
        # They are looked up anew for another model.
        self._is_due, self._are_listed = True, False

    def _restore(self) -> None:
        store, info = self._session.store, self._client.info
        if not self._is_due or store is None or info is None or not self._are_listed:
            return
        self._is_due = False
        wanted = store.meta_get(_KEY + info.sha256) or ""
        now = "" if self._client.adapter is None else self._client.adapter.name
        if wanted == now:
            return
        found = next((entry for entry in self._fitting() if entry.name == wanted), None)
        if wanted and found is None:
            text = f"This project was labelled with the adapter {wanted}, which is not here. The base answers."
            self._notices.warn(text, about=Subject.ADAPTER, is_error=False)
        if found is not None or now:
            self._use(found)

    def _on_adapter(self, adapter: AdapterInUse | None, _took_ms: float) -> None:
        info = self._client.info
        if not self._is_due and self._session.is_writable and info is not None:
            self._session.remember(_KEY + info.sha256, "" if adapter is None else adapter.name)
