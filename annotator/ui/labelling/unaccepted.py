"""What becomes of a current object when its image is called done: asked above the canvas, answered by one key."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from annotator.domain.drafts.state import RefineState
from annotator.domain.prompt import Prompts
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.question import Answer, QuestionBar

QUESTION = "This object is not accepted yet. Accept it before the image is done?"


class Unaccepted(QObject):
    """Asks; any other work on the object, or another image, withdraws the question.

    Args:
        key_of: the key of an action by its id, as it is written to the person; empty for none.
        accept, drop: what the answers do.
    """

    def __init__(
        self,
        bar: QuestionBar,
        session: ProjectSession,
        refine: RefineController,
        *,
        key_of: Callable[[str], str],
        accept: Callable[[], None],
        drop: Callable[[], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._bar, self._refine, self._key_of = bar, refine, key_of
        self._accept, self._drop = accept, drop
        self._asked_about = Prompts()
        refine.state_changed.connect(self._on_refine)
        session.image_changed.connect(lambda _image: bar.withdraw())

    @property
    def is_wanted(self) -> bool:
        """Whether something in progress would go unnoticed."""
        state = self._refine.state
        return state.is_worth_keeping and not state.is_accept_pending

    def ask(self) -> None:
        self._asked_about = self._refine.state.prompts
        answers = (
            Answer("Accept and go on", self._key_of("accept"), self.accept),
            Answer("Drop it", self._key_of("remove_last"), self.drop),
            Answer("Stay", self._key_of("cancel"), self.stay),
        )
        self._bar.ask(QUESTION, answers)

    def accept(self) -> bool:
        """The key that accepts; False when nothing is asked."""
        return self._answer(self._accept)

    def drop(self) -> bool:
        """The key that takes the last click away; False when nothing is asked."""
        return self._answer(self._drop)

    def stay(self) -> bool:
        """The key that cancels; False when nothing is asked."""
        return self._answer(lambda: None)

    def _answer(self, act: Callable[[], None]) -> bool:
        if not self._bar.is_open:
            return False
        self._bar.withdraw()
        act()
        return True

    def _on_refine(self, state: RefineState) -> None:
        if self._bar.is_open and (state.prompts != self._asked_about or not self.is_wanted):
            self._bar.withdraw()
