"""Where to click next, on the canvas: the layer of doubt, and a ghost of the click that would help most."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from annotator.domain.answering.next_click import as_shown, doubt_map, proposals
from annotator.domain.drafts.state import RefineState
from annotator.domain.ports.engine import Candidate, UncertaintyMap
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.canvas.heat_items import heat_image
from annotator.ui.notices import Notices, Subject
from annotator.ui.refine.controller import RefineController

_TOPIC = f"{Subject.PROMPTS}/doubt"


@dataclass(frozen=True, slots=True, eq=False)
class _Doubt:
    """Of one candidate; made when it is first looked at."""

    candidate: Candidate
    map: UncertaintyMap


class NextClick(QObject):
    """Follows the current object. Nothing is computed while neither the layer nor a proposal is wanted."""

    heat_changed = Signal(bool, bool)
    """(an object is in progress, its doubt is on the screen)"""

    def __init__(self, canvas: Canvas, refine: RefineController, notices: Notices, *, parent: QObject) -> None:
        super().__init__(parent)
        self._canvas, self._refine, self._notices = canvas, refine, notices
        self._state = RefineState()
        self._doubt: _Doubt | None = None
        self._painted: _Doubt | None = None
        self._is_heat_wanted = self._is_awaited = False
        self._ghost: PointPrompt | None = None
        self._passed: tuple[PointPrompt, ...] = ()
        # Where the person went past a proposal: that the mask is right there. Of now, and of before earlier clicks.
        self._seen: tuple[PointPrompt, ...] = ()
        self._confirmed: tuple[PointPrompt, ...] = ()
        refine.state_changed.connect(self._follow)

    @property
    def ghost(self) -> PointPrompt | None:
        """The proposal on the screen."""
        return self._ghost

    def show_heat(self, is_shown: bool) -> None:
        """Show the layer of doubt of the current mask, also of those to come."""
        self._is_heat_wanted = is_shown
        self._paint_heat()
        if is_shown and not self._state.is_active:
            self._tell("Doubt is shown with the next mask.")
        elif not is_shown:
            self._notices.withdraw(_TOPIC)

    def go(self) -> None:
        """Show the strongest proposal, or the next after the one that is shown; after the last the first again.

        What was passed over before an earlier click is not proposed again while the mask stays the same there.
        """
        state = self._state
        if state.is_accept_pending or not state.is_active:
            return
        if state.is_waiting:
            self._is_awaited = True
            return
        doubt = self._current()
        if doubt is None:
            self._tell("There is no answer of the model to doubt yet; click the object.")
            return
        mask, passed = doubt.candidate.mask, self._passed
        if self._ghost is not None:
            passed = (*passed, self._ghost)
            self._seen = (*self._seen, as_shown(self._ghost, mask))
        strokes = state.prompts.strokes  # what a hand has decided is not in doubt
        asked = proposals(doubt.map, mask, state.prompts.points, confirmed=self._confirmed)
        found = [point for point in asked if not any(stroke.covers(point.x, point.y) for stroke in strokes)]
        left = [point for point in found if point not in passed]
        if not left and found:
            passed, left = (), list(found)
        if not left:
            self._tell_nothing_left()
            return
        self._passed = passed
        self._show_ghost(left[0])
        sign = "adds" if left[0].is_positive else "removes"
        place = len(passed) + 1
        self._tell(f"Suggested click {place} of {len(found)}: it {sign}. Enter places it, G goes on.")

    def place(self) -> bool:
        """Make the proposed click; False when none is shown."""
        point = self._ghost
        if point is None:
            return False
        self._seen = tuple(p for p in self._seen if (p.x, p.y) != (point.x, point.y))
        self._confirm_seen()
        self._forget()
        self._refine.add_point(point)
        return True

    def drop(self) -> bool:
        """Take the ghost away; False when none is shown."""
        had_ghost = self._ghost is not None
        self._forget()
        if had_ghost:
            self._notices.withdraw(_TOPIC)
        return had_ghost

    # --- inside -------------------------------------------------------------------------------------------------------

    def _follow(self, state: RefineState) -> None:
        before, self._state = self._state, state
        if state.prompts != before.prompts or state.is_accept_pending or _shown(state) is not _shown(before):
            self._remember(before.prompts, state.prompts)
            was_awaited = self._is_awaited and state.is_active and state.prompts == before.prompts
            self._forget()
            self._is_awaited = was_awaited
        if not state.is_active:
            self._doubt, self._confirmed = None, ()
        self._paint_heat()
        if self._is_awaited and not state.is_waiting:
            self._is_awaited = False
            self.go()

    def _current(self) -> _Doubt | None:
        """The doubt about the candidate on the screen."""
        state = self._state
        candidate = _shown(state)
        if candidate is None or state.candidates is None:
            return None
        if self._doubt is None or self._doubt.candidate is not candidate:
            self._doubt = _Doubt(candidate, doubt_map(state.candidates, state.candidate_index))
        return self._doubt

    def _paint_heat(self) -> None:
        doubt = self._current() if self._is_heat_wanted and self._state.is_active else None
        self.heat_changed.emit(self._state.is_active, doubt is not None)
        if doubt is self._painted:
            return
        self._painted = doubt
        if doubt is None:
            self._canvas.set_heat(None, None)
        else:
            self._canvas.set_heat(heat_image(doubt.map.values), doubt.map.box)

    def _tell_nothing_left(self) -> None:
        if not self._confirmed:
            self._tell("The model has no doubt about this mask.")
            return
        self._confirmed = ()
        self._tell("You have passed all that is in doubt; G shows it again.")

    def _remember(self, before: Prompts, now: Prompts) -> None:
        """A click or stroke after a look means that the places passed over were right; another object has places of its
        own."""
        if now.extends(before) or len(now.strokes) > len(before.strokes):
            self._confirm_seen()
        elif now.asked != before.asked and not before.extends(now):
            self._confirmed = ()

    def _confirm_seen(self) -> None:
        self._confirmed, self._seen = (*self._confirmed, *self._seen), ()

    def _show_ghost(self, point: PointPrompt) -> None:
        self._ghost = point
        self._canvas.set_ghost(point)

    def _forget(self) -> None:
        self._passed, self._seen, self._is_awaited = (), (), False
        if self._ghost is not None:
            self._ghost = None
            self._canvas.set_ghost(None)

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=_TOPIC)


def _shown(state: RefineState) -> Candidate | None:
    return None if state.candidates is None else state.candidates.items[state.candidate_index]
