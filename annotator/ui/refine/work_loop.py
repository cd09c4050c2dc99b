"""The work on the images between person, engine and document: moves come in, their effects go out.

Accepting an object whose mask is still being computed leaves it in line (its ``ticket``) and a fresh draft takes the
next clicks, so that neither a mask nor a click waits for the other or is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot

from annotator.domain.drafts import answers, looking
from annotator.domain.drafts.draft import Answer, Draft, Ticket
from annotator.domain.drafts.effects import DropDecodes, Effects, Encode, GiveUpWaiting, Reclass, Say, Settle
from annotator.domain.drafts.keeping import Writes
from annotator.domain.drafts.line import can_take_back_accept
from annotator.domain.drafts.moves import Move, moved
from annotator.domain.drafts.state import RefineState, annotation_of, state_of
from annotator.domain.drafts.work import Work
from annotator.domain.errors import RowGoneError, UserError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import ModelInfo, RgbArray
from annotator.domain.ports.requests import (
    LOAD_EPOCH,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
)
from annotator.domain.project import Change, Edit, ImageRecord, accept_edit, reclass_edit
from annotator.domain.sight import Sight
from annotator.ui.threads.mask_encoder import MaskEncoder
from annotator.ui.threads.spare_copies import SpareCopies
from annotator.ui.threads.worker import EngineClient


class AnnotationSink(Protocol):
    """Where accepted objects go."""

    def new_annotation_id(self) -> int: ...

    def apply(self, edit: Edit, *, kept: Writes | None = None) -> Change:
        """Durable when it returns, together with what is in progress from then on (``kept``, by image id).

        Raises:
            UserError: nothing was changed.
        """
        ...


class WorkLoop(QObject):
    """Has the work, and does what it asks for: requests to the engine, durable edits, messages.

    Args:
        now: ISO 8601 time in UTC, for ``created_at``. author: of the objects that are accepted.
    """

    state_changed = Signal(object)
    accepted = Signal(object, object)
    storing = Signal(object, object)
    """(annotation, its mask): before it is stored, which may still fail; nothing for the person."""
    message = Signal(str)
    not_stored = Signal(object, int)
    busy_changed = Signal(bool)
    draft_changed = Signal(object, object)

    def __init__(
        self,
        client: EngineClient,
        sink: AnnotationSink,
        *,
        now: Callable[[], str],
        author: Callable[[], str],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._client, self._sink, self._now, self._author = client, sink, now, author
        self.work = Work()
        self._generation = 0
        self._model: ModelInfo | None = client.info
        self._is_busy = False
        self._when_idle: list[tuple[Callable[[], None], Callable[[], None] | None]] = []
        self._encoder, self.spare = MaskEncoder(self), SpareCopies(self)
        self._encoder.encoded.connect(self._on_mask_encoded)
        client.decoded.connect(self._on_decoded)
        client.encoded.connect(self._on_encoded)
        client.failed.connect(self._on_failed)
        client.ready.connect(self._on_ready)
        client.adapter_changed.connect(lambda _adapter, _ms: self._on_adapter())

    @property
    def state(self) -> RefineState:
        draft, work = self.work.draft, self.work
        parked = len(work.line) - (draft is not None)
        return state_of(draft, parked=parked, can_undo=can_take_back_accept(work.line, work.opened))

    # --- moves --------------------------------------------------------------------------------------------------------

    def do(self, move: Move) -> bool:
        """Whether the move changed the work."""
        before = self.work
        work, effects = moved(before, move)
        self._apply(work, effects)
        return work is not before

    def look_at(self, key: str, sight: Sight) -> None:
        """Another part of a very large image is in view; :meth:`take_pixels` brings what ``key`` names."""
        self._apply(*looking.looked_at(self.work, key, sight))

    def take_pixels(self, key: str, rgb: RgbArray) -> None:
        """The part that was looked at: H x W x 3 uint8."""
        self._apply(*looking.came(self.work, key, rgb))

    def show_anew(self, rgb: RgbArray, key: str, sight: Sight | None = None) -> None:
        """The image that is open is shown in other pixels of the same size: it is encoded again, and the prompts of the
        current object are answered again.

        Args:
            rgb: H x W x 3 uint8, as shown. ``key`` names these pixels. ``sight``: which part of a very large image.
        """
        self._apply(*answers.shown_anew(self.work, rgb, key, sight))

    def _apply(self, work: Work, effects: Effects) -> None:
        self.work = work
        for effect in effects:
            match effect:
                case Settle():
                    self._settle()
                case Say(text):
                    self.message.emit(text)
                case DropDecodes(before_epoch):
                    self._client.drop_decodes(before_epoch)
                case Encode(image):
                    self._client.submit_encode(EncodeRequest(image.epoch, image.key, image.rgb))
                case GiveUpWaiting():
                    self._stop_waiting()
                case Reclass():
                    self._reclass(effect)

    def _reclass(self, wish: Reclass) -> None:
        try:
            self._sink.apply(reclass_edit((wish.annotation,), wish.category_id))
        except UserError as error:
            self.not_stored.emit(error, 0)
            return
        self.message.emit("The class was changed; the mask is as it was.")

    def _settle(self) -> None:
        self.work = answers.repainted(self.work)
        self._store_accepted()
        self._ask()
        self._tell_drafts()  # first of all: nothing is shown, or said to be accepted, that a kill could take
        state = self.state
        self.spare.prepare(state.mask)
        self.state_changed.emit(state)
        self._tell_busy()
        self._call_when_idle()

    def _ask(self) -> None:
        if not self.work.line or not self.work.line[0].must_ask or not self.work.line[0].image.is_here:
            return
        self._generation += 1
        self.work = answers.asked(self.work, self._generation)
        head = self.work.line[0]
        image = head.image
        self._client.submit_decode(
            DecodeRequest(
                head.epoch, self._generation, image.key, image.rgb, head.prompts.asked, head.continued, image.sight
            )
        )

    # --- the document -------------------------------------------------------------------------------------------------

    def _store_accepted(self) -> None:
        while (head := answers.head_to_store(self.work)) is not None:
            mask, ticket = head.mask, head.ticket
            if mask is not None and head.rle is None and self._encoder.is_large(mask):
                self._encoder.encode(mask)
                return
            if mask is not None and mask.is_empty:
                self._apply(*answers.found_nothing(self.work, head))
                continue
            if mask is None or ticket is None or not self._store(head, mask, ticket):
                self._apply(*answers.not_stored(self.work, head))
                return

    def _store(self, head: Draft, mask: Mask, ticket: Ticket) -> bool:
        image_id = head.image.record.id
        try:
            annotation_id = head.origin.id if head.origin is not None else self._sink.new_annotation_id()
            annotation = annotation_of(
                head, mask, ticket, annotation_id=annotation_id, author=self._author(), created_at=self._now()
            )
            self.storing.emit(annotation, mask)
            edit = accept_edit(annotation, head.image.record, replaces=head.origin)
            kept = answers.kept_without(self.work, head)
            change = self._sink.apply(edit, kept={image_id: kept})
            self.work = replace(self.work, keeping=self.work.keeping.with_told(image_id, kept))
        except UserError as error:
            is_here = self.work.opened is not None and self.work.opened.epoch == head.image.epoch
            self.not_stored.emit(error, head.epoch if is_here else 0)
            return False
        except RowGoneError:
            self.work = answers.stored(self.work, head)
            self.message.emit("The object that was refined is not there any more; its new mask was dropped.")
            return True
        self.work = answers.stored(self.work, head)
        for row_change in edit.changes:
            if isinstance(row_change.after, ImageRecord):
                self.work = self.work.with_record(row_change.after)
        self.accepted.emit(annotation, change)
        return True

    def _tell_drafts(self) -> None:
        keeping, writes = self.work.keeping.news(self.work.line, self.work.opened)
        self.work = replace(self.work, keeping=keeping)
        for image_id, data in writes.items():
            self.draft_changed.emit(image_id, data)

    # --- answers of the engine ----------------------------------------------------------------------------------------

    @Slot(object)
    def _on_decoded(self, result: DecodeResult) -> None:
        candidates = result.candidates
        answer = Answer(
            result.prompts,
            candidates,
            candidates.best,
            result.encode_ms,
            result.was_cached,
            self._client.info,
            adapter=result.adapter,
        )
        self.work = answers.answered(self.work, result.epoch, result.generation, answer)
        self._settle()

    @Slot(object)
    def _on_encoded(self, result: EncodeResult) -> None:
        is_current = self.work.opened is not None and result.image_key == self.work.opened.key
        if is_current and not result.is_prefetch and self.work.is_encoding:
            self.work = replace(self.work, is_encoding=False)
            self._tell_busy()

    @Slot(object)
    def _on_failed(self, failure: EngineFailure) -> None:
        if failure.epoch != LOAD_EPOCH:
            self._apply(*answers.failed(self.work, failure.epoch, failure.generation))
        elif self._client.info is None:  # with the earlier engine still in use an accept need not wait for ever
            self._apply(*answers.without_engine(self.work))

    @Slot(object, object)
    def _on_mask_encoded(self, mask: Mask, rle: bytes) -> None:
        self.work = answers.encoded(self.work, mask, rle)
        self._settle()

    @Slot(object)
    def _on_ready(self, info: ModelInfo) -> None:
        """Another model is in use: ask it again."""
        before, self._model = self._model, info
        if before is None:
            return
        self.work = answers.forgotten(self.work, keeps_accepted=False)
        opened = self.work.opened
        if opened is not None:
            self.work = replace(self.work, is_encoding=True)
        self._apply(self.work, (Settle(),) if opened is None else (Encode(opened), Settle()))

    def _on_adapter(self) -> None:
        """Another adapter answers: ask it again what is in progress. What was accepted with a mask keeps that mask."""
        self.work = answers.forgotten(self.work, keeps_accepted=True)
        self._settle()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def when_idle(self, callback: Callable[[], None], otherwise: Callable[[], None] | None) -> None:
        """As :meth:`RefineController.when_idle`."""
        self._when_idle.append((callback, otherwise))
        self._call_when_idle()

    def _tell_busy(self) -> None:
        is_busy = self.work.is_encoding or any(draft.is_waiting for draft in self.work.line)
        if is_busy != self._is_busy:
            self._is_busy = is_busy
            self.busy_changed.emit(is_busy)

    def _call_when_idle(self) -> None:
        while self._when_idle and self.work.is_idle:
            self._when_idle.pop(0)[0]()

    def _stop_waiting(self) -> None:
        """What was to be done when idle is not done."""
        waiting, self._when_idle = self._when_idle, []
        for _, otherwise in waiting:
            if otherwise is not None:
                otherwise()
