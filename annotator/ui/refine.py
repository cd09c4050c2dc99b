"""What a click does: the object in work, from the first prompt to the accepted annotation.

One :class:`Draft` is in work at a time. Accepting one whose mask is still being computed leaves it in line (its
``ticket``) and a fresh draft takes the next clicks, so that neither a mask nor a click waits for the other or is lost.
Only the draft at the head of the line is known to the engine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal, Slot

from annotator.domain.errors import UserError
from annotator.domain.geometry import Box, clamp_point
from annotator.domain.mask import Mask
from annotator.domain.ports import (
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
    ModelInfo,
    RgbArray,
)
from annotator.domain.project import Annotation, Category, Change, Edit, ImageRecord, accept_edit
from annotator.domain.prompt import PointPrompt, PromptSession
from annotator.ui.draft import Answer, Draft, OpenImage, Ticket
from annotator.ui.draft_line import can_take_back_accept, taken_back, without_tickets
from annotator.ui.mask_encoder import MaskEncoder
from annotator.ui.refine_state import RefineState, annotation_of, draft_json, session_from_json, state_of
from annotator.ui.worker import LOAD_EPOCH, EngineClient


class AnnotationSink(Protocol):
    """Where accepted objects go."""

    def new_annotation_id(self) -> int: ...

    def apply(self, edit: Edit) -> Change:
        """Durable when it returns.

        Raises:
            UserError: nothing was changed.
        """
        ...


def utc_now() -> str:
    """ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RefineController(QObject):
    """Turns prompts into requests, answers into what is shown, and an accept into one durable edit.

    Args:
        clock: monotonic seconds, for the time spent on an object.
        now: ISO 8601 time in UTC, for ``created_at``.
    """

    state_changed = Signal(object)
    """RefineState"""
    accepted = Signal(object, object)
    """(Annotation, Change), after it is durable"""
    message = Signal(str)
    """A quiet sentence for the person. Engine failures are the client's signal, not repeated here."""
    busy_changed = Signal(bool)
    draft_changed = Signal(object)
    """Plain JSON data to :meth:`restore` the object in work from after a crash, or None when there is none."""

    def __init__(
        self,
        client: EngineClient,
        sink: AnnotationSink,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], str] = utc_now,
        author: str = "",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._client = client
        self._sink = sink
        self._clock = clock
        self._now = now
        self._author = author
        self._open: OpenImage | None = None
        self._drafts: tuple[Draft, ...] = ()
        self._epoch = 0
        self._generation = 0
        self._category: Category | None = None
        self._model: ModelInfo | None = client.info
        self._is_encoding = False
        self._is_busy = False
        self._when_idle: list[Callable[[], None]] = []
        self._encoder = MaskEncoder(self)
        self._encoder.encoded.connect(self._on_mask_encoded)
        self._told_draft: dict[str, Any] | None = None
        client.decoded.connect(self._on_decoded)
        client.encoded.connect(self._on_encoded)
        client.failed.connect(self._on_failed)
        client.ready.connect(self._on_ready)

    # --- the image ----------------------------------------------------------------------------------------------------

    def open_image(self, image: ImageRecord, rgb: RgbArray, image_key: str) -> None:
        """Work on another image from now on.

        An object that is not accepted yet is dropped; one that is accepted and waits for its mask keeps its image.

        Args:
            rgb: H x W x 3 uint8, as shown. ``image_key`` names these pixels.
        """
        self._epoch += 1
        self._open = OpenImage(image, rgb, image_key, self._epoch)
        self._drafts = (*self._accepted_drafts(), Draft(self._epoch, self._open))
        self._is_encoding = True
        self._drop_dead_decodes()
        self._client.submit_encode(EncodeRequest(self._epoch, image_key, rgb))
        self._after_change()

    def close_image(self) -> None:
        """No image is open from now on; the rules of :meth:`open_image` hold."""
        self._epoch += 1
        self._open = None
        self._drafts = self._accepted_drafts()
        self._is_encoding = False
        self._drop_dead_decodes()
        self._after_change()

    def reset(self) -> None:
        """The project is closed: nothing of it is stored any more, not even an accept that waits.

        Whoever closes it asks :meth:`when_idle` first, so that there is none.
        """
        self._when_idle.clear()
        self._drafts = ()
        self.close_image()

    def update_image(self, image: ImageRecord) -> None:
        """The image's record was changed elsewhere (status, facts)."""
        if self._open is not None and self._open.record.id == image.id:
            self._open = replace(self._open, record=image)
        self._drafts = tuple(
            replace(d, image=replace(d.image, record=image)) if d.image.record.id == image.id else d
            for d in self._drafts
        )

    def prefetch(self, image_key: str, rgb: RgbArray) -> None:
        """Encode the image that will probably be next, when there is nothing better to do."""
        self._client.submit_prefetch(EncodeRequest(self._epoch, image_key, rgb, is_prefetch=True))

    # --- prompts ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> RefineState:
        draft = self._draft
        parked = len(self._drafts) - (draft is not None)
        return state_of(draft, parked=parked, can_undo=can_take_back_accept(self._drafts, self._open))

    def add_point(self, point: PointPrompt) -> None:
        """A click; one outside the image is pulled to its edge."""
        draft = self._open_draft()
        if draft is None:
            return
        height, width = draft.image.rgb.shape[:2]
        try:
            x, y = clamp_point(point.x, point.y, width=width, height=height)
        except ValueError:
            self.message.emit("That click has no position in the image; it was ignored.")
            return
        session = draft.session.add_point(PointPrompt(x, y, point.is_positive))
        self._set_draft(draft.pushed(session, at_s=self._clock()))

    def set_box(self, box: Box) -> None:
        """A box, clipped to the image; it replaces an earlier one."""
        draft = self._open_draft()
        if draft is None:
            return
        height, width = draft.image.rgb.shape[:2]
        inside = box.clipped(width, height)
        if not all(math.isfinite(v) for v in box.as_xyxy()) or not (inside.width > 0 and inside.height > 0):
            self.message.emit("That box covers nothing of the image; drag it over the object.")
            return
        self._set_draft(draft.pushed(draft.session.set_box(inside), at_s=self._clock()))

    def remove_last(self) -> None:
        """Take the newest point away, else the box; itself a step that undo brings back."""
        draft = self._draft
        if draft is None or draft.ticket is not None:
            return
        session = draft.session.remove_last()
        if session is not draft.session:
            self._set_draft(draft.pushed(session, at_s=self._clock(), is_click=False))

    def undo(self) -> bool:
        """One step back within the object in work (or take back an accept that still waits); False: nothing here."""
        draft = self._draft
        if draft is None:
            return False
        if can_take_back_accept(self._drafts, self._open):
            self._when_idle.clear()
            kept = self._drafts if draft.ticket is not None else self._drafts[:-1]
            self._drafts = (*kept[:-1], replace(kept[-1], ticket=None))
            self._after_change()
        elif draft.session.can_undo:
            self._set_draft(draft.moved(draft.session.undo()))
        else:
            return False
        return True

    def redo(self) -> bool:
        draft = self._draft
        if draft is None or draft.ticket is not None or not draft.session.can_redo:
            return False
        self._set_draft(draft.moved(draft.session.redo()))
        return True

    def cycle(self, step: int = 1) -> None:
        """Another candidate; a switch before the answer is there is remembered."""
        draft = self._draft
        if draft is not None and draft.ticket is None:
            self._set_draft(draft.turned(step))

    def choose(self, index: int) -> None:
        draft = self._draft
        answer = None if draft is None or draft.ticket is not None else draft.answer
        if draft is not None and answer is not None and 0 <= index < len(answer.candidates.items):
            self._set_draft(draft.turned(index - answer.index))

    def cancel(self) -> bool:
        """Drop the object in work, or the newest accept that still waits; False when there was nothing."""
        draft = self._draft
        if draft is not None and (draft.is_touched or draft.ticket is not None):
            self._drafts = (*self._drafts[:-1], self._fresh(draft.image))
        elif draft is not None and len(self._drafts) > 1:
            self._drafts = (*self._drafts[:-2], draft)
        elif draft is None and self._drafts:
            self._drafts = self._drafts[:-1]
        else:
            return False
        self._drop_dead_decodes()
        self._after_change()
        return True

    def refine_annotation(self, annotation: Annotation) -> None:
        """Go on working on an accepted object: its mask is shown at once, accepting replaces it and keeps its id."""
        draft = self._open_draft()
        if draft is None or annotation.image_id != draft.image.record.id:
            return
        height, width = draft.image.rgb.shape[:2]
        if (annotation.image_width, annotation.image_height) != (width, height):
            self.message.emit("This object belongs to another size of the image and cannot be refined.")
            return
        session = PromptSession.refining(annotation.mask())
        self._replace_draft(replace(self._fresh(draft.image), session=session, origin=annotation))

    def restore(self, prompts_json: dict[str, Any], *, origin: Annotation | None = None) -> None:
        """Bring an object in work back from the data of ``draft_changed``; ``origin`` when it names an annotation."""
        draft = self._open_draft()
        if draft is None:
            return
        height, width = draft.image.rgb.shape[:2]
        try:
            session = session_from_json(prompts_json, origin=origin, width=width, height=height)
        except (ValueError, TypeError, AttributeError):
            self.message.emit("The object that was in work could not be restored.")
            return
        steps = len(session.steps)
        fresh = replace(self._fresh(draft.image), session=session, origin=origin, generations=(0,) * steps)
        self._replace_draft(replace(fresh, started_s=self._clock(), clicks=steps - 1))

    # --- accepting ----------------------------------------------------------------------------------------------------

    def set_category(self, category: Category | None) -> None:
        """The class of the next accept. While an object is refined, picking another class gives it that one."""
        before, self._category = self._category, category
        draft = self._draft
        is_other = category is not None and (before is None or before.id != category.id)
        if draft is not None and draft.origin is not None and draft.ticket is None and is_other and category:
            self._drafts = (*self._drafts[:-1], replace(draft, category_id=category.id))

    def accept(self) -> None:
        """Keep the object. When its mask is still being computed, exactly that mask is kept as soon as it is there."""
        draft = self._draft
        if draft is None or draft.ticket is not None:
            return
        if not draft.has_prompts:
            self._refuse_without_prompts(draft)
            return
        if draft.is_waiting and not self._client.can_answer:
            self.message.emit("No model is loaded, so there is no mask to accept yet.")
            return
        if draft.answer is None and not draft.is_waiting:
            self.message.emit("There is no mask to accept; click once more or press Esc.")
            return
        category_id = self._category_of(draft)
        if category_id is None:
            self.message.emit("Pick a class first: 1 to 9, or C to search by name.")
            return
        self._set_draft(replace(draft, ticket=Ticket(category_id, self._clock())))

    def can_leave(self) -> bool:
        """No accept waits for its mask. (One that does survives ``open_image``, but not the end of the program.)"""
        return not self._accepted_drafts()

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call back once no accept waits: at once, or when the last is stored or dropped by the person.

        Never called when one of them failed: then the person has to see the message first.
        """
        self._when_idle.append(callback)
        self._call_when_idle()

    def model_changed(self) -> None:
        """Another model is in use: ask it again. The controller notices by itself; calling it again is harmless."""
        self._drafts = tuple(draft.forgotten() for draft in self._drafts)
        if self._open is not None:
            self._is_encoding = True
            self._client.submit_encode(EncodeRequest(self._open.epoch, self._open.key, self._open.rgb))
        self._after_change()

    # --- answers of the engine ----------------------------------------------------------------------------------------

    @Slot(object)
    def _on_decoded(self, result: DecodeResult) -> None:
        candidates = result.candidates
        model = self._client.info
        answer = Answer(result.prompts, candidates, candidates.best, result.encode_ms, result.was_cached, model)
        self._drafts = tuple(
            d.answered(result.generation, answer) if d.epoch == result.epoch else d for d in self._drafts
        )
        self._after_change()

    @Slot(object)
    def _on_encoded(self, result: EncodeResult) -> None:
        is_current = self._open is not None and result.image_key == self._open.key
        if is_current and not result.is_prefetch and self._is_encoding:
            self._is_encoding = False
            self._tell_busy()

    @Slot(object)
    def _on_failed(self, failure: EngineFailure) -> None:
        if failure.epoch == LOAD_EPOCH:
            # Without any engine an accept would wait for ever; with the earlier one still in use it does not.
            if self._client.info is None:
                self._is_encoding = False
                self._drop_tickets({draft.epoch for draft in self._drafts})
            return
        if failure.generation == 0 and self._open is not None and failure.epoch >= self._open.epoch:
            self._is_encoding = False
        hit = [d for d in self._drafts if d.epoch == failure.epoch and d.generation == failure.generation != 0]
        self._drafts = tuple(replace(d, failed=failure.generation) if d in hit else d for d in self._drafts)
        self._drop_tickets({d.epoch for d in hit})

    @Slot(object, object)
    def _on_mask_encoded(self, mask: Mask, rle: bytes) -> None:
        # The person may use another candidate by now: runs belong to the very mask they were made of.
        self._drafts = tuple(draft.encoded(mask, rle) for draft in self._drafts)
        self._after_change()

    @Slot(object)
    def _on_ready(self, info: ModelInfo) -> None:
        before, self._model = self._model, info
        if before is not None:
            self.model_changed()

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _draft(self) -> Draft | None:
        """The draft in work: the last one, of the image that is open."""
        return self._drafts[-1] if self._open is not None and self._drafts else None

    def _accepted_drafts(self) -> tuple[Draft, ...]:
        return tuple(draft for draft in self._drafts if draft.ticket is not None)

    def _fresh(self, image: OpenImage) -> Draft:
        self._epoch += 1
        return Draft(self._epoch, image)

    def _open_draft(self) -> Draft | None:
        """The draft that takes the next prompt: a new one behind a draft that waits to be accepted."""
        draft = self._draft
        if draft is not None and draft.ticket is not None:
            self._drafts = (*self._drafts, self._fresh(draft.image))
        return self._draft

    def _set_draft(self, draft: Draft) -> None:
        self._drafts = (*self._drafts[:-1], draft)
        self._after_change()

    def _replace_draft(self, draft: Draft) -> None:
        self._drafts = (*self._drafts[:-1], draft)
        self._drop_dead_decodes()
        self._after_change()

    def _drop_dead_decodes(self) -> None:
        self._client.drop_decodes(self._drafts[0].epoch if self._drafts else self._epoch)

    def _after_change(self) -> None:
        """Store what can be stored, ask what has to be asked, tell what is to be told."""
        self._store_accepted()
        self._ask()
        self.state_changed.emit(self.state)
        self._tell_draft()
        self._tell_busy()
        self._call_when_idle()

    def _ask(self) -> None:
        if not self._drafts or not self._drafts[0].must_ask:
            return
        self._generation += 1
        head = self._drafts[0].asked(self._generation)
        self._drafts = (head, *self._drafts[1:])
        self._client.submit_decode(
            DecodeRequest(
                head.epoch,
                self._generation,
                head.image.key,
                head.image.rgb,
                head.prompts,
                head.previous_logits,
            )
        )

    def _store_accepted(self) -> None:
        while self._drafts and self._drafts[0].ticket is not None and self._drafts[0].answer is not None:
            head = self._drafts[0]
            answer, ticket = head.answer, head.ticket
            if answer is not None and answer.rle is None and self._encoder.is_large(answer.candidate.mask):
                self._encoder.encode(answer.candidate.mask)
                return
            if answer is None or ticket is None or not self._store(head, answer, ticket):
                self._take_back(head)
                return

    def _store(self, head: Draft, answer: Answer, ticket: Ticket) -> bool:
        if answer.candidate.mask.is_empty:
            self.message.emit("The mask is empty; there is nothing to accept. Click on the object.")
            return False
        try:
            annotation_id = head.origin.id if head.origin is not None else self._sink.new_annotation_id()
            annotation = annotation_of(
                head, answer, ticket, annotation_id=annotation_id, author=self._author, created_at=self._now()
            )
            edit = accept_edit(annotation, head.image.record, replaces=head.origin)
            change = self._sink.apply(edit)
        except UserError as error:
            self.message.emit(str(error))
            return False
        rest = tuple(draft for draft in self._drafts if draft.epoch != head.epoch)
        if self._open is not None and (not rest or rest[-1].ticket is not None):
            rest = (*rest, self._fresh(self._open))
        self._drafts = rest
        for row_change in edit.changes:
            if isinstance(row_change.after, ImageRecord):
                self.update_image(row_change.after)
        self.accepted.emit(annotation, change)
        return True

    def _take_back(self, head: Draft) -> None:
        """An object whose mask is there could not be stored: it is in work again, before what was begun after it."""
        self._when_idle.clear()
        kept = taken_back(self._drafts, head, self._open)
        if kept is None:
            self.message.emit(f"The object on {head.image.record.path} was not stored. Please click it again.")
        self._drafts = self._drafts[1:] if kept is None else kept

    def _drop_tickets(self, epochs: set[int]) -> None:
        """The masks of these accepted drafts do not come."""
        kept, count = without_tickets(self._drafts, epochs, self._open)
        if kept is not self._drafts:
            self._when_idle.clear()
            self._drafts = kept
        if count:
            self.message.emit("An object could not be accepted: its mask did not come. Please click it again.")
        self._after_change()

    def _refuse_without_prompts(self, draft: Draft) -> None:
        if draft.origin is not None:
            self.cancel()
            self.message.emit("Nothing was changed.")
        elif len(self._drafts) == 1:
            self.message.emit("Click an object first.")

    def _category_of(self, draft: Draft) -> int | None:
        if draft.origin is not None:
            return draft.origin.category_id if draft.category_id is None else draft.category_id
        return None if self._category is None else self._category.id

    def _tell_draft(self) -> None:
        data = draft_json(self._draft)
        if data != self._told_draft:
            self._told_draft = data
            self.draft_changed.emit(data)

    def _tell_busy(self) -> None:
        is_busy = self._is_encoding or any(draft.is_waiting for draft in self._drafts)
        if is_busy != self._is_busy:
            self._is_busy = is_busy
            self.busy_changed.emit(is_busy)

    def _call_when_idle(self) -> None:
        while self._when_idle and self.can_leave():
            self._when_idle.pop(0)()
