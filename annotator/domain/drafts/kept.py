"""What is in progress on an image as plain JSON data, for the project file, and back.

The data of the current object are its prompts (``Prompts.to_json``) and, where they apply, ``annotation_id`` (the
object that is being refined), ``category_id`` (the class chosen for it since) and ``turns`` (another candidate).
``accepted`` lists objects that were accepted and whose mask is still to come, each with ``accepted_as``, its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from annotator.domain.cues.cue import clamped
from annotator.domain.drafts.draft import Draft, OpenImage, Ticket
from annotator.domain.drafts.line import Line
from annotator.domain.project import Annotation
from annotator.domain.prompt import Prompts, PromptSession

Data = dict[str, Any]
_ACCEPTED = "accepted"


def is_worth_keeping(draft: Draft) -> bool:
    """Whether something would be lost with it: prompts, or another class for the object that is being refined."""
    return draft.has_work or (draft.origin is not None and draft.kept_category_id != draft.origin.category_id)


def draft_json(draft: Draft | None) -> Data | None:
    """The data of one object; None when the person has said nothing about it."""
    if draft is None or not is_worth_keeping(draft):
        return None
    # A mask on the way that no object has is not kept: the clicks that led to it are.
    data = (draft.prompts if draft.origin is not None else draft.prompts.whole).to_json()
    if draft.origin is not None:
        data["annotation_id"] = draft.origin.id
    if draft.category_id is not None:
        data["category_id"] = draft.category_id
    answer = draft.answer
    turns = draft.turns if answer is None else (answer.index - answer.candidates.best) % len(answer.candidates.items)
    return data | {"turns": turns} if turns else data


def kept_json(line: Line, image_id: int, *, left: Data | None = None) -> Data | None:
    """All that is in progress on an image; None when nothing is.

    Args:
        left: data of what is in progress there, beside the line.
    """
    here = [draft for draft in line if draft.image.record.id == image_id]
    work = work_of(left) or next((draft_json(d) for d in reversed(here) if d.ticket is None), None)
    accepted = [*accepted_of(left), *(accepted_json(draft) for draft in here if draft.ticket is not None)]
    return {**(work or {}), _ACCEPTED: accepted} if accepted else work


def accepted_json(draft: Draft) -> Data:
    """The data of an object that was accepted."""
    if draft.ticket is None:
        raise ValueError("this draft was not accepted")
    return {**(draft_json(draft) or {}), "accepted_as": draft.ticket.category_id}


def with_accepted(left: Data | None, draft: Draft) -> Data:
    """The data of :func:`kept_json` with one more accepted object."""
    return {**(left or {}), _ACCEPTED: [*accepted_of(left), accepted_json(draft)]}


def work_of(data: Data | None) -> Data | None:
    """The current object among the data of :func:`kept_json`."""
    work = {key: value for key, value in (data or {}).items() if key != _ACCEPTED}
    return work or None


def accepted_of(data: Data | None) -> list[Data]:
    """The objects among the data of :func:`kept_json` that were accepted."""
    found = (data or {}).get(_ACCEPTED)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def objects_in(data: Data) -> int:
    """How many objects the data of :func:`kept_json` are of."""
    return len(accepted_of(data)) + (work_of(data) is not None or not data)


def draft_from_json(
    data: Data, image: OpenImage, *, epoch: int, at_s: float, annotations: Mapping[int, Annotation]
) -> Draft:
    """The draft of one object, nothing of it answered yet.

    Args:
        annotations: of the image, by id. An object that is not there any more is not refined: its prompts begin a new
            one.

    Raises:
        ValueError, TypeError, AttributeError, OverflowError: the data are damaged.
    """
    width, height = image.size_wh
    named = data.get("annotation_id")
    origin = annotations.get(named) if isinstance(named, int) else None
    session = session_from_json(data, origin=origin, width=width, height=height)
    steps, chosen, turns = len(session.steps), data.get("category_id"), data.get("turns")
    return Draft(
        epoch,
        image,
        session,
        origin=origin,
        generations=(0,) * steps,
        started_s=at_s,
        clicks=steps - 1,
        turns=turns if isinstance(turns, int) else 0,
        category_id=chosen if origin is not None and isinstance(chosen, int) else None,
    )


def accepted_from_json(
    data: Data | None, image: OpenImage, *, epochs: Iterator[int], at_s: float, annotations: Mapping[int, Annotation]
) -> Line:
    """The drafts of :func:`accepted_of`, accepted again.

    Raises:
        ValueError, TypeError, AttributeError, OverflowError, KeyError: the data are damaged.
    """
    found = [
        (draft_from_json(one, image, epoch=next(epochs), at_s=at_s, annotations=annotations), int(one["accepted_as"]))
        for one in accepted_of(data)
    ]
    return tuple(replace(draft, ticket=Ticket(category_id, at_s)) for draft, category_id in found if draft.has_work)


def session_from_json(data: Data, *, origin: Annotation | None, width: int, height: int) -> PromptSession:
    """A session whose steps lead to the prompts of :func:`draft_json`.

    Raises:
        ValueError, TypeError, AttributeError: the data are damaged.
    """
    prompts = Prompts.from_json(data)
    session = PromptSession.refining(origin.mask(), origin.prompts) if origin is not None else PromptSession()
    box = prompts.box.clipped(width, height) if prompts.box is not None else None
    if box is not None and box.area > 0:
        session = session.set_box(box)
    points, cues = clamped(prompts.points, width, height), {placed.first: placed for placed in prompts.cues}
    number = 0
    while number < len(points):
        for stroke in (s for s in prompts.strokes if s.after == number):
            session = session.paint(stroke)
        placed = cues.get(number)
        end = number + 1 if placed is None else placed.end
        if placed is None:
            session = session.add_point(points[number])
        else:
            session = session.add_cue(placed.cue, points[number:end])
        number = end
    for stroke in (s for s in prompts.strokes if not 0 <= s.after < len(prompts.points)):
        session = session.paint(stroke)
    return session
