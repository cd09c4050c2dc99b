"""What is in work on each image: always in the project file, so that neither leaving the image nor a crash loses it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from PySide6.QtCore import QObject

from annotator.domain.drafts.kept import accepted_of
from annotator.domain.project import ImageRecord
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController


class KeptDrafts(QObject):
    """Writes what is in work, and brings it back when its image is opened again."""

    def __init__(self, session: ProjectSession, refine: RefineController, *, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._refine = session, refine
        refine.draft_changed.connect(session.drafts.save)
        session.drafts.changed.connect(self._on_changed)

    def bring_back(self, record: ImageRecord) -> str:
        """Bring back what was in work on the image that is open now; what to tell about it."""
        store = self._session.store
        kept = store.draft(record.id) if store is not None else None
        if kept is None:
            return ""
        parked = self._refine.state.parked
        self._refine.restore(self._with_classes(kept), annotations=self._session.annotations)
        state = self._refine.state
        if state.is_active:
            return "The object in work is back."
        return "An accepted object is stored as soon as its mask is there." if state.parked > parked else ""

    def _on_changed(self, image_ids: frozenset[int]) -> None:
        """The document has brought something back that the person works on now (a step back)."""
        image = self._session.image
        held = image_ids & self._session.drafts.counts.keys()
        if image is not None and image.id in held and self._refine.lacks(image.id):
            self.bring_back(image)

    def _with_classes(self, kept: dict[str, Any]) -> dict[str, Any]:
        """A class that is gone is that of the object, or for what was accepted, the one in use."""
        known = self._session.categories
        if "category_id" in kept and not _is_one_of(kept["category_id"], known):
            kept = {**kept, "category_id": None}
        instead = self._session.classes.current_id
        accepted = [
            one if _is_one_of(one.get("accepted_as"), known) else {**one, "accepted_as": instead}
            for one in accepted_of(kept)
        ]
        return {**kept, "accepted": accepted} if accepted else kept


def _is_one_of(value: object, known: Container[int]) -> bool:
    """A file may be damaged: a class may be no number."""
    return isinstance(value, int) and value in known
