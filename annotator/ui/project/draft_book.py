"""What is in progress in the open project: how much on which image, and that it is written at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from annotator.domain.drafts.held import held_text

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession


class DraftBook(QObject):
    """Serves a session, as the class book does."""

    changed = Signal(object)
    """Ids of images where other objects are in progress now, or none."""
    counted = Signal(object)
    """The counts, whenever they changed."""

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self.counts: dict[int, int] = {}
        """Number of drafts, of the images where there are any."""
        self.unsaved: dict[int, dict[str, Any] | None] = {}
        """What could not be written yet."""

    def save(self, image_id: int, data: dict[str, Any] | None) -> None:
        """Keep what is in progress on an image; written when it returns."""
        store = self._session.store
        if store is None or store.is_read_only:
            return
        self.unsaved[image_id] = data

        def write() -> None:
            store.save_drafts(self.unsaved)
            self.unsaved = {}
            self.read()

        self._session.attempt(write, "drafts")

    def read(self) -> None:
        """From the file, after any change of it."""
        store = self._session.store
        before, self.counts = self.counts, store.draft_counts() if store is not None else {}
        changed = {image_id for image_id, _count in before.items() ^ self.counts.items()}
        if changed:
            self.counted.emit(self.counts)
            self.changed.emit(frozenset(changed))

    def forget_unsaved(self, image_ids: Iterable[int]) -> None:
        """Something newer was written for these images."""
        for image_id in image_ids:
            self.unsaved.pop(image_id, None)

    def forget(self) -> None:
        """Another project, or none."""
        self.counts, self.unsaved = {}, {}

    def text(self) -> str:
        """Which images hold something that is not accepted; empty when none does."""
        return held_text(self._session.images, self.counts)

    def after(self, sentence: str) -> str:
        """A sentence, and behind it what is not accepted."""
        return " ".join(filter(None, (sentence, self.text())))
