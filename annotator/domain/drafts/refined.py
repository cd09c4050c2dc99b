"""Answers to clicks on an object that is being refined: laid into the mask that was there, where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from annotator.domain.answering.local_merge import merged
from annotator.domain.mask import Mask
from annotator.domain.prompt import Prompts

if TYPE_CHECKING:
    from annotator.domain.drafts.draft import Answer


def laid_in(
    answer: Answer, step: int, steps: Sequence[Prompts], generations: Sequence[int], answers: Mapping[int, Answer]
) -> Answer:
    """The answer to a step of a session with its masks laid into the one of the newest step before it that it goes on
    from, or into the mask that the session began with. An answer to a new object is what it is.

    Args:
        generations, answers: as in :class:`~annotator.domain.drafts.draft.Draft`; earlier answers are laid in already.
    """
    now = steps[step]
    base = now.base_mask
    if base is None:
        return answer
    before, known = base, Prompts(base_mask=base)
    for earlier in range(step - 1, -1, -1):
        prompts, found = steps[earlier], answers.get(generations[earlier])
        if found is not None and _leads_to(prompts, now):
            before, known = found.candidate.mask, prompts
            break
    box = now.box if now.box != known.box else None
    points = now.points[len(known.points) :]

    def laid(mask: Mask) -> Mask:
        return merged(before, mask, points, box=box)

    items = tuple(replace(item, mask=laid(item.mask)) for item in answer.candidates.items)
    return replace(answer, candidates=replace(answer.candidates, items=items))


def _leads_to(prompts: Prompts, now: Prompts) -> bool:
    """Whether ``now`` only adds clicks, or a box, to these prompts."""
    count = len(prompts.points)
    return (
        (count > 0 or prompts.box is not None)
        and now.base_mask is prompts.base_mask
        and now.points[:count] == prompts.points
        and prompts.box in (None, now.box)
    )
