"""What keys do with proposals while their tool is in the hand. Each says whether the key was about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from annotator.domain.counting import counted
from annotator.domain.ports.concept import ConceptAsk, WordsQuestion
from annotator.ui.canvas.tools.specs import FIRST_TOOL
from annotator.ui.labelling.proposals import Proposals
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow

TOOL = "proposals"
_SCORE_STEP = 0.05


class ProposalKeys(QObject):
    """The current object goes first: as long as there is one, the keys of a proposal are its own."""

    tool_wanted = Signal(str)

    def __init__(
        self, window: MainWindow, session: ProjectSession, refine: RefineController, proposals: Proposals
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._refine = window, session, refine
        self._canvas, self.proposals = window.canvas, proposals
        self._tool_before = FIRST_TOOL

    @property
    def is_reviewing(self) -> bool:
        """Whether Enter, Backspace and Tab are about proposals."""
        is_free = self._canvas.tool == TOOL and not self._refine.state.is_active
        return is_free and bool(self.proposals.review.shown) and self._session.is_writable

    @property
    def can_escape(self) -> bool:
        """Whether :meth:`escape` would do anything."""
        is_at_work = self.proposals.search.is_running or self._session.large.is_busy
        return is_at_work or self._canvas.tool == TOOL

    def take_tool(self) -> None:
        """Put the proposal tool into the hand; its panel comes, too."""
        if self._canvas.tool != TOOL:
            self._tool_before = self._canvas.tool
        self._window.show_panel("proposals", True)
        self._window.area.hint.is_heeded = True  # it is about clicks of another tool
        self._window.area.hint.hide()
        self.tool_wanted.emit(TOOL)
        self._canvas.setFocus()

    def find_everything(self) -> None:
        """Take the proposal tool, and ask the model unless there are proposals in what it sees already."""
        self.take_tool()
        if self.proposals.search.is_running:
            self.proposals.tell("The model is still searching; Esc stops it.")
        elif self.proposals.seeing.has_open(self.proposals.review):
            self.proposals.tell_counts()
        else:
            self.proposals.ask()

    def find_words(self, ask: ConceptAsk, model: str, by_phrase: Mapping[str, int]) -> None:
        """Take the proposal tool, and ask a model of the registry for what words name."""
        self.take_tool()
        self.proposals.ask(WordsQuestion(ask, model, by_phrase))

    def accept_all(self) -> None:
        """Accept all that are shown."""
        self.proposals.take_shown()

    def take(self) -> bool:
        """Accept the current proposal."""
        return self._settle(is_dropping=False)

    def drop(self) -> bool:
        """Drop the current proposal."""
        return self._settle(is_dropping=True)

    def go(self, step: int) -> bool:
        """The next proposal (+1), or the one before."""
        if not self.is_reviewing:
            return False
        review = self.proposals.review.go(step)
        self.proposals.show(review)
        x, y, w, h = review.table[review.current].mask.bbox_xywh
        self._canvas.bring_into_view(x + w / 2, y + h / 2)
        return True

    def change_score(self, steps: int) -> bool:
        """Show fewer (+1), or more."""
        if self._canvas.tool != TOOL:
            return False
        review = self.proposals.review
        score = min(max(round(review.limits.least_score + steps * _SCORE_STEP, 2), 0.0), 1.0)
        limits = replace(review.limits, least_score=score)
        self._window.proposals.set_limits(limits, review.walk)
        self.proposals.show(review.limited(limits))
        shown = counted(len(self.proposals.review.shown), "proposal")
        self.proposals.tell(f"Score from {score:.2f}: {shown} shown.")
        return True

    def escape(self) -> bool:
        """Cancel what is being written, or stop the search, else put the tool down."""
        if self._session.large.stop():
            return True
        if self.proposals.stop():
            self.proposals.tell("Stopped; what was found stays.")
        elif self._canvas.tool == TOOL:
            self.tool_wanted.emit(self._tool_before)
        else:
            return False
        return True

    def _settle(self, *, is_dropping: bool) -> bool:
        if not self.is_reviewing:
            return False
        current = self.proposals.review.current
        if not current:
            return self.go(+1)
        self.proposals.settle({current}, is_dropping=is_dropping)
        return True
