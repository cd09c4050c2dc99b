"""What a click does: the current object, from the first prompt to the accepted annotation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal

from annotator.domain.brush import Stroke
from annotator.domain.cues.cue import Cue
from annotator.domain.drafts import moves
from annotator.domain.drafts.kept import Data
from annotator.domain.drafts.state import RefineState
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation
from annotator.domain.ports.engine import RgbArray
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.domain.prompt import PointPrompt
from annotator.domain.sight import Sight
from annotator.ui.refine.asides import EngineAsides
from annotator.ui.refine.work_loop import AnnotationSink, WorkLoop
from annotator.ui.threads.worker import EngineClient

__all__ = ["AnnotationSink", "RefineController", "utc_now"]


def utc_now() -> str:
    """ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RefineController(QObject):
    """What the person does with the current object. Each of these is a move of :mod:`annotator.domain.drafts.moves`.

    Args:
        clock: monotonic seconds, for the time spent on an object.
        now: ISO 8601 time in UTC, for ``created_at``.
    """

    state_changed = Signal(object)
    """RefineState"""
    accepted = Signal(object, object)
    """(Annotation, Change), after it is durable"""
    storing = Signal(object, object)
    """(Annotation, its mask), before it is stored, which may still fail: nothing for the person"""
    message = Signal(str)
    """A quiet sentence for the person. Engine failures are the client's signal, not repeated here."""
    not_stored = Signal(object, int)
    """(UserError, epoch of the draft for :meth:`accept`, 0 when it is on another image): the disk refused an accept."""
    busy_changed = Signal(bool)
    draft_changed = Signal(object, object)
    """(image id, plain JSON data to :meth:`restore` what is in progress there from after a crash, or None)"""

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
        self._clock = clock
        self.author = author
        """Of the objects that are accepted."""
        self._loop = loop = WorkLoop(client, sink, now=now, author=lambda: self.author, parent=self)
        self.show_anew, self.look_at, self.take_pixels = loop.show_anew, loop.look_at, loop.take_pixels
        self.asides = EngineAsides(client, lambda: loop.work)
        for name in ("state_changed", "accepted", "storing", "message", "not_stored", "busy_changed", "draft_changed"):
            getattr(loop, name).connect(getattr(self, name))

    @property
    def state(self) -> RefineState:
        return self._loop.state

    # --- the image ----------------------------------------------------------------------------------------------------

    def open_image(self, image: ImageRecord, rgb: RgbArray, image_key: str, sight: Sight | None = None) -> None:
        """Work on another image from now on.

        An object that is not accepted yet stays in the document's keeping (:attr:`draft_changed`); one that is
        accepted and waits for its mask keeps its image.

        Args:
            rgb: H x W x 3 uint8, as shown. ``image_key`` names these pixels. ``sight``: which part of a very large
                image they are.
        """
        self._loop.do(moves.ShowImage(image, rgb, image_key, sight))

    def close_image(self) -> None:
        """No image is open from now on; the rules of :meth:`open_image` hold."""
        self._loop.do(moves.LeaveImage())

    def reset(self) -> None:
        """The project is closed: nothing of it is stored any more, not even an accept that waits.

        Whoever closes it asks :meth:`when_idle` first, so that there is none.
        """
        self._loop.do(moves.LeaveProject())

    def update_image(self, image: ImageRecord) -> None:
        """The image's record was changed elsewhere (status, facts)."""
        self._loop.work = self._loop.work.with_record(image)

    def drop_image(self, image_id: int) -> None:
        """This image has no drafts any more, nor is anything stored that was accepted there and still waits. The
        document has ended it already."""
        self._loop.do(moves.DropImage(image_id))

    def restore(self, kept: Data, *, annotations: Iterable[Annotation] = ()) -> None:
        """Bring back what was in progress on the image that is open.

        Args:
            kept: from ``draft_changed``. What was accepted is accepted again, unless it still waits here.
            annotations: objects of the image, for what is being refined.
        """
        rows = {annotation.id: annotation for annotation in annotations}
        self._loop.do(moves.BringBack(kept, rows, self._clock()))

    def lacks(self, image_id: int) -> bool:
        """Whether that image is open, and nothing here of what the document may have in progress there."""
        work = self._loop.work
        return work.is_open(image_id) and work.keeping.told.get(image_id) is None

    # --- prompts ------------------------------------------------------------------------------------------------------

    def add_point(self, said: PointPrompt | Cue) -> None:
        """A click; one outside the image is pulled to its edge. A cue is a step like it, of several clicks."""
        at_s = self._clock()
        self._loop.do(moves.Click(said, at_s) if isinstance(said, PointPrompt) else moves.PutCue(said, at_s))

    def set_box(self, box: Box) -> None:
        """A box, clipped to the image; it replaces an earlier one."""
        self._loop.do(moves.DrawBox(box, self._clock()))

    def paint(self, stroke: Stroke) -> None:
        """A stroke of the brush or eraser over the current mask; a brush alone makes an object by hand."""
        self._loop.do(moves.Paint(stroke, self._clock()))

    def operate(self, operation: Operation, *, known: tuple[Mask, Mask] | None = None) -> None:
        """An operation on the current mask; ``known`` is a mask and what becomes of it, where that was computed."""
        self._loop.do(moves.Operate(operation, self._clock(), known))

    def remove_last(self) -> None:
        """Take the newest click or stroke away, else the box; itself a step that undo brings back."""
        self._loop.do(moves.RemoveLast(self._clock()))

    def undo(self) -> bool:
        """One step back within the current object (or take back an accept that still waits); False: nothing here."""
        return self._loop.do(moves.Undo())

    def redo(self) -> bool:
        return self._loop.do(moves.Redo())

    def cycle(self, step: int = 1) -> None:
        """Another candidate; a switch before the answer is there is remembered."""
        self._loop.do(moves.Turn(step))

    def choose(self, index: int) -> None:
        self._loop.do(moves.Choose(index))

    def cancel(self) -> bool:
        """Drop the current object, or the newest accept that still waits; False when there was nothing."""
        return self._loop.do(moves.Cancel())

    def refine_annotation(self, annotation: Annotation) -> None:
        """Go on working on an accepted object: its mask is shown at once, accepting replaces it and keeps its id."""
        self._loop.do(moves.TakeUp(annotation))

    # --- accepting ----------------------------------------------------------------------------------------------------

    def set_category(self, category: Category | None) -> None:
        """The class of the next accept."""
        self._loop.do(moves.SetClass(None if category is None else category.id))

    def pick_category(self, category: Category | None) -> None:
        """The person chose a class: an object that is being refined gets it, too."""
        if category is not None:
            self._loop.do(moves.PickClass(category.id))

    def accept(self, *, epoch: int | None = None) -> None:
        """Keep the object. When its mask is still being computed, exactly that mask is kept as soon as it is there.

        Args:
            epoch: of the draft that could not be stored before; any other is left alone.
        """
        self._loop.do(moves.Accept(self._clock(), self.asides.can_answer, epoch))

    def can_leave(self) -> bool:
        """No accept waits for its mask. (One that does survives ``open_image``, but not the end of the program.)"""
        return self._loop.work.is_idle

    def when_idle(self, callback: Callable[[], None], *, otherwise: Callable[[], None] | None = None) -> None:
        """Call back once no accept waits: at once, or when the last is stored or dropped by the person.

        Not when one of them failed or was taken back, for then the person has to see to it first: then ``otherwise``
        is called instead. Exactly one of the two is called.
        """
        self._loop.when_idle(callback, otherwise)
