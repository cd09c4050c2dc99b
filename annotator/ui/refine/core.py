"""The line of drafts between person, engine and document; ``refine.py`` has what the person does with it.

One :class:`Draft` is in work at a time. Accepting one whose mask is still being computed leaves it in line (its
``ticket``) and a fresh draft takes the next clicks, so that neither a mask nor a click waits for the other or is lost.
Only the draft at the head of the line is known to the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot

from annotator.domain.drafts.draft import Answer, Draft, OpenImage, Ticket
from annotator.domain.drafts.keeping import Keeping, Writes
from annotator.domain.drafts.line import can_take_back_accept, taken_back, waiting, without, without_tickets
from annotator.domain.drafts.state import RefineState, annotation_of, state_of
from annotator.domain.errors import RowGoneError, UserError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import (
    LOAD_EPOCH,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
    ModelInfo,
)
from annotator.domain.project import Category, Change, Edit, ImageRecord, accept_edit
from annotator.ui.threads.mask_encoder import MaskEncoder
from annotator.ui.threads.worker import EngineClient


class AnnotationSink(Protocol):
    """Where accepted objects go."""

    def new_annotation_id(self) -> int: ...

    def apply(self, edit: Edit, *, kept: Writes | None = None) -> Change:
        """Durable when it returns, together with what is in work from then on (``kept``, by image id).

        Raises:
            UserError: nothing was changed.
        """
        ...


def utc_now() -> str:
    """ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RefineCore(QObject):
    """Turns drafts into requests, answers into what is shown, and accepted drafts into durable edits.

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
    not_stored = Signal(str, int)
    """(why, epoch of the draft for :meth:`accept`, 0 when it is on another image): the disk refused an accept."""
    busy_changed = Signal(bool)
    draft_changed = Signal(int, object)
    """(image id, plain JSON data to :meth:`restore` what is in work there from after a crash, or None)"""

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
        self.author = author
        """Of the objects that are accepted."""
        self._open: OpenImage | None = None
        self._drafts: tuple[Draft, ...] = ()
        self._epoch = 0
        self._generation = 0
        self._category: Category | None = None
        self._model: ModelInfo | None = client.info
        self._is_encoding = False
        self._is_busy = False
        self._when_idle: list[tuple[Callable[[], None], Callable[[], None] | None]] = []
        self._encoder = MaskEncoder(self)
        self._encoder.encoded.connect(self._on_mask_encoded)
        self._keeping = Keeping()
        client.decoded.connect(self._on_decoded)
        client.encoded.connect(self._on_encoded)
        client.failed.connect(self._on_failed)
        client.ready.connect(self._on_ready)
        client.adapter_changed.connect(lambda _adapter, _ms: self.adapter_changed())

    # --- the line -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> RefineState:
        draft = self._draft
        parked = len(self._drafts) - (draft is not None)
        return state_of(draft, parked=parked, can_undo=can_take_back_accept(self._drafts, self._open))

    def can_leave(self) -> bool:
        """No accept waits for its mask. (One that does survives ``open_image``, but not the end of the program.)"""
        return not waiting(self._drafts)

    def when_idle(self, callback: Callable[[], None], *, otherwise: Callable[[], None] | None = None) -> None:
        """Call back once no accept waits: at once, or when the last is stored or dropped by the person.

        Not when one of them failed or was taken back, for then the person has to see to it first: then ``otherwise``
        is called instead. Exactly one of the two is called.
        """
        self._when_idle.append((callback, otherwise))
        self._call_when_idle()

    def model_changed(self) -> None:
        """Another model is in use: ask it again. The controller notices by itself; calling it again is harmless."""
        self._drafts = tuple(draft.forgotten() for draft in self._drafts)
        if self._open is not None:
            self._is_encoding = True
            self._client.submit_encode(EncodeRequest(self._open.epoch, self._open.key, self._open.rgb))
        self._after_change()

    def adapter_changed(self) -> None:
        """Another adapter answers: ask it again what is in work. What was accepted with a mask keeps that mask."""
        self._drafts = tuple(
            d if d.ticket is not None and d.answer is not None else d.forgotten() for d in self._drafts
        )
        self._after_change()

    def ask_base(self) -> bool:
        """Ask what the base says to the prompts in work, for ``client.compared``; False when there are none."""
        draft = self._draft
        if draft is None or not draft.has_prompts:
            return False
        image = draft.image
        self._client.submit_compare(DecodeRequest(draft.epoch, 0, image.key, image.rgb, draft.prompts))
        return True

    def update_image(self, image: ImageRecord) -> None:
        """The image's record was changed elsewhere (status, facts)."""
        if self._open is not None and self._open.record.id == image.id:
            self._open = replace(self._open, record=image)
        self._drafts = tuple(
            replace(d, image=replace(d.image, record=image)) if d.image.record.id == image.id else d
            for d in self._drafts
        )

    # --- answers of the engine ----------------------------------------------------------------------------------------

    @Slot(object)
    def _on_decoded(self, result: DecodeResult) -> None:
        candidates = result.candidates
        model = self._client.info
        answer = Answer(
            *(result.prompts, candidates, candidates.best, result.encode_ms, result.was_cached, model),
            adapter=result.adapter,
        )
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
                self._drop_tickets({draft.epoch for draft in self._drafts if not draft.is_ready})
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

    def _fresh(self, image: OpenImage) -> Draft:
        self._epoch += 1
        return Draft(self._epoch, image)

    def _set_draft(self, draft: Draft) -> None:
        self._drafts = (*self._drafts[:-1], draft)
        self._after_change()

    def _drop_dead_decodes(self) -> None:
        self._client.drop_decodes(self._drafts[0].epoch if self._drafts else self._epoch)

    def _after_change(self) -> None:
        """Store what can be stored, ask what has to be asked, tell what is to be told."""
        self._drafts = tuple(draft.repainted() for draft in self._drafts)
        self._store_accepted()
        self._ask()
        self.state_changed.emit(self.state)
        self._tell_drafts()
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
                head.prompts.asked,
                head.continued,
            )
        )

    def _store_accepted(self) -> None:
        while self._drafts and self._drafts[0].ticket is not None and self._drafts[0].is_ready:
            head = self._drafts[0]
            mask, ticket = head.mask, head.ticket
            if mask is not None and head.rle is None and self._encoder.is_large(mask):
                self._encoder.encode(mask)
                return
            if mask is None or ticket is None or not self._store(head, mask, ticket):
                self._take_back(head)
                return

    def _store(self, head: Draft, mask: Mask, ticket: Ticket) -> bool:
        if mask.is_empty:
            self.message.emit("The mask is empty; there is nothing to accept. Click on the object.")
            return False
        try:
            annotation_id = head.origin.id if head.origin is not None else self._sink.new_annotation_id()
            annotation = annotation_of(
                head, mask, ticket, annotation_id=annotation_id, author=self.author, created_at=self._now()
            )
            edit = accept_edit(annotation, head.image.record, replaces=head.origin)
            image_id = head.image.record.id
            kept = self._keeping.of(without(self._drafts, head), image_id)
            change = self._sink.apply(edit, kept={image_id: kept})
            self._keeping = self._keeping.with_told(image_id, kept)
        except UserError as error:
            is_here = self._open is not None and self._open.epoch == head.image.epoch
            self.not_stored.emit(str(error), head.epoch if is_here else 0)
            return False
        except RowGoneError:
            change = None
        rest = without(self._drafts, head)
        if self._open is not None and (not rest or rest[-1].ticket is not None):
            rest = (*rest, self._fresh(self._open))
        self._drafts = rest
        if change is None:
            self.message.emit("The object that was refined is not there any more; its new mask was dropped.")
            return True
        for row_change in edit.changes:
            if isinstance(row_change.after, ImageRecord):
                self.update_image(row_change.after)
        self.accepted.emit(annotation, change)
        return True

    def _take_back(self, head: Draft) -> None:
        """An object whose mask is there could not be stored: it is in work again, before what was begun after it."""
        self._stop_waiting()
        kept = taken_back(self._drafts, head, self._open)
        if kept is None:
            self._keep_for_later(head)
        self._drafts = self._drafts[1:] if kept is None else kept

    def _keep_for_later(self, draft: Draft) -> None:
        """An accepted object of an image that is not open: the document keeps it as it is."""
        self._keeping = self._keeping.with_later(draft)
        path = draft.image.record.path
        self.message.emit(f"The object on {path} is not stored yet; it is as soon as you open that image again.")

    def _drop_tickets(self, epochs: set[int]) -> None:
        """The masks of these accepted drafts do not come."""
        kept, count = without_tickets(self._drafts, epochs, self._open)
        if kept is not self._drafts:
            self._stop_waiting()
            here = None if self._open is None else self._open.record.id
            remain = {draft.epoch for draft in kept}
            elsewhere = [d for d in self._drafts if d.epoch not in remain and d.image.record.id != here]
            for draft in elsewhere:
                self._keep_for_later(draft)
            self._drafts, count = kept, count - len(elsewhere)
        if count:
            self.message.emit("An object could not be accepted: its mask did not come. Please click it again.")
        self._after_change()

    def _tell_drafts(self) -> None:
        self._keeping, writes = self._keeping.news(self._drafts, self._open)
        for image_id, data in writes.items():
            self.draft_changed.emit(image_id, data)

    def _tell_busy(self) -> None:
        is_busy = self._is_encoding or any(draft.is_waiting for draft in self._drafts)
        if is_busy != self._is_busy:
            self._is_busy = is_busy
            self.busy_changed.emit(is_busy)

    def _call_when_idle(self) -> None:
        while self._when_idle and self.can_leave():
            self._when_idle.pop(0)[0]()

    def _stop_waiting(self) -> None:
        """What was to be done when idle is not done."""
        waiting, self._when_idle = self._when_idle, []
        for _, otherwise in waiting:
            if otherwise is not None:
                otherwise()
