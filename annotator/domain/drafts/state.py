"""What the current object looks like to the views and to the document."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from annotator.domain.drafts.draft import Answer, Draft, Ticket
from annotator.domain.drafts.drawn import claimed_outline
from annotator.domain.drafts.kept import is_worth_keeping
from annotator.domain.mask import Mask
from annotator.domain.outline import OUTLINE_KEY, Outline, area_of, to_json
from annotator.domain.ports.engine import Candidates, Travel
from annotator.domain.project import Annotation, Review
from annotator.domain.prompt import Prompts


@dataclass(frozen=True, slots=True, eq=False)
class RefineState:
    """All that views show of the current object.

    Attributes:
        candidates, candidate_index: the answer on the screen, None while there is none.
        mask: what to paint: the candidate in use, else the object that is being refined; with the strokes over it.
        is_waiting: the answer to the newest prompts is still to come.
        is_stale: the mask on the screen answers older prompts than these.
        is_accept_pending: accepted by the person; stored as soon as the answer is here.
        parked: accepted objects before this one whose masks are still to come.
        origin_id: the annotation that is being refined (not to be painted beside its new mask).
        category_id: the class that it has, or that was chosen for it since.
        image_key: of the image that the prompts are on.
        decode_ms, encode_ms, was_cached, looked_closer, travel: of the answer on the screen.
        is_worth_keeping: there is something that would be lost with it.
        outline: what it should be enclosed by, if it was drawn; see :func:`claimed_outline`.
    """

    prompts: Prompts = field(default_factory=Prompts)
    candidates: Candidates | None = None
    candidate_index: int = 0
    mask: Mask | None = None
    is_waiting: bool = False
    is_stale: bool = False
    is_accept_pending: bool = False
    parked: int = 0
    origin_id: int | None = None
    category_id: int | None = None
    image_key: str = ""
    can_undo: bool = False
    can_redo: bool = False
    decode_ms: float = 0.0
    encode_ms: float = 0.0
    was_cached: bool = False
    looked_closer: bool = False
    travel: Travel | None = None
    is_worth_keeping: bool = False
    outline: Outline = ()

    @property
    def is_active(self) -> bool:
        return not self.prompts.is_empty


def state_of(draft: Draft | None, *, parked: int, can_undo: bool) -> RefineState:
    """The state to show for the current draft; ``can_undo``: there are steps outside the draft."""
    if draft is None:
        return RefineState(parked=parked)
    shown = draft.visible
    return RefineState(
        prompts=draft.prompts,
        candidates=None if shown is None else shown.candidates,
        candidate_index=0 if shown is None else shown.index,
        mask=draft.mask,
        is_waiting=draft.is_waiting,
        is_stale=draft.has_prompts and draft.mask is not None and draft.answer is None,
        is_accept_pending=draft.ticket is not None,
        parked=parked,
        origin_id=None if draft.origin is None else draft.origin.id,
        category_id=draft.kept_category_id,
        image_key=draft.image.key,
        can_undo=can_undo or draft.session.can_undo,
        can_redo=draft.session.can_redo and draft.ticket is None,
        decode_ms=0.0 if shown is None else shown.candidates.decode_ms,
        encode_ms=0.0 if shown is None else shown.encode_ms,
        was_cached=shown is not None and shown.was_cached,
        looked_closer=shown is not None and shown.candidates.looked_closer,
        travel=None if shown is None else shown.candidates.travel,
        is_worth_keeping=is_worth_keeping(draft),
        outline=_claimed(draft),
    )


def annotation_of(
    draft: Draft, mask: Mask, ticket: Ticket, *, annotation_id: int, author: str, created_at: str
) -> Annotation:
    """The row to store; a refined object keeps its id and what it carries, and adds the clicks and the time."""
    seconds = 0.0 if draft.started_s is None else max(0.0, ticket.at_s - draft.started_s)
    x, y, w, h = mask.bbox_xywh
    blank = Annotation(annotation_id, draft.image.record.id, 0, 0, 0, 0, 0, 0, b"", mask.width, mask.height)
    old = draft.origin or blank
    made = replace(old, origin="brush" if draft.origin is None else "refine", score=None)
    if draft.answer is not None:
        made = _answered(made, draft, draft.answer)
    return replace(
        made,
        x=x,
        y=y,
        w=w,
        h=h,
        area=mask.area,
        rle=draft.rle or mask.rle(),
        image_width=mask.width,
        image_height=mask.height,
        category_id=ticket.category_id,
        prompts=_said(draft, mask),
        clicks=old.clicks + draft.clicks,
        seconds=round(old.seconds + seconds, 3),
        author=author or old.author,
        created_at=created_at,
        review=Review.OPEN,  # what was said of it was said of other pixels
    )


def _claimed(draft: Draft) -> Outline:
    return claimed_outline(draft.prompts, None if draft.origin is None else draft.origin.prompts)


def _said(draft: Draft, mask: Mask) -> dict[str, Any]:
    """The prompts, with the outline where the mask is what that encloses."""
    said, outline = draft.prompts.whole.to_json(), _claimed(draft)
    is_drawn = bool(outline) and area_of(outline, mask.width, mask.height).same_pixels(mask)
    return said | {OUTLINE_KEY: to_json(outline)} if is_drawn else said


def _answered(row: Annotation, draft: Draft, answer: Answer) -> Annotation:
    """What the model's part was. Its score is of its own mask, not of one that a hand has changed."""
    model = answer.model
    return replace(
        row,
        score=None if draft.prompts.strokes else min(max(answer.candidate.predicted_iou, 0.0), 1.0),
        origin="click" if draft.origin is None else "refine",
        model="" if model is None else model.name,
        model_sha256="" if model is None else model.sha256,
        adapter=answer.adapter,
    )
