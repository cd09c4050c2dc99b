"""Keeps panels, canvas overlays and actions in step with the session and the current object. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QRectF, Qt

from annotator.domain.answering.object_score import sees_no_object
from annotator.domain.class_marks import numbers_of
from annotator.domain.drafts.state import RefineState
from annotator.domain.mask import Mask
from annotator.domain.media import is_video_path
from annotator.domain.palette import OKABE_ITO
from annotator.domain.project import Category, Change
from annotator.ui.labelling.canvas_objects import CanvasObjects
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.look.numbers import grouped
from annotator.ui.look.plain import title_text
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.hud import common_frame
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.window_state import Document, Hand, WindowState

NO_OBJECT = "The model sees no object here."
HINT = "Click an object, or drag a box round it. Right click removes. Enter accepts."


class Views(QObject):
    """What is on the screen follows ``session.changed`` and ``RefineController.state_changed``."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self.objects = CanvasObjects(window, session, is_shown=lambda: self.has_picture, parent=self)
        self.has_picture = False
        """Whether the canvas shows the image that is open."""
        self.has_failed = False
        """Whether that image cannot be read, which the window has said."""
        self.state = RefineState()
        self._instead: Mask | None = None
        self.proposals: ProposalKeys | None = None
        """What can be done depends on these, too; joined later."""
        self.is_carrying: Callable[[], bool] = lambda: False
        """As that does on objects that are carried."""
        session.opened.connect(self.on_opened)
        session.changed.connect(self.on_change)
        session.drafts.counted.connect(window.film.model.set_counts)
        session.class_changed.connect(self.on_class)
        # After the film strip has marked it.
        session.image_changed.connect(lambda _image: self.refresh_progress(), Qt.ConnectionType.QueuedConnection)
        window.film.filtered.connect(self.refresh_progress)
        window.objects.selection_changed.connect(self._on_selection)
        window.canvas.gesture_changed.connect(self.update_actions)
        self._candidates_frame: QRectF | None = None
        """Where the candidates lie, in image pixels; None while there is no choice."""
        window.canvas.view_changed.connect(self._make_way)

    # --- the document -----------------------------------------------------------------------------------------------

    def on_opened(self) -> None:
        """Another project, or none."""
        window, session = self._window, self._session
        if (found := session.found) is not None:
            known = (session.row_of, found.finished, found.names)
            window.film.set_rows(found.images, found.series, known=known)
        else:
            window.film.set_rows((), {})
        window.film.model.set_counts(session.drafts.counts)
        window.area.show_canvas(session.store is not None)
        self.refresh_progress()
        self._refresh_lists()
        self.update_actions()

    def on_change(self, change: Change) -> None:
        session, window = self._session, self._window
        rows = [session.images[session.row_of[one]] for one in change.image_ids if one in session.row_of]
        window.film.model.update_rows(rows)
        self.refresh_progress()
        self._refresh_objects()
        if change.category_ids or change.annotation_ids:
            self._refresh_classes()
        if self.has_picture:
            self.objects.sync(change)
        self.update_actions()

    def on_class(self, category: Category | None) -> None:
        self._refresh_classes()
        self.refresh_chip()
        self._paint_candidate()

    def show_picture(self, has_picture: bool, *, is_passing: bool = False) -> None:
        """The canvas shows an image now (or none): its objects follow. ``is_passing``: the next slice is at hand, and
        what lies over the canvas stays as it is."""
        self.has_picture = has_picture
        self.objects.show()
        self._refresh_objects()
        if not is_passing:
            self.refresh_chip()
            self.refresh_hint()
        self.update_actions()

    @property
    def _category(self) -> Category | None:
        """The class that the current object gets: a refined one has its own."""
        session, own = self._session, self.state.category_id
        return session.category if own is None else session.categories.get(own, session.category)

    def refresh_progress(self) -> None:
        """Which image of which folder is shown, and how far the folder is."""
        session, image = self._session, self._session.image
        names = [image.name] if image is not None else []
        names += [session.store.image_root.name] if session.store else []
        self._window.setWindowTitle(" – ".join([*map(title_text, names), "Annotator"]))
        has_images, line = bool(self._session.images), self._window.docks["images"]
        line.subject.setText(image.path if image is not None else "")
        line.detail.setText(self._window.film.progress_text() if has_images else "")

    def refresh_chip(self) -> None:
        chip = self._window.area.chip
        is_removing = self._window.actions_by_id["toggle_sign"].isChecked()
        is_shown = self._session.store is not None and self._session.is_writable
        category = self._category if is_shown else None
        number = numbers_of(self._session.categories.values())[category.id] if category is not None else 0
        chip.set_category(category, number=number, note="clicks remove" if is_removing else "")

    def refresh_hint(self) -> None:
        hint = self._window.area.hint
        if hint.is_wanted and not hint.is_heeded and self.has_picture and self._session.is_writable:
            hint.show_text(HINT)
        else:
            hint.hide()

    def _refresh_lists(self) -> None:
        self._refresh_objects()
        self._refresh_classes()

    def _refresh_objects(self) -> None:
        session, window = self._session, self._window
        window.objects.set_rows(
            session.annotations,
            session.categories,
            spacing_mm=None if session.image is None else session.image.spacing_mm,
            is_writable=session.is_writable,
        )
        window.docks["objects"].detail.setText(grouped(len(session.annotations)) if session.annotations else "")

    def _refresh_classes(self) -> None:
        session = self._session
        counts = session.store.category_counts() if session.store else {}
        current = session.category.id if session.category else 0
        rows = list(session.categories.values())
        self._window.classes.set_rows(rows, counts, current=current, is_writable=session.is_writable)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self.objects.shut_down()

    def _on_selection(self, ids: frozenset[int]) -> None:
        self._window.canvas.set_selected(ids)
        self.update_actions()

    # --- the current object -------------------------------------------------------------------------------------------

    def on_refine(self, state: RefineState) -> None:
        before, self.state = self.state, state
        if state.prompts != before.prompts:
            self._instead = None
        if state.category_id != before.category_id:
            self.refresh_chip()
        canvas = self._window.canvas
        self.objects.set_refined(state.origin_id if state.mask is not None else None)
        canvas.set_prompts(state.prompts.shown, settled=state.prompts.settled_count)
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
        """Paint this mask in place of the current one, until it is None or the prompts change."""
        self._instead = mask
        self._paint_candidate()

    def _paint_candidate(self) -> None:
        state, category = self.state, self._category
        colour = category.colour if category else OKABE_ITO[0]
        shown = state.candidates.items[state.candidate_index] if state.candidates is not None else None
        logits = None if shown is None else (shown.logits, shown.logits_box)
        self._window.canvas.set_candidate(self._instead or state.mask, colour, logits=logits, outline=state.outline)
        items = state.candidates.items if state.candidates is not None and state.is_active else ()
        self._window.area.candidates.show_candidates(items, state.candidate_index, colour=colour)
        self._candidates_frame = QRectF(*common_frame([item.mask for item in items])) if len(items) > 1 else None
        self._make_way()

    def _make_way(self) -> None:
        """The strip of candidates keeps clear of them, wherever pan, zoom and the window's size put them."""
        frame, view = self._candidates_frame, self._window.canvas.image_to_view
        if frame is not None:
            corners = view(frame.left(), frame.top()), view(frame.right(), frame.bottom())
            self._window.area.make_way_for(QRectF(*corners))

    def update_actions(self) -> None:
        """Enable what can be done now."""
        session, canvas, keys = self._session, self._window.canvas, self.proposals
        series = session.slices.series_of(session.image)
        document = Document(
            has_project=session.store is not None,
            has_image=session.image is not None,
            is_slice=series is not None,
            is_video=series is not None and is_video_path(series.name),
            is_writable=session.is_writable,
            can_undo=session.can_undo or (keys is not None and keys.proposals.can_undo_drop),
            can_redo=session.can_redo,
        )
        hand = Hand(
            has_gesture=canvas.open_gesture.is_cancellable,
            is_drawing=canvas.is_drawing,
            has_selection=self._window.objects.has_selection,
            is_trying=any(bar.is_open for bar in self._window.area.trials),
            has_proposals=keys is not None and keys.is_reviewing,
            has_search=keys is not None and keys.can_escape,
            is_carrying=self.is_carrying(),
        )
        self._window.actions_by_id.enable(WindowState(document, self.state, hand))
