"""One way back and forth through clicks and changes of the project, in the order in which the person made them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController

_KEPT = 1000


class _Step(Enum):
    """What a step back took away."""

    CLICK = auto()
    CHANGE = auto()


class Steps:
    """Serves undo and redo: prompts of the current object first, then the document.

    Args:
        step_back: within a shape that is being drawn; False when there is none.
        undo_drop: takes back that proposals were dropped; False when something else was done since.
    """

    def __init__(
        self,
        session: ProjectSession,
        refine: RefineController,
        *,
        step_back: Callable[[], bool] = lambda: False,
        undo_drop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session, self._refine, self._step_back, self._undo_drop = session, refine, step_back, undo_drop
        self._undone: deque[_Step] = deque(maxlen=_KEPT)
        self.stop_run: Callable[[], bool] = lambda: False
        """Ends what is being carried, so that a step back takes all of it."""

    def undo(self) -> None:
        if self._step_back():
            return
        if self._refine.undo():
            self._undone.append(_Step.CLICK)
        elif self._refine.state.is_active:
            # An accepted object that was taken up again, with no step to take back: putting it down is the step.
            self._refine.cancel()
        elif not self._undo_drop():
            self.stop_run()
            self._session.undo()
            self._undone.append(_Step.CHANGE)

    def redo(self) -> None:
        """What was undone last comes back first: a click that was taken back before its object waits for its turn."""
        self._session.large.settle()  # a step back that is on its way
        while self._undone:
            if self._redo(self._undone.pop()):
                return
        if not self._redo(_Step.CLICK):
            self._redo(_Step.CHANGE)

    def _redo(self, step: _Step) -> bool:
        if step is _Step.CLICK:
            return self._refine.redo()
        if self._refine.state.is_active or not self._session.can_redo:
            return False
        self._session.redo()
        return True
