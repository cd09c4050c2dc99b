"""What reading images has shown, and where the person is, on its way into the project's file: written when the person
rests, so that going through a series does not wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from annotator.domain.project import Change
from annotator.io.project.identifiers import facts_to_keep

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession

REST_MS = 150
_PIECE_MS = 10
_AT_ONCE = 6
"""Images: each takes the better part of a millisecond."""


@dataclass(frozen=True, slots=True)
class _Facts:
    sha256: str
    width: int
    height: int
    extra: dict[str, Any]


class FactBook(QObject):
    """Part of a :class:`ProjectSession`. What is known of an image holds in the window at once."""

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._waiting: dict[int, _Facts] = {}
        self._position = 0
        """The image that was gone to, as long as the file does not know."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._changed: set[int] = set()
        """Images whose facts are written, and of which nobody was told."""
        self._timer.timeout.connect(lambda: self._write(_AT_ONCE))

    @property
    def is_waiting(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._waiting or self._position)

    def take_position(self, image_id: int) -> None:
        """Remember which image is open."""
        self._position = image_id
        self._timer.start(REST_MS)

    def take(self, image_id: int, *, sha256: str, width: int, height: int, extra: dict[str, Any]) -> None:
        """Remember what reading an image showed; a replaced image file is reported."""
        session = self._session
        if session.store is None:
            return
        facts = _Facts(sha256, width, height, facts_to_keep(session.store, extra, session.remember))
        row = session.row_of.get(image_id)
        if row is not None:
            image = session.images[row]
            session.images[row] = replace(
                image,
                sha256=sha256 or image.sha256,
                width=width or image.width,
                height=height or image.height,
                extra={**image.extra, **facts.extra},
            )
        self._waiting[image_id] = facts
        self._timer.start(REST_MS)

    def settle(self) -> None:
        """Write what waits now."""
        self._timer.stop()
        if self.is_waiting:
            self._write(len(self._waiting))

    def _write(self, count: int) -> None:
        session = self._session
        store = session.store
        chosen = [*self._waiting.items()][:count]
        for image_id, _ in chosen:
            del self._waiting[image_id]
        position, self._position = self._position, 0
        if position:
            session.remember("position", str(position))
        if store is None:
            self._waiting.clear()
            self._changed.clear()
            return
        notices: list[str] = []
        for image_id, facts in chosen:

            def work(image_id: int = image_id, facts: _Facts = facts) -> None:
                change = store.record_image_facts(
                    image_id, sha256=facts.sha256, width=facts.width, height=facts.height, extra=facts.extra
                )
                self._changed |= change.image_ids
                if change.notice and session.image is not None and session.image.id == image_id:
                    notices.append(change.notice)

            what, row = f"facts of image {image_id}", session.row_of.get(image_id)
            is_refused = not session.attempt(work, what) and not session.attempts.is_held(what)
            if is_refused and row is not None and session.store is store:
                session.images[row] = store.image(image_id)  # it is not so: the file is another one than it was
        for notice in notices:
            session.warned.emit(notice)
        if self._waiting:
            self._timer.start(_PIECE_MS)
        elif self._changed:
            changed, self._changed = frozenset(self._changed), set()
            session.changed.emit(Change("image facts", changed))
