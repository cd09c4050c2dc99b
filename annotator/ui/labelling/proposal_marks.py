"""How many proposals wait in each image: marks in the film strip, kept in step with what the person does."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.ui.labelling.proposals import Proposals
from annotator.ui.panels.film import FilmStrip
from annotator.ui.panels.list_models import PROPOSALS_ROLE
from annotator.ui.project.session import ProjectSession


class ProposalMarks(QObject):
    """One per window."""

    def __init__(self, session: ProjectSession, proposals: Proposals, film: FilmStrip, *, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._proposals, self._film = session, proposals, film
        self._counts: dict[int, int] = {}
        session.opened.connect(self._read)
        proposals.changed.connect(self._on_changed)

    def set_count(self, image_id: int, count: int) -> None:
        """So many wait in an image now."""
        if self._counts.get(image_id, 0) == count:
            return
        if count:
            self._counts[image_id] = count
        else:
            self._counts.pop(image_id, None)
        self._film.model.set_counts(self._counts, PROPOSALS_ROLE)

    def _read(self) -> None:
        store = self._session.store
        counts: dict[int, int] = {}
        if store is not None:
            self._session.attempt(lambda: counts.update(store.proposals.counts()))
        self._counts = counts
        self._film.model.set_counts(counts, PROPOSALS_ROLE)

    def _on_changed(self) -> None:
        picture = self._proposals.seeing.picture
        if picture is not None and self._proposals.book.is_read:
            self.set_count(picture.image_id, self._proposals.review.open_count)
