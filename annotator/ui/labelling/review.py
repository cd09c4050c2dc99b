"""Review: from accepted object to accepted object over the whole project, the least certain first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QRectF

from annotator.domain.counting import noun_for
from annotator.domain.errors import UserError
from annotator.domain.project import Annotation, Change, ImageRecord
from annotator.domain.review import Place, ReviewedObject, ReviewOrder
from annotator.io.project.store import ProjectStore
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Notices, Subject
from annotator.ui.panels.dock import ObjectPanel
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.threads.background import BackgroundWork

_TOPIC = f"{Subject.PROJECT}/review"
_FEW_OBJECTS = 64
"""More changes than that at once (an import) and the order is read anew."""


class Review(QObject):
    """One per window. The order is read from the project file on a thread, once, and then kept up with the changes.

    Args:
        key_of: the key of an action by its id, as it is written to the person; empty for none.
    """

    def __init__(
        self,
        session: ProjectSession,
        refine: RefineController,
        notices: Notices,
        *,
        canvas: Canvas,
        objects: ObjectPanel,
        bench: Workbench,
        key_of: Callable[[str], str],
    ) -> None:
        super().__init__(canvas)
        self._session, self._refine, self._notices = session, refine, notices
        self._canvas, self._objects, self._bench, self._key_of = canvas, objects, bench, key_of
        self._order: ReviewOrder | None = None
        self._place: Place | None = None
        self._wanted: ReviewedObject | None = None
        self._shown: ReviewedObject | None = None
        self._reading: BackgroundWork | None = None
        self._works: list[BackgroundWork] = []
        self._changed_meanwhile: set[int] = set()
        session.opened.connect(self._forget)
        session.changed.connect(self._on_change)
        session.image_changed.connect(self._on_image)
        bench.picture_shown.connect(self._on_picture)
        objects.selection_changed.connect(self._on_selection)

    def go(self, step: int) -> None:
        """Show the next less trusted object (+1), or the one before (-1)."""
        if self._refine.state.is_active:
            text = "The current object is not accepted yet: Enter accepts it, Esc drops it. Then the review continues."
            self._notices.tell(text, about=Subject.WORK)
        elif self._order is not None:
            self._go(self._order, step)
        elif self._reading is None and self._session.store is not None:
            self._read(self._session.store.path, step)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        for work in tuple(self._works):
            self._end(work)

    # --- the order ----------------------------------------------------------------------------------------------------

    def _read(self, path: Path, step: int) -> None:
        def read() -> ReviewOrder:
            with ProjectStore.open(path, read_only=True) as store:
                return ReviewOrder(store.reviewed_objects())

        self._changed_meanwhile = set()
        work = self._reading = BackgroundWork(lambda _progress: read(), self)
        self._works.append(work)
        work.succeeded.connect(lambda order: self._on_read(work, order, step))
        work.failed.connect(self._on_failure)
        work.finished.connect(lambda: self._end(work))
        work.start()

    def _on_read(self, work: BackgroundWork, order: ReviewOrder, step: int) -> None:
        if work is not self._reading:
            return  # of a project that was left meanwhile
        self._reading, self._order = None, order
        self._follow(order, self._changed_meanwhile)
        self.go(step)

    def _on_failure(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._notices.warn(str(error), about="file")

    def _end(self, work: BackgroundWork) -> None:
        if self._reading is work:
            self._reading = None
        if work in self._works:
            self._works.remove(work)
            work.wait()
            work.deleteLater()

    def _forget(self) -> None:
        """Another project, or none."""
        self._reading = self._order = self._place = self._wanted = self._shown = None

    def _on_change(self, change: Change) -> None:
        if self._reading is not None:
            self._changed_meanwhile |= change.annotation_ids
        elif self._order is not None and len(change.annotation_ids) > _FEW_OBJECTS:
            self._order = None
        elif self._order is not None:
            self._follow(self._order, change.annotation_ids)

    def _follow(self, order: ReviewOrder, annotation_ids: set[int] | frozenset[int]) -> None:
        store = self._session.store
        if store is None:
            return
        for annotation_id in annotation_ids:
            try:
                row = store.annotation(annotation_id)
            except KeyError:
                order.remove(annotation_id)
            else:
                order.put(ReviewedObject(row.id, row.image_id, row.score))

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _go(self, order: ReviewOrder, step: int) -> None:
        found = order.after(self._place) if step > 0 else order.before(self._place)
        if found is None:
            had_place, self._place = self._place is not None, None
            if not len(order):
                self._notices.tell("There are no accepted objects to review yet.", about=Subject.CHANGE)
            elif had_place:
                end = "the most certain" if step > 0 else "the least certain"
                objects = f"{grouped(len(order))} {noun_for(len(order), 'object')}"
                text = f"That was {end} of {objects}; the next key starts again."
                self._notices.tell(text, about=_TOPIC)
            return
        self._place, self._wanted = found.place, found
        shown = self._bench.picture
        if shown is not None and shown.image_id == found.image_id:
            self._show(found)
        else:
            self._session.go_to(found.image_id)

    def _on_image(self, image: ImageRecord | None) -> None:
        """Another image is to be shown, or is already: what was said of an object on the one before is over."""
        image_id = 0 if image is None else image.id
        if self._shown is not None and self._shown.image_id != image_id:
            self._shown = None
            self._notices.withdraw(_TOPIC)
        if self._wanted is not None and self._wanted.image_id != image_id:
            self._wanted = None  # the person went elsewhere; the walk waits to be asked again

    def _on_selection(self, ids: frozenset[int]) -> None:
        if self._shown is not None and self._shown.annotation_id not in ids:
            self._shown = None
            self._notices.withdraw(_TOPIC)

    def _on_picture(self, image_id: int) -> None:
        if self._wanted is not None and self._wanted.image_id == image_id:
            self._show(self._wanted)

    def _show(self, found: ReviewedObject) -> None:
        """Select the object, bring it before the eye, and say how far it was trusted."""
        self._wanted = None
        row = next((a for a in self._session.annotations if a.id == found.annotation_id), None)
        if row is None or self._order is None or self._refine.state.is_active:
            return
        self._canvas.show_place(QRectF(row.x, row.y, row.w, row.h))
        self._objects.select_ids(frozenset({row.id}))
        self._shown = found
        rank = f"{grouped(self._order.rank(found))} of {grouped(len(self._order))}"
        refine, delete = self._key_of("refine_selected"), self._key_of("delete")
        what = f" {refine} refines it, {delete} deletes it." if refine and delete else ""
        self._notices.tell(f"Review {rank}: {trust_text(row)}.{what}", about=_TOPIC, stays=True)


def trust_text(row: Annotation) -> str:
    """How far the model trusted an object's mask, in words."""
    return "no predicted IoU" if row.score is None else f"predicted IoU {row.score:.2f}"
