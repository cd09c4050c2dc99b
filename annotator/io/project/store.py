"""The project file: one SQLite database per image folder. What ``apply`` accepted is on the disk when it returns."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError, ProjectReadOnlyError
from annotator.domain.palette import next_colour
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, Change, Edit, RowChange
from annotator.io.project import agreed
from annotator.io.project.connect import SLOW_JOURNAL_NOTE, connect_writer
from annotator.io.project.drafts import Kept
from annotator.io.project.edit_rows import REDO, UNDO, EditRows, Step
from annotator.io.project.held import HeldFile
from annotator.io.project.looking import Look, look_through
from annotator.io.project.opening import open_held
from annotator.io.project.path_limits import NAME_A_PLACE, check_place
from annotator.io.project.place import (
    belongs_elsewhere,
    check_folder,
    check_text,
    elsewhere,
    find_project,
    make_project_file,
    new_project_path,
    now_text,
    root_rows,
    take_lock,
    unwritable,
)
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.replaced import check_same_size, replaced_notice
from annotator.io.project.rows import RowKind, RowWriter
from annotator.io.project.schema import (
    RESTORE,
    relaxed,
    translated_errors,
)


class ProjectStore(ProjectQueries):
    """An open project: the queries of :class:`ProjectQueries`, and every way to change it.

    One thread uses one store; another thread or program opens its own with ``read_only=True``. Only :meth:`perform`
    may be called by another thread meanwhile: who writes then waits for it. A second opener that
    asks to write gets a store with ``is_read_only`` set and the reason.
    """

    def __init__(
        self,
        held: HeldFile,
        *,
        named: Path | None = None,
        author: str = "",
        read_only_reason: str = "",
        notices: tuple[str, ...] = (),
    ) -> None:
        """Use :meth:`open`, :meth:`open_folder` or :meth:`create`."""
        super().__init__(held.connection, held.path, named=named)
        self.author = author
        self.notices = notices
        """Sentences for the person about how the project was opened (a slower journal, a migration's backup)."""
        self.left_out: tuple[str, ...] = ()
        """A line for each reason why something in the image folder is not among the images."""
        self.held = held
        """The file: whether it is still ours, and a rescued copy when it is not."""
        self._read_only_reason = read_only_reason
        self._is_wal = held.is_wal
        self._rows_out = RowWriter(held.connection)
        self._edits = EditRows(held.connection, self._rows_out, self._drafts)
        held.on_rescued = self.agree_for

    # --- opening and closing ----------------------------------------------------------------------------------------

    @classmethod
    def open_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        project_path: str | os.PathLike[str] | None = None,
        author: str = "",
        on_found: Callable[[int], None] | None = None,
        look: Look = look_through,
    ) -> ProjectStore:
        """Open the project of an image folder, or start it: ``FOLDER.annot`` in the folder, else ``project_path``.
        New images are taken in (:meth:`sync_folder`). What ``on_found`` raises leaves no project that was not there.
        A project whose images were moved or renamed gets this folder as their place.

        Raises:
            ProjectElsewhereError: the project's images are in another folder, which exists: name a ``project_path``.
            ProjectReadOnlyError: there is no project yet, and the folder cannot be written: name a ``project_path``.
            ProjectError: no such folder, several projects in it, or the project cannot be opened.
        """
        root = Path(folder).absolute()
        check_folder(root)
        check_text(root)
        path = Path(project_path).absolute() if project_path is not None else find_project(root)
        is_new = path is None or not os.path.exists(path)
        if path is not None and not is_new:
            store = cls.open(path, author=author)
            store._take_folder(root)
        else:
            path = path or new_project_path(root)
            check_place(path)
            if not os.access(path.parent, os.W_OK):
                raise unwritable(path)
            store = cls.create(path, root, author=author)
        agreed.agree(store.path, root)  # the person has named it
        if not store.is_read_only:
            try:
                store.sync_folder(on_found=on_found, look=look)
            except BaseException:
                store.close()
                if is_new:
                    path.unlink(missing_ok=True)
                raise
        return store

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, author: str = "", read_only: bool = False) -> ProjectStore:
        """Open a project file.

        Args:
            read_only: do not even try to become its writer (exports, worker threads).

        Raises:
            ProjectError: missing, damaged, not a project, or of a newer major version.
        """
        named = Path(path).absolute()
        if not named.is_file():
            raise ProjectError(f"There is no project file {brief(named)}.", "Open the image folder to start one.")
        if named.stat().st_size == 0:
            raise ProjectError(f"{brief(named.name)} is empty: it is not an annotator project.", RESTORE)
        # SQLite follows links: the lock has to lie beside the file itself, or there are two writers by two names.
        file = named.resolve()
        lock, reason, notices = (None, "It was opened for reading only.", ()) if read_only else take_lock(file, author)
        try:
            with translated_errors(named, "opened"):
                held, more = open_held(file, lock, is_writer=not reason)
                return cls(held, named=named, author=author, read_only_reason=reason, notices=(*notices, *more))
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], image_root: str | os.PathLike[str], *, author: str = ""
    ) -> ProjectStore:
        """Start a project with one class, "object", and no images yet.

        Raises:
            ProjectError: the file is there already, or cannot be written.
        """
        file = Path(path).resolve()
        lock, reason, notices = take_lock(file, author, is_new=True)
        if reason:
            raise ProjectReadOnlyError(f"{brief(file.name)} cannot be made: {reason}", NAME_A_PLACE)
        try:
            if file.exists():
                raise ProjectError(f"{brief(file.name)} is there already.", "Open it, or choose another name.")
            with translated_errors(file, "made"):
                make_project_file(file, Path(image_root).absolute())
                if lock is not None:
                    lock.bind(file)
                agreed.agree(file, Path(image_root).absolute())
                connection, is_wal = connect_writer(file)
                held = HeldFile(file, connection, is_writer=True, is_wal=is_wal, lock=lock)
                return cls(held, author=author, notices=notices if is_wal else (*notices, SLOW_JOURNAL_NOTE))
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Close the file and give the lock back; doing it twice is harmless. Where another file has taken its place,
        that is not touched, and what would be lost is rescued beside it."""
        self.held.close()

    def __enter__(self) -> ProjectStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def is_read_only(self) -> bool:
        return bool(self._read_only_reason)

    @property
    def read_only_reason(self) -> str:
        """One sentence, e.g. who has the project open; empty when it can be written."""
        return self._read_only_reason

    # --- the document -----------------------------------------------------------------------------------------------

    def new_id(self, kind: RowKind, count: int = 1) -> int:
        """An id that no row of that kind has or ever had (from 1), the first of ``count`` that follow each other."""
        return self._rows_out.new_id(kind, count)

    def peek_id(self, kind: RowKind) -> int:
        """The id that :meth:`new_id` would give; it and all larger ones are unused."""
        return self._rows_out.peek_id(kind)

    def apply(self, edit: Edit, *, kept: Kept | None = None) -> Change:
        """Do an edit in one transaction; durable when it returns. It can be undone, and what was undone is forgotten.

        Only fields that differ between a change's old and new row are written, so an edit made from a slightly old
        row does not take back what was written since. The drafts of its ``drafts_of`` end with it.

        Args:
            kept: what is in progress from then on, as in :meth:`save_drafts`: an accepted object is never in both, nor
                in neither.

        Raises:
            ProjectReadOnlyError: another program has the project.
            ProjectError: the disk is full or fails, or objects would lose their class or image; nothing was changed.
            ValueError: the edit does not fit (a new row's id is taken, a changed row is gone).
        """
        done = self.perform(edit, kept=kept)
        return (done or edit).change()

    def undo(self) -> Change | None:
        """Take back the newest edit (also one of an earlier session); None when there is none.

        Raises:
            as :meth:`apply`.
        """
        done = self.perform(UNDO)
        return None if done is None else done.change()

    def redo(self) -> Change | None:
        """Do again what was undone last; None when there is nothing.

        Raises:
            as :meth:`apply`.
        """
        done = self.perform(REDO)
        return None if done is None else done.change()

    def restore(self, annotation: Annotation) -> Change:
        """Put an earlier state of an object (:func:`annotator.io.project.history.last_good`) in the place of its
        damaged row. Not undoable: nobody wants the damage back.

        Raises:
            as :meth:`apply`.
        """
        self._require_writable()
        with self._transaction():
            self._connection.execute("DELETE FROM annotation WHERE id = ?", (annotation.id,))
            self._rows_out.insert("annotation", [annotation])
        self.damage.pop(("annotation", annotation.id), None)
        return Edit("restore object", (RowChange(None, annotation),)).change()

    def category_edit(self, name: str, *, colour: str = "") -> Edit:
        """An edit that adds a class with a new id, the next colour of the palette, and the next free digit key."""
        present = self.categories()
        keys = {category.key for category in present}
        key = next((digit for digit in range(1, 10) if digit not in keys), 0)
        shown = colour or next_colour([category.colour for category in present])
        return Edit("add class", (RowChange(None, Category(self.new_id("category"), name, shown, key)),))

    def sync_folder(self, *, on_found: Callable[[int], None] | None = None, look: Look = look_through) -> Change:
        """Take in files that are new in the image folder, or what else a ``look`` finds, with all their frames, and as
        slices of stacks; images that vanished stay. Not undoable. What is left out is in :attr:`left_out`; for
        ``on_found`` see :func:`annotator.io.images.listing.list_images`.

        Raises:
            ImageError: the folder is gone. ProjectFolderError: it is not agreed to. ProjectError: as :meth:`apply`.
        """
        self._require_writable()
        taken, self.left_out = look(self, on_found=on_found)
        if taken.is_empty:
            return Change("sync folder")
        with self._transaction():
            for change in taken.changed:
                self._rows_out.update(*change)
            self._rows_out.insert("series", taken.series)
            self._rows_out.insert("image", taken.images)
        self.notices = (*self.notices, *taken.notes)
        return Change("sync folder", frozenset(record.id for record in taken.images))

    def record_image_facts(
        self, image_id: int, *, sha256: str, width: int, height: int, extra: dict[str, Any] | None = None
    ) -> Change:
        """Remember what reading a file showed; ``extra`` is merged. Not undoable; nothing when read-only or known.
        The change's ``notice`` says when the file is another one than the image's objects were made on.

        Raises:
            KeyError: no such image.
            ProjectError: the image has objects that were made at another size: the file was replaced.
        """
        image = self.image(image_id)
        changed = replace(
            image,
            sha256=sha256 or image.sha256,
            width=width or image.width,
            height=height or image.height,
            extra={**image.extra, **(extra or {})},
        )
        with translated_errors(self._path, "read"):
            notice = replaced_notice(self._connection, image, changed)
            if changed == image or self.is_read_only:
                return Change("image facts", notice=notice)
            check_same_size(self._connection, image, changed.width, changed.height)
        self.write_beside(lambda _file: self._rows_out.update(image, changed))
        return Change("image facts", frozenset((image_id,)), notice=notice)

    def perform(self, what: Edit | Step, *, kept: Kept | None = None, progress: Progress | None = None) -> Edit | None:
        """As :meth:`apply`, or with a step as :meth:`undo` and :meth:`redo`; for any thread.

        Args:
            progress: in changes; what it raises leaves everything as it was.

        Returns:
            What was done, with the rows as they really were and are now; None: there is no such step.
        """
        self._require_writable()
        if isinstance(what, Edit) and not what.changes:
            return what
        with self._transaction():
            if isinstance(what, Edit):
                return self._edits.apply(what, at=now_text(), author=self.author, kept=kept, progress=progress)
            return self._edits.step(what, progress=progress)

    # --- beside the document ------------------------------------------------------------------------------------------

    def meta_set(self, key: str, value: str) -> None:
        """Remember a text (position, class, ...). Does nothing when read-only; survives a crash of the program."""
        if self.meta_get(key) != value:
            row = (key, value)
            self.write_beside(lambda file: file.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?, ?)", row))

    def save_drafts(self, kept: Kept) -> None:
        """Remember the drafts of these images, as :meth:`write_beside`; others keep theirs."""
        self.write_beside(lambda _file: self._drafts.write(kept))

    def write_beside(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Write what is no part of the document; it survives a crash, not a power cut. Nothing when read-only."""
        if not self.is_read_only:
            with self.held.alone, relaxed(self._connection, is_wal=self._is_wal), self._transaction():
                work(self._connection)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _require_writable(self) -> None:
        if self.is_read_only:
            reason = self._read_only_reason
            raise ProjectReadOnlyError(f"{brief(self._path.name)} is open read-only. {reason}", "Close it there first.")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated_errors(self._path, "written"):
            try:
                with self.held.transaction():
                    yield
            except sqlite3.IntegrityError as error:
                if "FOREIGN KEY" not in str(error):
                    raise
                message = "The change would leave objects without their class or image; it was not made."
                raise ProjectError(message, "Delete those objects or give them another class first.") from error

    def _take_folder(self, root: Path) -> None:
        """Go on with the images in ``root``, unless the project's own are where they were. Closes on any failure."""
        try:
            if belongs_elsewhere(self.image_root, root):
                raise elsewhere(self.path, self.image_root)
            if not self.is_read_only and self.image_root.resolve() != root.resolve():
                before, now = brief(self.image_root), brief(root)
                moved = f"The images of {brief(self.path.name)} were in {before}; now they are taken from {now}."
                self._known_root = None
                with self._transaction():
                    rows = root_rows(self.path, root)
                    self._connection.executemany("INSERT OR REPLACE INTO meta(k, v) VALUES (?, ?)", rows)
                self.notices = (*self.notices, moved)
        except BaseException:
            self.close()
            raise
