"""What the person does with the current object: pure functions from the work and a move to the work after it and what
has to happen outside. A move that does nothing gives back the very same work."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeAlias

from annotator.domain.drafts import corrections, cueing
from annotator.domain.drafts.corrections import Operate as Operate
from annotator.domain.drafts.corrections import Paint as Paint
from annotator.domain.drafts.cueing import PutCue as PutCue
from annotator.domain.drafts.draft import Draft, OpenImage, Ticket
from annotator.domain.drafts.effects import DropDecodes, Effects, Encode, GiveUpWaiting, Reclass, Say, Settle
from annotator.domain.drafts.keeping import Keeping
from annotator.domain.drafts.kept import Data, accepted_from_json, draft_from_json, work_of
from annotator.domain.drafts.line import can_take_back_accept, waiting
from annotator.domain.drafts.looking import turned_to
from annotator.domain.drafts.work import Work
from annotator.domain.geometry import Box, clamp_point
from annotator.domain.ports.engine import RgbArray
from annotator.domain.project import Annotation, ImageRecord
from annotator.domain.prompt import PointPrompt, PromptSession
from annotator.domain.sight import Sight

Step: TypeAlias = tuple[Work, Effects]
_SETTLE: Effects = (Settle(),)

# --- the moves; ``at_s`` is monotonic time in seconds ------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class ShowImage:
    """Work on another image from now on; ``rgb`` is H x W x 3 uint8, as shown, and ``key`` names these pixels.

    ``sight``: which part of a very large image they are.
    """

    record: ImageRecord
    rgb: RgbArray
    key: str
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class LeaveImage:
    """No image is open from now on."""


@dataclass(frozen=True, slots=True)
class LeaveProject:
    """Nothing is stored any more, not even an accept that waits."""


@dataclass(frozen=True, slots=True)
class Click:
    point: PointPrompt
    at_s: float


@dataclass(frozen=True, slots=True)
class DrawBox:
    box: Box
    at_s: float


@dataclass(frozen=True, slots=True)
class RemoveLast:
    """Take the newest click or stroke away, else the box; itself a step that undo brings back."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Undo:
    """One step back, or an accept that still waits taken back."""


@dataclass(frozen=True, slots=True)
class Redo:
    """One step forward."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Another candidate, so many further; before the answer is there it is remembered."""

    step: int


@dataclass(frozen=True, slots=True)
class Choose:
    """That candidate."""

    index: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drop the current object, or the newest accept that still waits."""


@dataclass(frozen=True, slots=True, eq=False)
class TakeUp:
    """Go on working on an accepted object."""

    annotation: Annotation


@dataclass(frozen=True, slots=True, eq=False)
class BringBack:
    """What the project file has in progress on the image that is open; ``annotations`` by id, for what is refined."""

    kept: Data
    annotations: Mapping[int, Annotation]
    at_s: float


@dataclass(frozen=True, slots=True)
class SetClass:
    """The class of the next accept; None: there is none."""

    category_id: int | None


@dataclass(frozen=True, slots=True)
class PickClass:
    """The person chose a class: an object that is being refined gets it, too."""

    category_id: int


@dataclass(frozen=True, slots=True)
class Accept:
    """Keep the object, or one that could not be stored before: that of ``epoch``, any other is left alone."""

    at_s: float
    can_answer: bool
    """Whether there is an engine that a mask may still come from."""
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class DropImage:
    """The document has ended what was in progress on an image."""

    image_id: int


Move = (
    ShowImage | LeaveImage | LeaveProject | Click | DrawBox | PutCue | Paint | Operate | RemoveLast | Undo | Redo | Turn
    | Choose | Cancel | TakeUp | BringBack | SetClass | PickClass | Accept | DropImage
)  # fmt: skip


def moved(work: Work, move: Move) -> Step:
    """The work after a move, and what has to happen outside."""
    return _MOVES[type(move)](work, move)


# --- the image ----------------------------------------------------------------------------------------------------


def _show_image(work: Work, move: ShowImage) -> Step:
    keeping, epoch = work.keeping.after_leaving(work.line, work.opened), work.epoch + 1
    opened = OpenImage(move.record, move.rgb, move.key, epoch, move.sight)
    line = (*waiting(work.line), Draft(epoch, opened))
    work = replace(work, line=line, opened=opened, keeping=keeping, epoch=epoch, is_encoding=True)
    return work, (DropDecodes(work.head_epoch), Encode(opened), Settle())


def _leave_image(work: Work, _move: LeaveImage) -> Step:
    keeping = work.keeping.after_leaving(work.line, work.opened)
    line = waiting(work.line)
    work = replace(work, line=line, opened=None, keeping=keeping, epoch=work.epoch + 1, is_encoding=False)
    return work, (DropDecodes(work.head_epoch), Settle())


def _leave_project(work: Work, _move: LeaveProject) -> Step:
    work, effects = _leave_image(replace(work, line=(), opened=None, keeping=Keeping()), LeaveImage())
    return work, (GiveUpWaiting(), *effects)


def _drop_image(work: Work, move: DropImage) -> Step:
    line = tuple(draft for draft in work.line if draft.image.record.id != move.image_id)
    work = replace(work, line=line, keeping=work.keeping.without(move.image_id)).with_work_at_end()
    return work, (DropDecodes(work.head_epoch), Settle())


# --- prompts ------------------------------------------------------------------------------------------------------


def _pushed(work: Work, draft: Draft, session: PromptSession, at_s: float) -> Step:
    return work.with_draft(draft.pushed(session, at_s=at_s)), _SETTLE


def _click(work: Work, move: Click) -> Step:
    ready = work.with_work_at_end()
    draft = ready.draft
    if draft is None:
        return work, ()
    width, height = draft.image.size_wh
    try:
        x, y = clamp_point(move.point.x, move.point.y, width=width, height=height)
    except ValueError:
        return work, (Say("That click has no position in the image; it was ignored."),)
    draft = turned_to(draft, ready.opened, x, y)
    return _pushed(ready, draft, draft.session.add_point(PointPrompt(x, y, move.point.is_positive)), move.at_s)


def _draw_box(work: Work, move: DrawBox) -> Step:
    ready = work.with_work_at_end()
    draft = ready.draft
    if draft is None:
        return work, ()
    width, height = draft.image.size_wh
    inside = move.box.clipped(width, height)
    if not all(math.isfinite(v) for v in move.box.as_xyxy()) or not (inside.width > 0 and inside.height > 0):
        return work, (Say("That box covers nothing of the image; drag it over the object."),)
    draft = turned_to(draft, ready.opened, *inside.center)
    return _pushed(ready, draft, draft.session.set_box(inside), move.at_s)


def _remove_last(work: Work, move: RemoveLast) -> Step:
    draft = work.draft
    if draft is None or draft.ticket is not None:
        return work, ()
    session = draft.session.remove_last()
    if session is draft.session:
        return work, ()
    return work.with_draft(draft.pushed(session, at_s=move.at_s, is_click=False)), _SETTLE


# --- back and forth -----------------------------------------------------------------------------------------------


def _undo(work: Work, _move: Undo) -> Step:
    draft = work.draft
    if draft is None:
        return work, ()
    if can_take_back_accept(work.line, work.opened):
        kept = work.line if draft.ticket is not None else work.line[:-1]
        return work.with_line((*kept[:-1], replace(kept[-1], ticket=None))), (GiveUpWaiting(), Settle())
    if draft.session.can_undo:
        return work.with_draft(draft.moved(draft.session.undo())), _SETTLE
    return work, ()


def _redo(work: Work, _move: Redo) -> Step:
    draft = work.draft
    if draft is None or draft.ticket is not None or not draft.session.can_redo:
        return work, ()
    return work.with_draft(draft.moved(draft.session.redo())), _SETTLE


def _turn(work: Work, move: Turn) -> Step:
    draft = work.draft
    turned = draft if draft is None or draft.ticket is not None else draft.turned(move.step)
    return (work, ()) if turned is None or turned is draft else (work.with_draft(turned), _SETTLE)


def _choose(work: Work, move: Choose) -> Step:
    draft = work.draft
    answer = None if draft is None or draft.ticket is not None else draft.answer
    if answer is None or not 0 <= move.index < len(answer.candidates.items):
        return work, ()
    return _turn(work, Turn(move.index - answer.index))


def _cancel(work: Work, _move: Cancel) -> Step:
    draft = work.draft
    if draft is not None and (draft.is_touched or draft.ticket is not None):
        is_open = work.opened is not None and work.is_open(draft.image.record.id)
        work, fresh = work.fresh(work.opened if is_open and work.opened is not None else draft.image)
        work = work.with_draft(fresh)
    elif draft is not None and len(work.line) > 1:
        work = work.with_line((*work.line[:-2], draft))
    elif draft is None and work.line:
        work = work.with_line(work.line[:-1])
    else:
        return work, ()
    return work, (DropDecodes(work.head_epoch), Settle())


def _replaced(work: Work, draft: Draft) -> Step:
    work = work.with_draft(draft)
    return work, (DropDecodes(work.head_epoch), Settle())


def _take_up(work: Work, move: TakeUp) -> Step:
    ready, annotation = work.with_work_at_end(), move.annotation
    if ready.opened is None or not ready.is_open(annotation.image_id):
        return work, ()
    width, height = ready.opened.size_wh
    if (annotation.image_width, annotation.image_height) != (width, height):
        return work, (Say("This object belongs to another size of the image and cannot be refined."),)
    ready, fresh = ready.fresh(ready.opened)
    session = PromptSession.refining(annotation.mask(), annotation.prompts)
    return _replaced(ready, replace(fresh, session=session, origin=annotation))


def _bring_back(work: Work, move: BringBack) -> Step:
    opened = work.opened
    if opened is None:
        return work, ()
    image_id = opened.record.id
    waits = any(draft.image.record.id == image_id for draft in waiting(work.line))
    absent = work.keeping.left.get(image_id) if waits else move.kept
    epochs = count(work.epoch + 1)
    given: Any = {"at_s": move.at_s, "annotations": move.annotations}
    try:
        again = accepted_from_json(absent, opened, epochs=epochs, **given)
        epoch, data = next(epochs), work_of(absent)
        draft = Draft(epoch, opened) if data is None else draft_from_json(data, opened, epoch=epoch, **given)
    except (ValueError, TypeError, AttributeError, OverflowError, KeyError):
        return work, (Say("The current object could not be restored."),)
    line = (*waiting(work.line), *again, draft)
    work = replace(work, line=line, keeping=work.keeping.restored(image_id, move.kept), epoch=epoch)
    return work, (DropDecodes(work.head_epoch), Settle())


# --- accepting ----------------------------------------------------------------------------------------------------


def _pick_class(work: Work, move: PickClass) -> Step:
    draft = work.draft
    if draft is None or draft.origin is None or draft.ticket is not None:
        return work, ()
    return work.with_draft(replace(draft, category_id=move.category_id)), _SETTLE


def _accept(work: Work, move: Accept) -> Step:
    draft = work.draft
    if draft is None or draft.ticket is not None or move.epoch not in (None, draft.epoch):
        return work, ()
    if not draft.has_work:
        return _accept_without_prompts(work, draft)
    if draft.is_waiting and not move.can_answer:
        draft = replace(draft, failed=draft.generation)
        if not draft.is_ready:
            return work, (Say("No model is loaded, so there is no mask to accept yet."),)
    if not draft.is_ready and not draft.is_waiting:
        return work, (Say("There is no mask to accept; click once more or press Esc."),)
    category_id = work.category_id if draft.origin is None else draft.kept_category_id
    if category_id is None:
        return work, (Say("Pick a class first: 1 to 9, or C to search by name."),)
    return work.with_draft(replace(draft, ticket=Ticket(category_id, move.at_s))), _SETTLE


def _accept_without_prompts(work: Work, draft: Draft) -> Step:
    """A refined object that got no click may have got another class."""
    origin, category_id = draft.origin, draft.kept_category_id
    if origin is None:
        return work, (() if len(work.line) > 1 else (Say("Click an object first."),))
    work, effects = _cancel(work, Cancel())
    if category_id is None or category_id == origin.category_id:
        return work, (*effects, Say("Nothing was changed."))
    return work, (*effects, Reclass(origin, category_id))


_MOVES: Mapping[type, Callable[[Work, Any], Step]] = {
    ShowImage: _show_image,
    LeaveImage: _leave_image,
    LeaveProject: _leave_project,
    DropImage: _drop_image,
    Click: _click,
    DrawBox: _draw_box,
    PutCue: cueing.put_cue,
    Paint: corrections.paint,
    Operate: corrections.operate,
    RemoveLast: _remove_last,
    Undo: _undo,
    Redo: _redo,
    Turn: _turn,
    Choose: _choose,
    Cancel: _cancel,
    TakeUp: _take_up,
    BringBack: _bring_back,
    SetClass: lambda work, move: (replace(work, category_id=move.category_id), ()),
    PickClass: _pick_class,
    Accept: _accept,
}
