"""Actions that make one accepted object out of several, or several out of one."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.domain.object_edits import layer_edit, merge_objects_edit, split_edit
from annotator.domain.operations import cut, parts
from annotator.domain.overlap import Overlap, without_overlap
from annotator.domain.project import Annotation, Edit
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow

_OVERLAP_KEY = "overlap"
MOST_PARTS = 200
"""More parts of one object are noise that nobody wants as objects."""


class ObjectEdits(QObject):
    """Each of them is one step that can be undone."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController, *, views: Views) -> None:
        super().__init__(window)
        self._window, self._session, self._refine, self._views = window, session, refine, views
        session.opened.connect(self._show_overlap)

    def merge(self) -> None:
        """The selected objects become one."""
        chosen = self._selected()
        if len(chosen) < 2:
            self._tell("Select two objects or more to merge them.")
        elif self._apply(merge_objects_edit(chosen)):
            kept = max(chosen, key=lambda one: (one[1].area, -one[0].id))[0]
            self._window.objects.select_ids(frozenset({kept.id}))

    def split_parts(self) -> None:
        """Every connected part of the selected objects becomes an object."""
        self._split([(row, parts(mask)) for row, mask in self._selected()], nothing="They have one part each.")

    def cut(self, line: tuple[tuple[float, float], ...]) -> None:
        """A line parts the selected objects that it crosses, or without a selection all of them."""
        if self._refine.state.is_active:
            self._tell("Accept the current object first: the line parts accepted ones.")
            return
        free = [one for one in self._views.objects.masks() if one[0].id not in self._session.locked]
        chosen = self._selected() or free
        self._split([(row, cut(mask, line)) for row, mask in chosen], nothing="The line parts no object.")

    def to_front(self, is_front: bool) -> None:
        """The selected objects over all others of the image, or under them."""
        rows, ids = self._session.annotations, self._window.objects.selected_ids() - self._session.locked
        edit = layer_edit([row for row in rows if row.id in ids], rows, is_front=is_front)
        if edit is None:
            self._tell("They are there already.")
        else:
            self._apply(edit)

    # --- objects that overlap -----------------------------------------------------------------------------------------

    def set_overlap(self, rule: str) -> None:
        """What a new object does to those that are there; kept in the project."""
        self._session.remember(_OVERLAP_KEY, rule)
        self._show_overlap()

    def without_overlap(self, edit: Edit) -> Edit:
        """An accept, as this project wants it.

        Raises:
            UserError: nothing would be left of the object.
        """
        store, new = self._session.store, edit.changes[0].after
        rule = Overlap.of(None if store is None else store.meta_get(_OVERLAP_KEY))
        if store is None or rule is Overlap.ALLOWED or not isinstance(new, Annotation):
            return edit
        image = self._session.image
        is_here = image is not None and image.id == new.image_id
        rows = self._session.annotations if is_here else store.annotations(new.image_id)
        known = {row.id: mask for row, mask in self._views.objects.masks()} if is_here else {}
        met = [row for row in rows if row.id != new.id and _meet(row, new)]
        return without_overlap(
            edit, [(row, known.get(row.id) or row.mask()) for row in met], rule, locked=self._session.locked
        )

    def _show_overlap(self) -> None:
        store = self._session.store
        rule = Overlap.of(None if store is None else store.meta_get(_OVERLAP_KEY))
        self._window.actions_by_id[f"overlap_{rule.name.lower()}"].setChecked(True)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _selected(self) -> list[tuple[Annotation, Mask]]:
        ids = self._window.objects.selected_ids() - self._session.locked
        return [(row, mask) for row, mask in self._views.objects.masks() if row.id in ids]

    def _split(self, pieces: list[tuple[Annotation, tuple[Mask, ...]]], *, nothing: str) -> None:
        store = self._session.store
        split = [(row, masks) for row, masks in pieces if len(masks) > 1]
        if not split or store is None:
            self._tell(nothing)
            return
        most = max(len(masks) for _, masks in split)
        if most > MOST_PARTS:
            self._tell(f"That would make {counted(most)} of one; drop its small islands first.")
            return
        with_ids = [(row, masks, [store.new_id("annotation") for _ in masks[1:]]) for row, masks in split]
        if self._apply(split_edit(with_ids)):
            made = {row.id for row, _, _ in with_ids} | {made for _, _, ids in with_ids for made in ids}
            self._window.objects.select_ids(frozenset(made))

    def _apply(self, edit: Edit) -> bool:
        if not self._session.is_writable:
            return False
        return self._session.attempt(lambda: self._session.apply(edit))

    def _tell(self, text: str) -> None:
        self._window.notices.tell(text, about=Subject.SELECTION)


def _meet(one: Annotation, other: Annotation) -> bool:
    """Whether the boxes of two objects share a pixel."""
    across = one.x < other.x + other.w and other.x < one.x + one.w
    return across and one.y < other.y + other.h and other.y < one.y + one.h
