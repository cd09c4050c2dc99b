"""What the engine and the document say to the current object: pure, as the person's moves are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.drafts.draft import Answer, Draft
from annotator.domain.drafts.effects import Effect, Effects, Encode, GiveUpWaiting, Say, Settle
from annotator.domain.drafts.kept import Data
from annotator.domain.drafts.line import taken_back, waiting, without, without_tickets
from annotator.domain.drafts.work import Work
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.sight import Sight

# --- the engine ---------------------------------------------------------------------------------------------------


def answered(work: Work, epoch: int, generation: int, answer: Answer) -> Work:
    """With an answer; one to a draft or step that is gone changes nothing."""
    return work.with_line([d.answered(generation, answer) if d.epoch == epoch else d for d in work.line])


def forgotten(work: Work, *, keeps_accepted: bool) -> Work:
    """Something else answers now: ask again. ``keeps_accepted``: but for what was accepted with a mask."""
    return work.with_line(
        [d if keeps_accepted and d.ticket is not None and d.answer is not None else d.forgotten() for d in work.line]
    )


def shown_anew(work: Work, rgb: RgbArray, key: str, sight: Sight | None = None) -> tuple[Work, Effects]:
    """The image that is open is shown in other pixels (another window): the model is to see what the person sees.

    What is in progress is asked again. What was accepted belongs to what the person saw then, and so does the mask that
    is still to come.

    Args:
        rgb: H x W x 3 uint8, of the same size. key: names these pixels. sight: which part of a very large image.
    """
    opened = work.opened
    if opened is None or opened.key == key:
        return work, ()
    now: dict[str, Any] = {"rgb": rgb, "key": key, "sight": sight, "is_here": True}
    shown = replace(opened, **now)
    line = [
        replace(d.forgotten(), image=replace(d.image, **now))
        if d.ticket is None and work.is_open(d.image.record.id)
        else d
        for d in work.line
    ]
    return replace(work.with_line(line), opened=shown, is_encoding=True), (Encode(shown), Settle())


def asked(work: Work, generation: int) -> Work:
    """The head of the line was asked."""
    return work.with_line((work.line[0].asked(generation), *work.line[1:]))


def failed(work: Work, epoch: int, generation: int) -> tuple[Work, Effects]:
    """The engine could not answer this; ``generation`` 0: nor look at the image."""
    if generation == 0 and work.opened is not None and epoch >= work.opened.epoch:
        work = replace(work, is_encoding=False)
    hit = {d.epoch for d in work.line if d.epoch == epoch and d.generation == generation != 0}
    work = work.with_line([replace(d, failed=generation) if d.epoch in hit else d for d in work.line])
    return _without_masks(work, hit)


def without_engine(work: Work) -> tuple[Work, Effects]:
    """No engine came up: an accept would wait for ever."""
    work = replace(work, is_encoding=False)
    return _without_masks(work, {draft.epoch for draft in work.line if not draft.is_ready})


def _without_masks(work: Work, epochs: Collection[int]) -> tuple[Work, Effects]:
    """The masks of these accepted drafts do not come."""
    line, given_up = without_tickets(work.line, set(epochs), work.opened)
    if line is work.line:
        return work, (Settle(),)
    remain = {draft.epoch for draft in line}
    elsewhere = [d for d in work.line if d.epoch not in remain and not work.is_open(d.image.record.id)]
    effects: list[Effect] = [GiveUpWaiting()]
    for draft in elsewhere:
        work, said = _for_later(work, draft)
        effects.append(said)
    if given_up > len(elsewhere):
        effects.append(Say("An object could not be accepted: its mask did not come. Please click it again."))
    return work.with_line(line), (*effects, Settle())


def _for_later(work: Work, draft: Draft) -> tuple[Work, Say]:
    """An accepted object of an image that is not open: the document keeps it as it is."""
    said = (
        f"The object on {brief(draft.image.record.name)} is not stored yet; it is as soon as you open that image again."
    )
    return replace(work, keeping=work.keeping.with_later(draft)), Say(said)


# --- painting and storing -----------------------------------------------------------------------------------------


def repainted(work: Work) -> Work:
    """With all strokes over the masks that are in use now."""
    return work.with_line([draft.repainted() for draft in work.line])


def encoded(work: Work, mask: Mask, rle: bytes) -> Work:
    """With the runs of a mask. The person may use another candidate by now: they belong to the very mask they were
    made of."""
    return work.with_line([draft.encoded(mask, rle) for draft in work.line])


def head_to_store(work: Work) -> Draft | None:
    """The accepted draft at the head of the line, once its mask is there."""
    head = work.line[0] if work.line else None
    return head if head is not None and head.ticket is not None and head.is_ready else None


def kept_without(work: Work, head: Draft) -> Data | None:
    """What is in progress on the image of a draft once that is stored."""
    return work.keeping.of(without(work.line, head), head.image.record.id)


def stored(work: Work, head: Draft) -> Work:
    """The document has the object of this draft."""
    return work.with_line(without(work.line, head)).with_work_at_end()


def found_nothing(work: Work, head: Draft) -> tuple[Work, Effects]:
    """The mask of an accepted object is there and empty: the object is in progress again. What was begun after it is
    worth more: then it is given up, and the window says so."""
    if not work.is_open(head.image.record.id):
        path = head.image.record.path
        said = f"The mask of an object on {brief(path)} is empty, so it was not stored; it is in progress there."
        work = replace(work, keeping=work.keeping.with_later(head)).with_line(without(work.line, head))
        return work, (GiveUpWaiting(), Say(said))
    tail = work.line[-1]
    if tail is not head and (tail.ticket is not None or tail.is_touched):
        said = "The mask of an accepted object came empty, so it was not stored. Please click it again."
        return work.with_line(without(work.line, head)), (GiveUpWaiting(), Say(said))
    line = (*(draft for draft in waiting(work.line) if draft is not head), replace(head, ticket=None))
    said = "The mask is empty; there is nothing to accept. Click on the object."
    return work.with_line(line), (GiveUpWaiting(), Say(said))


def not_stored(work: Work, head: Draft) -> tuple[Work, Effects]:
    """An object whose mask is there could not be stored: it is in progress again, before what was begun after it."""
    line = taken_back(work.line, head, work.opened)
    if line is not None:
        return work.with_line(line), (GiveUpWaiting(),)
    work, said = _for_later(work, head)
    return work.with_line(without(work.line, head)), (GiveUpWaiting(), said)
