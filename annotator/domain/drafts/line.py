"""The line of drafts: accepted ones that wait for their mask, and at its end the current one.

Pure rules for when something in the line goes wrong or is taken back. ``opened`` is the image on the screen.
"""

from __future__ import annotations

from dataclasses import replace

from annotator.domain.drafts.draft import Draft, OpenImage

Line = tuple[Draft, ...]


def draft_in_work(line: Line, opened: OpenImage | None) -> Draft | None:
    """The last draft, while an image is open."""
    return line[-1] if line and opened is not None else None


def can_take_back_accept(line: Line, opened: OpenImage | None) -> bool:
    """Whether the newest thing the person did on this image was an accept that still waits."""
    draft = draft_in_work(line, opened)
    if draft is None:
        return False
    if draft.ticket is not None:
        return True
    return not draft.is_touched and len(line) > 1 and line[-2].image.epoch == draft.image.epoch


def taken_back(line: Line, head: Draft, opened: OpenImage | None) -> Line | None:
    """The line with ``head``, which could not be stored, in progress again; its mask is worth more than newer prompts.

    None when its image is not open any more.
    """
    if opened is None or opened.epoch != head.image.epoch:
        return None
    others = tuple(draft for draft in line if draft.ticket is not None and draft.epoch != head.epoch)
    return (*others, replace(head, ticket=None))


def waiting(line: Line) -> Line:
    """The drafts that wait for their mask."""
    return tuple(draft for draft in line if draft.ticket is not None)


def without(line: Line, draft: Draft) -> Line:
    """The line when a draft is over."""
    return tuple(other for other in line if other.epoch != draft.epoch)


def without_tickets(line: Line, epochs: set[int], opened: OpenImage | None) -> tuple[Line, int]:
    """The line when the masks of these accepted drafts do not come, and how many drafts had to be given up.

    The newest of them is in progress again, if nothing was begun since; strokes are worth more than new clicks.
    """
    failed = [draft for draft in line if draft.epoch in epochs and draft.ticket is not None]
    if not failed:
        return line, 0
    newest, tail = failed[-1], draft_in_work(line, opened)
    is_here = tail is not None and tail.image.epoch == newest.image.epoch
    is_worth_more = bool(newest.prompts.strokes) and tail is not None and not tail.prompts.strokes
    can_stay = is_here and tail is not None and (tail is newest or not tail.is_touched or is_worth_more)
    rest = tuple(draft for draft in line if draft not in failed)
    if can_stay:
        rest = (*(draft for draft in rest if draft.ticket is not None), replace(newest, ticket=None))
    return rest, len(failed) - int(can_stay)
