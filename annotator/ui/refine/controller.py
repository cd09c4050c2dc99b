"""What a click does: the object in work, from the first prompt to the accepted annotation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from annotator.domain.brush import Stroke
from annotator.domain.drafts.draft import Draft, OpenImage, Ticket
from annotator.domain.drafts.keeping import Keeping
from annotator.domain.drafts.kept import Data, accepted_from_json, draft_from_json, work_of
from annotator.domain.drafts.line import can_take_back_accept, waiting
from annotator.domain.errors import UserError
from annotator.domain.geometry import Box, clamp_point
from annotator.domain.ports.engine import EncodeRequest, RgbArray, WarmRequest
from annotator.domain.project import Annotation, Category, ImageRecord, reclass_edit
from annotator.domain.prompt import PointPrompt, PromptSession
from annotator.ui.refine.core import RefineCore


class RefineController(RefineCore):
    """What the person does with the object in work; see :class:`RefineCore` for its arguments and signals."""

    # --- the image ----------------------------------------------------------------------------------------------------

    def open_image(self, image: ImageRecord, rgb: RgbArray, image_key: str) -> None:
        """Work on another image from now on.

        An object that is not accepted yet stays in the document's keeping (:attr:`draft_changed`); one that is
        accepted and waits for its mask keeps its image.

        Args:
            rgb: H x W x 3 uint8, as shown. ``image_key`` names these pixels.
        """
        self._keeping = self._keeping.after_leaving(self._drafts, self._open)
        self._epoch += 1
        self._open = OpenImage(image, rgb, image_key, self._epoch)
        self._drafts = (*waiting(self._drafts), Draft(self._epoch, self._open))
        self._is_encoding = True
        self._drop_dead_decodes()
        self._client.submit_encode(EncodeRequest(self._epoch, image_key, rgb))
        self._after_change()

    def close_image(self) -> None:
        """No image is open from now on; the rules of :meth:`open_image` hold."""
        self._keeping = self._keeping.after_leaving(self._drafts, self._open)
        self._epoch += 1
        self._open = None
        self._drafts = waiting(self._drafts)
        self._is_encoding = False
        self._drop_dead_decodes()
        self._after_change()

    def reset(self) -> None:
        """The project is closed: nothing of it is stored any more, not even an accept that waits.

        Whoever closes it asks :meth:`when_idle` first, so that there is none.
        """
        self._stop_waiting()
        self._drafts, self._keeping, self._open = (), Keeping(), None
        self.close_image()

    def prefetch(self, image_key: str, rgb: RgbArray) -> None:
        """Encode the image that will probably be next, when there is nothing better to do."""
        self._client.submit_prefetch(EncodeRequest(self._epoch, image_key, rgb, is_prefetch=True))

    def get_ready(self, x: float, y: float) -> None:
        """The pointer rests at (x, y), in image pixels: a click there, if it is an object's first, will be quicker."""
        draft = self._draft
        if self._open is not None and (draft is None or not draft.session.is_active):
            self._client.submit_warm(WarmRequest(self._open.epoch, self._open.key, x, y))

    # --- prompts ------------------------------------------------------------------------------------------------------

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

    def paint(self, stroke: Stroke) -> None:
        """A stroke of the brush or eraser over the mask in work; a brush alone makes an object by hand."""
        draft = self._open_draft()
        if draft is None:
            return
        height, width = draft.image.rgb.shape[:2]
        if not stroke.touches(width, height):
            return
        if not stroke.is_positive and draft.mask is None and not draft.is_waiting:
            self.message.emit("There is nothing to erase: click an object, or select one and press R.")
            return
        self._set_draft(draft.pushed(draft.session.paint(stroke), at_s=self._clock()))

    def remove_last(self) -> None:
        """Take the newest click or stroke away, else the box; itself a step that undo brings back."""
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
            self._stop_waiting()
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

    def restore(self, kept: Data, *, annotations: Iterable[Annotation] = ()) -> None:
        """Bring back what was in work on the image that is open.

        Args:
            kept: from ``draft_changed``. What was accepted is accepted again, unless it still waits here.
            annotations: objects of the image, for what is being refined.
        """
        opened = self._open
        if opened is None:
            return
        rows = {annotation.id: annotation for annotation in annotations}
        waits = any(draft.image.record.id == opened.record.id for draft in waiting(self._drafts))
        absent = self._keeping.left.get(opened.record.id) if waits else kept
        try:
            epochs = (self._fresh(opened).epoch for _ in count())
            again = accepted_from_json(absent, opened, epochs=epochs, at_s=self._clock(), annotations=rows)
            work = self._fresh(opened)
            if (data := work_of(absent)) is not None:
                work = draft_from_json(data, opened, epoch=work.epoch, at_s=self._clock(), annotations=rows)
        except (ValueError, TypeError, AttributeError, OverflowError, KeyError):
            self.message.emit("The object that was in work could not be restored.")
            return
        self._keeping = self._keeping.restored(opened.record.id, kept)
        self._drafts = (*waiting(self._drafts), *again, work)
        self._drop_dead_decodes()
        self._after_change()

    def lacks(self, image_id: int) -> bool:
        """Whether that image is open, and nothing here of what the document may have in work there."""
        is_open = self._open is not None and self._open.record.id == image_id
        return is_open and self._keeping.told.get(image_id) is None

    # --- accepting ----------------------------------------------------------------------------------------------------

    def set_category(self, category: Category | None) -> None:
        """The class of the next accept."""
        self._category = category

    def pick_category(self, category: Category | None) -> None:
        """The person chose a class: an object that is being refined gets it, too."""
        draft = self._draft
        if draft is not None and draft.origin is not None and draft.ticket is None and category is not None:
            self._set_draft(replace(draft, category_id=category.id))

    def accept(self, *, epoch: int | None = None) -> None:
        """Keep the object. When its mask is still being computed, exactly that mask is kept as soon as it is there.

        Args:
            epoch: of the draft that could not be stored before; any other is left alone.
        """
        draft = self._draft
        if draft is None or draft.ticket is not None or epoch not in (None, draft.epoch):
            return
        if not draft.has_work:
            self._refuse_without_prompts(draft)
            return
        if draft.is_waiting and not self._client.can_answer:
            draft = replace(draft, failed=draft.generation)
            if not draft.is_ready:
                self.message.emit("No model is loaded, so there is no mask to accept yet.")
                return
        if not draft.is_ready and not draft.is_waiting:
            self.message.emit("There is no mask to accept; click once more or press Esc.")
            return
        chosen = None if self._category is None else self._category.id
        category_id = chosen if draft.origin is None else draft.kept_category_id
        if category_id is None:
            self.message.emit("Pick a class first: 1 to 9, or C to search by name.")
            return
        self._set_draft(replace(draft, ticket=Ticket(category_id, self._clock())))

    def drop_image(self, image_id: int) -> None:
        """Nothing is in work on this image any more, nor is anything stored that was accepted there and still waits.
        The document has ended it already."""
        self._keeping = self._keeping.without(image_id)
        kept = tuple(draft for draft in self._drafts if draft.image.record.id != image_id)
        if self._open is not None and (not kept or kept[-1].ticket is not None):
            kept = (*kept, self._fresh(self._open))
        self._drafts = kept
        self._drop_dead_decodes()
        self._after_change()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _open_draft(self) -> Draft | None:
        """The draft that takes the next prompt: a new one behind a draft that waits to be accepted."""
        draft = self._draft
        if draft is not None and draft.ticket is not None:
            self._drafts = (*self._drafts, self._fresh(draft.image))
        return self._draft

    def _replace_draft(self, draft: Draft) -> None:
        self._drafts = (*self._drafts[:-1], draft)
        self._drop_dead_decodes()
        self._after_change()

    def _refuse_without_prompts(self, draft: Draft) -> None:
        if draft.origin is not None:
            self.cancel()
            self._keep_class(draft.origin, draft.kept_category_id)
        elif len(self._drafts) == 1:
            self.message.emit("Click an object first.")

    def _keep_class(self, origin: Annotation, category_id: int | None) -> None:
        """A refined object that got no click may have got another class."""
        if category_id is None or category_id == origin.category_id:
            self.message.emit("Nothing was changed.")
            return
        try:
            self._sink.apply(reclass_edit((origin,), category_id))
        except UserError as error:
            self.not_stored.emit(str(error), 0)
            return
        self.message.emit("The class was changed; the mask is as it was.")
