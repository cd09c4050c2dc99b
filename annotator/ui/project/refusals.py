"""What the project file did not take, said above the canvas: with a button that tries again, and for as long as it is
true. What waits for another program's lock is tried by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PySide6.QtCore import QObject

from annotator.domain.drafts.state import RefineState
from annotator.domain.errors import ProjectBusyError, UserError
from annotator.ui.notices import Notices
from annotator.ui.project.attempts import ACCEPT, EDIT
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController

_log = logging.getLogger(__name__)
_SAVE, _ACCEPT = "save", "accept"
_BY_ITSELF = {
    _SAVE: "What you did is kept, and written by itself as soon as that program lets go.",
    _ACCEPT: "The object is accepted by itself as soon as that program lets go.",
}


class Refusals(QObject):
    """One per window."""

    def __init__(self, session: ProjectSession, refine: RefineController, notices: Notices, *, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._refine, self._notices = session, refine, notices
        self._attempts = session.attempts
        self._accept_of: RefineState | None = None
        """The object whose accept is held, as it was then."""
        self._told: dict[str, str] = {}
        """What is said of held work, by topic."""
        session.opened.connect(lambda: self._over(_SAVE))
        session.failed.connect(self._on_failed)
        refine.not_stored.connect(self._on_not_stored)
        refine.accepted.connect(lambda *_: self._on_accepted())
        refine.state_changed.connect(self._on_refine)
        self._attempts.held_up.connect(lambda error: self._tell_held(_SAVE, error.message))
        self._attempts.settled.connect(self._on_settled)

    def leave_image(self) -> None:
        """The object that could not be accepted is kept as a draft."""
        self._attempts.forget(ACCEPT)
        self._over(_ACCEPT)

    # --- what was refused -------------------------------------------------------------------------------------------

    def _on_failed(self, error: UserError, retry: Callable[[], object] | None) -> None:
        self._told.pop(_SAVE, None)
        self._notices.warn(str(error), about=_SAVE, action=("Try again", retry) if retry is not None else None)

    def _on_not_stored(self, error: UserError, draft_epoch: int) -> None:
        """The disk refused an accept: the very same object can be tried again, as long as it is a draft."""
        _log.warning("%s", error)

        def accept() -> None:
            self._refine.accept(epoch=draft_epoch)

        if isinstance(error, ProjectBusyError) and draft_epoch:
            self._accept_of = None
            self._attempts.hold(ACCEPT, accept)
            self._tell_held(_ACCEPT, error.message)
            return
        self._told.pop(_ACCEPT, None)
        self._notices.warn(str(error), about=_ACCEPT, action=("Try again", accept) if draft_epoch else None)

    def _tell_held(self, topic: str, message: str) -> None:
        if self._told.get(topic) == message:
            return  # it is said: no flicker at every look at the lock
        self._told[topic] = message
        self._notices.warn(
            f"{message} {_BY_ITSELF[topic]}",
            about=topic,
            action=("Try again", lambda: self._try_again(topic)),
            on_close=lambda: self._give_up(topic),
        )

    def _try_again(self, topic: str) -> None:
        """The button: it took the bar away."""
        message = self._told.pop(topic)
        if not self._attempts.try_now() and not self._notices.has(topic) and self._is_held(topic):
            self._tell_held(topic, message)

    def _give_up(self, topic: str) -> None:
        """The person closed the bar: the change is not wanted any more. Drafts and places are kept all the same."""
        self._told.pop(topic, None)
        self._attempts.forget(ACCEPT if topic == _ACCEPT else EDIT)

    # --- what is over -----------------------------------------------------------------------------------------------

    def _is_held(self, topic: str) -> bool:
        held = self._attempts.is_held(ACCEPT)
        return held if topic == _ACCEPT else len(self._attempts) > held

    def _on_settled(self) -> None:
        for topic in tuple(self._told):
            if not self._is_held(topic):
                self._over(topic)

    def _on_accepted(self) -> None:
        self._attempts.forget(ACCEPT)
        self._over(_ACCEPT)
        if not self._is_held(_SAVE):
            self._over(_SAVE)

    def _on_refine(self, state: RefineState) -> None:
        """Whoever goes on working on the object accepts it when it is finished."""
        if not self._attempts.is_held(ACCEPT):
            return
        before, self._accept_of = self._accept_of or state, state
        same = state.prompts == before.prompts and state.candidate_index == before.candidate_index
        if not same and not state.is_accept_pending:
            self.leave_image()

    def _over(self, topic: str) -> None:
        self._told.pop(topic, None)
        self._notices.withdraw(topic)
