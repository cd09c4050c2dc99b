"""What a hand does to the current mask: strokes, areas, and operations on all of it. Pure moves, as those of
:mod:`annotator.domain.drafts.moves`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from annotator.domain.brush import Stroke
from annotator.domain.difference import differs
from annotator.domain.drafts.draft import Painted
from annotator.domain.drafts.effects import Effects, Say, Settle
from annotator.domain.drafts.work import Work
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation

Step: TypeAlias = tuple[Work, Effects]
NOTHING_THERE = "There is no mask yet: click an object, or select one."
NOTHING_LEFT = "Nothing would be left of the mask."
NOTHING_CHANGED = "The mask is like that already."


@dataclass(frozen=True, slots=True)
class Paint:
    stroke: Stroke
    at_s: float


@dataclass(frozen=True, slots=True)
class Operate:
    """An operation on the current mask.

    Attributes:
        known: a mask and what the operation makes of it, computed beside the GUI thread.
    """

    operation: Operation
    at_s: float
    known: tuple[Mask, Mask] | None = None


def paint(work: Work, move: Paint) -> Step:
    ready = work.with_work_at_end()
    draft = ready.draft
    if draft is None:
        return work, ()
    width, height = draft.image.size_wh
    if move.stroke.is_area and not move.stroke.has_pixels(width, height):
        outside = not move.stroke.touches(width, height)
        said = "lies outside of the image" if outside else "encloses no pixel"
        return work, (Say(f"That shape {said}; it was not added."),)
    if not move.stroke.touches(width, height):
        return work, ()
    if not move.stroke.is_positive and draft.mask is None and not draft.is_waiting:
        return work, (Say("There is nothing to erase: click an object, or select one and press R."),)
    return ready.with_draft(draft.pushed(draft.session.paint(move.stroke), at_s=move.at_s)), (Settle(),)


def operate(work: Work, move: Operate) -> Step:
    draft = work.draft
    mask = None if draft is None else draft.mask
    if draft is None or draft.ticket is not None:
        return work, ()
    if mask is None or mask.is_empty:
        return work, (Say(NOTHING_THERE),)
    is_known = move.known is not None and move.known[0] is mask
    after = move.known[1] if move.known is not None and is_known else move.operation.applied(mask)
    if after.is_empty:
        return work, (Say(NOTHING_LEFT),)
    if not differs(mask, after):
        return work, (Say(NOTHING_CHANGED),)
    pushed = draft.pushed(draft.session.paint(move.operation), at_s=move.at_s)
    done = Painted(pushed.source, pushed.prompts.strokes, after)
    return work.with_draft(replace(pushed, painted=(done, *pushed.painted))), (Settle(),)
