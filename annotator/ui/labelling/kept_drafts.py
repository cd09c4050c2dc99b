"""What is in work on each image: in the project file for a crash, and in memory for every image that was left."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject

from annotator.domain.project import Annotation, Change, ImageRecord
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController


class KeptDrafts(QObject):
    """Follows the object in work of the image that is open."""

    def __init__(self, session: ProjectSession, refine: RefineController, *, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._refine = session, refine
        self._open_id: int | None = None
        self._kept: dict[int, dict[str, Any]] = {}
        """By image. The project file keeps the newest alone."""
        refine.draft_changed.connect(self._on_draft)
        refine.accepted.connect(self._on_accepted)

    def open(self, record: ImageRecord) -> bool:
        """Bring back what was in work on an image, which is open from now on; whether there was anything."""
        self._open_id = record.id
        stored = self._session.store.draft() if self._session.store else None
        draft = stored[1] if stored is not None and stored[0] == record.id else self._kept.get(record.id)
        if draft is None or self._refine.is_waiting_for(record.id, draft):
            return False
        if draft.get("category_id") not in self._session.categories:
            draft = {**draft, "category_id": None}
        origin_id = draft.get("annotation_id")
        origin = next((a for a in self._session.annotations if a.id == origin_id), None)
        if origin_id is not None and origin is None:
            return False
        self._refine.restore(draft, origin=origin)
        return self._refine.state.is_active

    def close(self) -> None:
        """The person leaves the image: what is in work there stays as it is."""
        self._open_id = None

    def forget(self) -> None:
        """Another project."""
        self._kept = {}

    def _on_draft(self, draft: dict[str, Any] | None) -> None:
        if self._open_id is None:
            return
        self._session.save_draft(self._open_id, draft)
        if draft is None:
            self._kept.pop(self._open_id, None)
        else:
            self._kept[self._open_id] = draft

    def _on_accepted(self, annotation: Annotation, _change: Change) -> None:
        """It is in work no longer; what was begun behind it is."""
        if _prompts_of(self._kept.get(annotation.image_id, {})) == annotation.prompts:
            self._kept.pop(annotation.image_id, None)
        store = self._session.store
        stored = store.draft() if store is not None else None
        if stored is not None and stored[0] == annotation.image_id and _prompts_of(stored[1]) == annotation.prompts:
            self._session.save_draft(annotation.image_id, None)


def _prompts_of(draft: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in draft.items() if key not in ("annotation_id", "category_id", "turns")}
