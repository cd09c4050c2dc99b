"""A prompt of a kind of its own for the current object: one step, as a click is. A pure move, as those of
:mod:`annotator.domain.drafts.moves`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from annotator.domain.cues.cue import Cue, clamped
from annotator.domain.drafts.effects import Effects, Say, Settle
from annotator.domain.drafts.looking import turned_to
from annotator.domain.drafts.work import Work

Step: TypeAlias = tuple[Work, Effects]


@dataclass(frozen=True, slots=True)
class PutCue:
    cue: Cue
    at_s: float


def put_cue(work: Work, move: PutCue) -> Step:
    ready = work.with_work_at_end()
    draft = ready.draft
    if draft is None:
        return work, ()
    cue = move.cue.within(*draft.image.size_wh)
    if cue is None:
        return work, (Say(f"That {move.cue.title} lies outside of the image; it was not added."),)
    clicks = clamped(cue.clicks(), *draft.image.size_wh)
    draft = turned_to(draft, ready.opened, clicks[-1].x, clicks[-1].y)
    return ready.with_draft(draft.pushed(draft.session.add_cue(cue, clicks), at_s=move.at_s)), (Settle(),)
