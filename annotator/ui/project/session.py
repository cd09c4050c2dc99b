"""The open project as the window sees it: where the person is, which class is in use, every change of it.

Every change goes through :meth:`ProjectSession.apply`, is durable when it returns, and is broadcast once as a
``Change``. A failing disk is reported with a way to try again, and changes nothing on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from annotator.domain.counting import counted
from annotator.domain.drafts.held import gone_text
from annotator.domain.errors import ProjectReadOnlyError, ProjectReplacedError
from annotator.domain.image_filter import ImageFilter, neighbour
from annotator.domain.objects_in_order import after_edit, with_objects
from annotator.domain.project import (
    FINISHED,
    Annotation,
    Category,
    Change,
    Edit,
    ImageRecord,
    Status,
    delete_edit,
    mark_empty_edit,
    reclass_edit,
    status_edit,
)
from annotator.io.project.drafts import Kept
from annotator.io.project.edit_rows import REDO, UNDO
from annotator.io.project.identifiers import KEPT, LEFT_OUT, UIDS_KEY
from annotator.io.project.opened import OpenedProject, is_same_project, open_project
from annotator.io.project.store import ProjectStore
from annotator.ui.project.attempts import EDIT, ONCE, Attempts
from annotator.ui.project.attribute_book import AttributeBook
from annotator.ui.project.class_book import ClassBook
from annotator.ui.project.draft_book import DraftBook
from annotator.ui.project.fact_book import FactBook
from annotator.ui.project.large_edits import FEW_OBJECTS, LargeEdits
from annotator.ui.project.slice_book import SliceBook

_FEW_ROWS = 32


class ProjectSession(QObject):
    """One project at a time, used on the GUI thread."""

    opened = Signal()
    """Another project (or none) is open now."""
    image_changed = Signal(object)
    """The ImageRecord that is to be shown, or None."""
    changed = Signal(object)
    """A domain Change: what views have to refresh."""
    class_changed = Signal(object)
    """The Category that the next object gets, or None."""
    class_picked = Signal(object)
    """The Category that the person chose just now, also when it was in use already."""
    reported = Signal(str)
    """A quiet line."""
    merge_offered = Signal(object, object)
    """(Category that was to get the name of another, the Category that has it)"""
    warned = Signal(str)
    """A sentence about the current image that must not be overlooked."""
    damaged = Signal()
    """Something wrong was found in the project: see the ``damage`` of its store."""
    outdated = Signal()
    """Images came or went: the project is to be opened again."""
    replaced = Signal()
    """Nothing was written: another file has taken the place of the project's own."""
    failed = Signal(object, object)
    """(UserError, callable that tries again or None)"""

    def __init__(self, parent: QObject | None = None, *, author: str = "") -> None:
        super().__init__(parent)
        self.author = author
        self.keeps_uids = False
        """Whether UIDs of DICOM images go into projects that do not say it yet. What a project has noted holds for
        everybody who works on it."""
        self.store: ProjectStore | None = None
        self.images: list[ImageRecord] = []
        self.categories: dict[int, Category] = {}
        self.annotations: tuple[Annotation, ...] = ()
        """Objects of the current image."""
        self.absent = 0
        """How many images with work had no file when the project was opened."""
        self.asks_for: Path | None = None
        """The folder that the project wants to read images from, and to which nobody has agreed yet."""
        self.row_of: dict[int, int] = {}
        self.found: OpenedProject | None = None  # the project as it was opened
        self._history = (False, False)
        self._current_id = 0
        self.attempts = Attempts(self)
        self.classes, self.attributes, self.drafts = ClassBook(self), AttributeBook(self), DraftBook(self)
        self.slices, self.large, self.facts = SliceBook(self), LargeEdits(self), FactBook(self)
        self.image_filter, self.locked = ImageFilter(), frozenset[int]()  # locked: objects that only steps back change

    # --- opening and closing ----------------------------------------------------------------------------------------

    def open_path(self, path: Path, *, project_path: Path | None = None) -> None:
        """Open a folder of images or a ``.annot`` file.

        Raises:
            ProjectReadOnlyError: the folder cannot be written and has no project: ask for a ``project_path``.
            ProjectError, ImageError: it cannot be opened; the project that was open stays open.
        """
        # The lock belongs to an opener, not to a process: opening the same project again means closing it first.
        if self.store is not None and is_same_project(self.store, path, project_path):
            self.close()
        opened = open_project(path, project_path=project_path, author=self.author, keeps_uids=self.keeps_uids)
        if (replaced := self.adopt(opened)) is not None:
            replaced.close()
        self.go_to(opened.first_id)

    def adopt(self, opened: OpenedProject) -> ProjectStore | None:
        """Go on with this project, in the place of the one that is open; no image is shown yet.

        Returns:
            The store that was open: the caller closes it.
        """
        store, replaced = opened.store, self._let_go()
        self.store, self.found = store, opened
        self.images, self.row_of, self.categories = opened.images, opened.row_of, opened.categories
        self.absent, self.asks_for = opened.absent, opened.asks_for
        self.slices.take(opened.series, opened.images)
        self._read_history()
        self.drafts.counts = store.draft_counts()
        self.classes.current_id = opened.category_id
        self.classes.make_valid()
        self.remember(UIDS_KEY, store.meta_get(UIDS_KEY) or (KEPT if self.keeps_uids else LEFT_OUT))
        self.opened.emit()
        self.class_changed.emit(self.category)
        for notice in store.notices:
            self.reported.emit(notice)
        return replaced

    def close(self, *, is_replaced: bool = False) -> None:
        """Close the project; everything accepted is on the disk already."""
        store = self._let_go()
        if store is None:
            return
        store.close()
        if not is_replaced:
            self.opened.emit()
            self.image_changed.emit(None)

    def _let_go(self) -> ProjectStore | None:
        """Forget the project; its store stays open."""
        self.large.settle()
        self.facts.settle()
        self.attempts.try_now()
        store, self.store, self.found = self.store, None, None
        self.attempts.forget()
        self._read_history()
        self.images, self.row_of, self.annotations, self.categories = [], {}, (), {}
        self.drafts.forget()
        self.slices.take({}, [])
        self._current_id = self.classes.current_id = 0
        return store

    @property
    def is_writable(self) -> bool:
        return self.store is not None and not self.store.is_read_only

    # --- where the person is ----------------------------------------------------------------------------------------

    @property
    def image(self) -> ImageRecord | None:
        """The current image."""
        row = self.row_of.get(self._current_id)
        return None if row is None else self.images[row]

    def image_path(self, image: ImageRecord) -> Path:
        if self.store is None:
            raise RuntimeError("no project is open")
        return self.store.image_path(image)

    def training_source(self) -> tuple[Path, str] | None:
        """The project's file and a word that changes with what is in it; None when none is open."""
        if self.store is None:
            return None
        return self.store.path, repr((sorted(self.store.category_counts().items()), self.store.edit_mark()))

    def neighbour(self, step: int, *, of: int = 0, stops: bool = False) -> ImageRecord | None:
        """The image ``step`` places further (than the current one, or than that of the id ``of``) among those that the
        filter shows, or None at the ends; with ``stops`` the last one before an end that the step goes past."""
        row = self.row_of.get(of or self._current_id)
        shows = self.image_filter.matcher(self.drafts.counts)
        return None if row is None else neighbour(self.images, row, step, shows, stops=stops)

    def go_to(self, image_id: int) -> None:
        """Show an image; the position is remembered."""
        self.large.settle()
        self._current_id = image_id
        self._read_annotations()
        self.facts.take_position(image_id)
        self.slices.visit(self.image)
        self.image_changed.emit(self.image)

    def step(self, count: int) -> None:
        """So many images further, or back, of those that the filter shows; a step past an end stops there."""
        target, which = self.neighbour(count, stops=True), "last" if count > 0 else "first"
        if target is None:
            self.reported.emit(self.drafts.after(f"This is the {which} image{self.image_filter.clause}."))
        else:
            self.go_to(target.id)

    def next_unfinished(self) -> None:
        """The next image that is neither done nor empty, from here on and round, of those that the filter shows."""
        row, shows = self.row_of.get(self._current_id, -1), self.image_filter.matcher(self.drafts.counts)
        order = self.images[row + 1 :] + self.images[: max(0, row)]
        target = next((image for image in order if image.status not in FINISHED and shows(image)), None)
        if target is None:
            self.reported.emit(self.drafts.after(f"All other images{self.image_filter.clause} are done."))
        else:
            self.go_to(target.id)

    # --- changes of the document --------------------------------------------------------------------------------------

    def apply(self, edit: Edit, *, kept: Kept | None = None) -> Change:
        """Apply an edit, with what is in progress from then on, and tell everyone.

        Raises:
            ProjectError: nothing was changed.
        """
        if self.store is None:
            raise ProjectReadOnlyError("No project is open.", "Open a folder first.")
        self.large.settle()
        self.facts.settle()
        edit.refuse_locked(self.locked)
        try:
            change = self.store.apply(edit, kept=kept)
        except ProjectReplacedError:
            self.replaced.emit()
            raise
        self.drafts.forget_unsaved((*(kept or ()), *edit.drafts_of))
        added = edit.new_objects()
        self.broadcast(change, None if added is None else after_edit(self.annotations, edit, self._current_id))
        return change

    def delete(self, ids: Iterable[int]) -> None:
        chosen = self._chosen(ids)
        if chosen:
            title = f"Delete {counted(len(chosen), 'object')}"
            self.large.apply(title, lambda: delete_edit(chosen), len(chosen))

    def reclass(self, ids: Iterable[int], category_id: int) -> None:
        chosen = tuple(a for a in self._chosen(ids) if a.category_id != category_id)
        if chosen and category_id in self.categories:
            title = f"Change the class of {counted(len(chosen), 'object')}"
            self.large.apply(title, lambda: reclass_edit(chosen, category_id), len(chosen))

    def mark_empty(self, then: Callable[[], object] = lambda: None) -> bool:
        """Nothing to annotate here: objects and drafts go (one undo brings them back). False when it was not written;
        thousands of objects are on their way then. ``then``: it is written, or on its way and the hand held no work:
        what is clicked from then on stays."""
        self.large.settle()
        image = self.image
        if image is None:
            return False
        objects, in_work = len(self.annotations), self.drafts.counts.get(image.id, 0)
        if image.status is Status.EMPTY and not objects and not in_work:
            edit, told = status_edit(image, Status.UNSEEN), "No longer marked empty."
        else:
            # Made here: by the time that it is tried again another image may be the current one.
            edit, told = mark_empty_edit(image, self.annotations), f"Marked empty: {gone_text(objects, in_work)}"
            if not in_work and image.id not in self.drafts.unsaved:
                edit = replace(edit, drafts_of=())

        def work() -> None:
            self.apply(edit)
            self.reported.emit(told)
            then()

        if len(edit.changes) > FEW_OBJECTS and not edit.drafts_of:
            self.large.write(edit, lambda: self.reported.emit(told))
            then()
            return True
        return self.attempt(work, ONCE if edit.drafts_of else EDIT)

    def done_and_next(self, *, is_dropping: bool = False) -> None:
        """Mark the image done (an empty one stays empty) and go to the next. ``is_dropping`` ends its drafts;
        undo brings that back with the mark."""
        image = self.image
        if image is None:
            return
        ends_work = is_dropping and image.id in self.drafts.counts
        edit = status_edit(image, image.status if image.status in FINISHED else Status.DONE)
        edit = replace(edit, drafts_of=(image.id,) if ends_work else ())
        what = ONCE if ends_work else EDIT
        if (image.status in FINISHED and not ends_work) or self.attempt(lambda: self.apply(edit), what):
            self.step(+1)

    def undo(self) -> None:
        self.large.step(UNDO)

    def redo(self) -> None:
        self.large.step(REDO)

    @property
    def can_undo(self) -> bool:
        return self._history[0]

    @property
    def can_redo(self) -> bool:
        return self._history[1]

    def _read_history(self) -> None:
        # Asked for after every change only: views want to know it at every click.
        store = self.store
        writable = store is not None and not store.is_read_only
        self._history = (
            (store.undo_name is not None, store.redo_name is not None) if store and writable else (False, False)
        )

    def _chosen(self, ids: Iterable[int]) -> tuple[Annotation, ...]:
        wanted = set(ids) - self.locked
        return tuple(a for a in self.annotations if a.id in wanted)

    @property
    def category(self) -> Category | None:
        """The class that the next object gets."""
        return self.categories.get(self.classes.current_id)

    # --- beside the document ------------------------------------------------------------------------------------------

    def remember(self, key: str, value: str) -> None:
        store = self.store
        if store is not None:
            self.attempt(lambda: store.meta_set(key, value), key)

    # --- inside -------------------------------------------------------------------------------------------------------

    def attempt(self, work: Callable[[], object], what: str = EDIT) -> bool:
        """Do ``work``, as :meth:`Attempts.do`."""
        return self.attempts.do(work, what)

    def broadcast(self, change: Change, objects: tuple[Annotation, ...] | None = None) -> None:
        """Tell everyone of a change that the store has made; ``objects``: those of the current image as it has left
        them, where they are known."""
        if change.has_other_images:  # the list of them is made where a project is opened
            self._read_history()
            self.outdated.emit()
            return
        if change.category_ids:
            self._read_categories()
            self.classes.make_valid()
            self.class_changed.emit(self.category)
        if self.store is not None:
            for image_id in change.image_ids:
                row = self.row_of.get(image_id)
                if row is not None:
                    self.images[row] = self.store.image(image_id)
        self._read_history()
        self._reread_annotations(change, objects)
        self.drafts.read()
        self.changed.emit(change)

    def _read_categories(self) -> None:
        self.categories = {c.id: c for c in self.store.categories()} if self.store else {}

    def _reread_annotations(self, change: Change, known: tuple[Annotation, ...] | None) -> None:
        """Only what changed is read again: an accept must not cost more on an image with thousands of objects."""
        if self.store is None or not change.annotation_ids:
            return
        if known is not None:
            self.annotations = known
            return
        if len(change.annotation_ids) > _FEW_ROWS:
            self._read_annotations()
            return
        fresh: dict[int, Annotation | None] = dict.fromkeys(change.annotation_ids)
        for annotation_id in fresh:
            with suppress(KeyError):
                row = self.store.annotation(annotation_id)
                fresh[annotation_id] = row if row.image_id == self._current_id else None
        self.annotations = with_objects(self.annotations, fresh)

    def _read_annotations(self) -> None:
        known = self.store is not None and self._current_id in self.row_of
        self.annotations = tuple(self.store.annotations(self._current_id)) if known and self.store else ()
        if self.store is not None and self.store.damage:
            self.damaged.emit()
