"""The drafts of each image: always in the project file, so that neither leaving the image nor a crash loses it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from PySide6.QtCore import QObject

from annotator.domain.brevity import brief
from annotator.domain.drafts.kept import accepted_of
from annotator.domain.project import Annotation, ImageRecord
from annotator.io.project.soundness import mask_problem
from annotator.ui.project.damage import note_damage
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController


class KeptDrafts(QObject):
    """Writes drafts, and brings them back when their image is opened again."""

    def __init__(self, session: ProjectSession, refine: RefineController, *, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._refine = session, refine
        self._size_wh = (0, 0)
        """Of the image that is open, in pixels."""
        refine.draft_changed.connect(session.drafts.save)
        session.drafts.changed.connect(self._on_changed)

    def bring_back(self, record: ImageRecord, *, size_wh: tuple[int, int]) -> str:
        """Bring back the drafts of the image that is open now, of this size in pixels; what to say about them."""
        self._size_wh = size_wh
        store = self._session.store
        kept = store.draft(record.id) if store is not None else None
        if kept is None:
            return ""
        parked = self._refine.state.parked
        origins, lost = self._origins(kept)
        self._refine.restore(self._with_classes(kept), annotations=origins)
        state = self._refine.state
        if state.is_active:
            return f"The current object is back.{lost}"
        waits = "An accepted object is stored as soon as its mask is there."
        return f"{waits}{lost}" if state.parked > parked else ""

    def _origins(self, kept: dict[str, Any]) -> tuple[list[Annotation], str]:
        """The objects that are being refined and can be, and a sentence about those that cannot: what was done to
        them begins a new one."""
        rows = {annotation.id: annotation for annotation in self._session.annotations}
        usable, lost = [], []
        for named in _origin_ids(kept):
            origin = rows.get(named)
            store = self._session.store
            if origin is None:
                is_known = store is not None and ("annotation", named) in store.damage
                lost.append(f"object {brief(named)} is {'damaged' if is_known else 'gone'}")
            elif problem := mask_problem(origin):
                note_damage(self._session, origin, problem)
                lost.append(f"object {brief(named)} is damaged")
            elif (origin.image_width, origin.image_height) != self._size_wh:
                lost.append(f"object {brief(named)} belongs to another size of the image")
            else:
                usable.append(origin)
        if not lost:
            return usable, ""
        reasons = "; ".join(lost)
        return usable, f" {reasons[0].upper()}{reasons[1:]}, so what was changed in it is a new object now."

    def _on_changed(self, image_ids: frozenset[int]) -> None:
        """The document has brought something back that the person works on now (a step back)."""
        image = self._session.image
        held = image_ids & self._session.drafts.counts.keys()
        if image is not None and image.id in held and self._refine.lacks(image.id):
            told = self.bring_back(image, size_wh=self._size_wh)
            if "new object" in told:
                self._session.reported.emit(told)

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


def _origin_ids(kept: dict[str, Any]) -> list[int]:
    """The objects that drafts were begun on, each once."""
    named = (one.get("annotation_id") for one in (kept, *accepted_of(kept)))
    return list(dict.fromkeys(one for one in named if isinstance(one, int)))


def _is_one_of(value: object, known: Container[int]) -> bool:
    """A file may be damaged: a class may be no number."""
    return isinstance(value, int) and value in known
