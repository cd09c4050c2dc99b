"""Keeps panels, canvas overlays and actions in step with the session and the object in work. It decides nothing."""

from __future__ import annotations

from PySide6.QtCore import QObject, QRectF

from annotator.domain.mask import Mask
from annotator.domain.object_score import sees_no_object
from annotator.domain.palette import PALETTE
from annotator.domain.project import Annotation, Category, Change
from annotator.ui.actions import When
from annotator.ui.canvas import ObjectView
from annotator.ui.hud import common_frame
from annotator.ui.main_window import MainWindow
from annotator.ui.numbers import grouped
from annotator.ui.refine_state import RefineState
from annotator.ui.session import ProjectSession

NO_OBJECT = "The model sees no object here."
HINT = "Click an object. Right click removes. Enter accepts."
_Shown = tuple[bytes, str, str]
_KEPT_MASKS = 4000
"""Decoded masks of images that were shown are kept up to this many, so that going back is quick."""


class Views(QObject):
    """What is on the screen follows ``session.changed`` and ``RefineController.state_changed``."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._shown: dict[int, _Shown] = {}
        self._masks: dict[int, tuple[bytes, Mask]] = {}
        self._has_picture = False
        self.state = RefineState()
        self._instead: Mask | None = None
        session.opened.connect(self.on_opened)
        session.changed.connect(self.on_change)
        session.class_changed.connect(self.on_class)
        window.objects.selection_changed.connect(self._on_selection)
        window.canvas.gesture_changed.connect(self.update_actions)

    # --- the document -----------------------------------------------------------------------------------------------

    def on_opened(self) -> None:
        """Another project, or none."""
        window, session = self._window, self._session
        window.film.set_rows(session.images)
        window.area.show_canvas(session.store is not None)
        title = session.store.image_root.name if session.store else ""
        window.setWindowTitle(f"{title} – Annotator" if title else "Annotator")
        self.refresh_progress()
        self._refresh_lists()
        self.update_actions()

    def on_change(self, change: Change) -> None:
        session, window = self._session, self._window
        rows = [image for image in session.images if image.id in change.image_ids]
        window.film.model.update_rows(rows)
        self.refresh_progress()
        self._refresh_lists()
        if self._has_picture:
            self._sync_objects()
        self.update_actions()

    def on_class(self, category: Category | None) -> None:
        self._refresh_classes()
        self.refresh_chip()
        self._paint_candidate()

    def show_picture(self, has_picture: bool) -> None:
        """The canvas shows an image now (or none): its objects follow."""
        self._has_picture = has_picture
        self._shown = {}
        if len(self._masks) > _KEPT_MASKS:
            self._masks = {}
        if has_picture:
            views = [self._view(annotation) for annotation in self._session.annotations]
            self._window.canvas.set_objects(views)
            self._shown = {a.id: self._key(a) for a in self._session.annotations}
        else:
            self._window.canvas.set_objects(())
        self._refresh_lists()
        self.refresh_chip()
        self.refresh_hint()
        self.update_actions()

    def refresh_progress(self) -> None:
        has_images = bool(self._session.images)
        self._window.docks["images"].detail.setText(self._window.film.progress_text() if has_images else "")

    def refresh_chip(self) -> None:
        chip = self._window.area.chip
        is_removing = self._window.actions_by_id["toggle_sign"].isChecked()
        is_shown = self._session.store is not None and self._session.is_writable
        chip.set_category(self._session.category if is_shown else None, note="clicks remove" if is_removing else "")

    def refresh_hint(self) -> None:
        hint = self._window.area.hint
        if hint.is_wanted and not hint.is_heeded and self._has_picture and self._session.is_writable:
            hint.show_text(HINT)
        else:
            hint.hide()

    def _refresh_lists(self) -> None:
        session, window = self._session, self._window
        window.objects.set_rows(session.annotations, session.categories, is_writable=session.is_writable)
        window.docks["objects"].detail.setText(grouped(len(session.annotations)) if session.annotations else "")
        self._refresh_classes()

    def _refresh_classes(self) -> None:
        session = self._session
        counts = session.store.category_counts() if session.store else {}
        current = session.category.id if session.category else 0
        rows = list(session.categories.values())
        self._window.classes.set_rows(rows, counts, current=current, is_writable=session.is_writable)

    # --- objects on the canvas ----------------------------------------------------------------------------------------

    def _sync_objects(self) -> None:
        """Only what differs is painted anew."""
        wanted = {a.id: a for a in self._session.annotations}
        canvas = self._window.canvas
        for annotation_id in [known for known in self._shown if known not in wanted]:
            canvas.remove_object(annotation_id)
            del self._shown[annotation_id]
            self._masks.pop(annotation_id, None)
        for annotation in wanted.values():
            key = self._key(annotation)
            if self._shown.get(annotation.id) != key:
                canvas.put_object(self._view(annotation))
                self._shown[annotation.id] = key
        canvas.set_selected(self._window.objects.selected_ids())

    def _key(self, annotation: Annotation) -> _Shown:
        category = self._session.categories.get(annotation.category_id)
        return annotation.rle, category.colour if category else PALETTE[0], category.name if category else ""

    def _view(self, annotation: Annotation) -> ObjectView:
        rle, colour, name = self._key(annotation)
        known = self._masks.get(annotation.id)
        if known is None or known[0] != rle:
            known = (rle, annotation.mask())
            self._masks[annotation.id] = known
        return ObjectView(annotation.id, known[1], colour, name)

    def _on_selection(self, ids: frozenset[int]) -> None:
        self._window.canvas.set_selected(ids)
        self.update_actions()

    # --- the object in work -------------------------------------------------------------------------------------------

    def on_refine(self, state: RefineState) -> None:
        if state.prompts != self.state.prompts:
            self._instead = None
        self.state = state
        canvas = self._window.canvas
        canvas.set_hidden({state.origin_id} if state.origin_id is not None and state.mask is not None else ())
        canvas.set_prompts(state.prompts)
        if state.is_active and not self._window.area.hint.is_heeded:
            self._window.area.hint.is_heeded = True
            self.refresh_hint()
        self._paint_candidate()
        self._refresh_notice()
        self.update_actions()

    def _refresh_notice(self) -> None:
        state, notice = self.state, self._window.area.notice
        answer = state.candidates if state.is_active and not state.is_stale else None
        if answer is not None and sees_no_object(state.prompts, answer.object_score):
            notice.show_text(NO_OBJECT)
        else:
            notice.hide()

    def show_instead(self, mask: Mask | None) -> None:
        """Paint this mask in place of the one in work, until it is None or the prompts change."""
        self._instead = mask
        self._paint_candidate()

    def _paint_candidate(self) -> None:
        state, category = self.state, self._session.category
        colour = category.colour if category else PALETTE[0]
        self._window.canvas.set_candidate(self._instead or state.mask, colour)
        items = state.candidates.items if state.candidates is not None and state.is_active else ()
        self._window.area.candidates.show_candidates(items, state.candidate_index, colour=colour)
        if len(items) > 1:
            x, y, w, h = common_frame([item.mask for item in items])
            view = self._window.canvas.image_to_view
            self._window.area.make_way_for(QRectF(view(x, y), view(x + w, y + h)))

    def update_actions(self) -> None:
        """Enable what can be done now."""
        window, session, state = self._window, self._session, self.state
        holding: list[When] = []
        if session.store is not None:
            holding.append(When.PROJECT)
        if session.image is not None:
            holding.append(When.IMAGE)
            if session.is_writable:
                holding.append(When.WRITABLE)
                if window.objects.selected_ids():
                    holding.append(When.SELECTION)
        if state.is_active or window.canvas.has_gesture or window.objects.selected_ids():
            holding.append(When.CANCELLABLE)
        if state.is_active:
            holding.append(When.REFINING)
            if state.candidates is not None and len(state.candidates.items) > 1:
                holding.append(When.CANDIDATES)
        if state.can_undo or state.is_active or session.can_undo:
            holding.append(When.UNDO)
        if state.can_redo or (not state.is_active and session.can_redo):
            holding.append(When.REDO)
        window.actions_by_id.enable(holding)
