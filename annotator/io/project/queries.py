"""What can be asked of an open project. Every answer comes from the file: there is no second truth in memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from annotator.domain.attributes import Attribute
from annotator.domain.errors import ProjectError
from annotator.domain.project import Annotation, Category, ImageRecord, Row, Status
from annotator.domain.review import ReviewedObject
from annotator.files.atomic import put_in_place
from annotator.io.project.drafts import DraftRows
from annotator.io.project.edit_rows import Step
from annotator.io.project.figures import FigureQueries
from annotator.io.project.foreign_values import UNNAMED, json_of, text_of
from annotator.io.project.image_folder import ImageFolder
from annotator.io.project.proposals import ProposalQueries
from annotator.io.project.schema import COLUMNS, copy_database, translated_errors
from annotator.io.project.searches import SearchQueries
from annotator.io.project.slice_rows import SliceRows
from annotator.io.project.soundness import Damage, fetch, read_rows
from annotator.io.project.track_rows import TrackRows
from annotator.io.project.waivers import WaiverQueries

_CHUNK_ROWS = 500
_CHUNK_IMAGES = 2_000
CLASS_ORDER = "class_order"
"""Under this key the project remembers ids of classes in the order of the file that they came from, as a JSON list."""


class ProjectQueries(ImageFolder):
    """The reading half of :class:`annotator.io.project.store.ProjectStore`. Used by the thread that opened it only."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, named: Path | None = None) -> None:
        """``named``: the path that the person gave, where that is a link to ``path``."""
        self._connection = connection
        super().__init__(path, named or path, self.meta_get)
        self.damage: dict[tuple[str, int], Damage] = {}
        """What was found wrong so far, by table and id."""
        self.first_images: list[ImageRecord] | None = None
        """All that were just taken into a project without any, for who opens it: they need not be read again."""
        self._drafts = DraftRows(connection)
        self.slices = SliceRows(self._rows, self._fetch)
        self.tracks = TrackRows(self._rows, self._fetch)
        self.proposals = ProposalQueries(connection, path)
        """What the model found by itself: no part of the document."""
        self.waivers = WaiverQueries(connection, path)
        self.searches = SearchQueries(connection, path)
        """Findings of checks that stay as they are: no part of the document either."""
        self.figures = FigureQueries(connection, path)
        """What is counted of all objects and proposals."""

    def images(self, *, with_work: bool = False) -> list[ImageRecord]:
        """All images, or those with objects or a status, in the order of their ids. They are read in pieces: one call
        for all would stop other threads."""
        worked = f"(status <> '{Status.UNSEEN}' OR id IN (SELECT DISTINCT image_id FROM annotation))"
        found: list[Row] = []
        while True:
            last = found[-1].id if found else -1
            which = f"id > ? AND {worked}" if with_work else "id > ?"
            rows = self._rows("image", f"WHERE {which} ORDER BY id LIMIT {_CHUNK_IMAGES}", last)
            found.extend(rows)
            if len(rows) < _CHUNK_IMAGES:
                return cast(list[ImageRecord], found)

    def image(self, image_id: int) -> ImageRecord:
        """Raises:
        KeyError: there is none.
        """
        return cast(ImageRecord, self._one("image", image_id))

    def annotations(self, image_id: int) -> list[Annotation]:
        """Objects of one image in the order of their ids."""
        return cast(list[Annotation], self._rows("annotation", "WHERE image_id = ? ORDER BY id", image_id))

    def annotation(self, annotation_id: int) -> Annotation:
        """Raises:
        KeyError: there is none.
        """
        return cast(Annotation, self._one("annotation", annotation_id))

    def all_annotations(self, *, category_id: int | None = None) -> Iterator[Annotation]:
        """Every object, or every one of a class, in the order of ids, read in pieces."""
        last, own = -1, "" if category_id is None else f" AND category_id = {int(category_id)}"
        while True:
            piece = f"WHERE id > ?{own} ORDER BY id LIMIT {_CHUNK_ROWS}"
            ids = self._fetch(f"SELECT id FROM annotation {piece}", last)
            yield from cast(list[Annotation], self._rows("annotation", piece, last))
            if len(ids) < _CHUNK_ROWS:
                return
            ((last,),) = ids[-1:]

    def reviewed_objects(self) -> list[ReviewedObject]:
        """Every object with its predicted IoU, in no order. Reads all rows: for a thread other than the window's."""
        return [ReviewedObject(*row) for row in self._fetch("SELECT id, image_id, score FROM annotation")]

    def annotation_counts(self) -> dict[int, int]:
        """Number of objects by image id; images without are left out."""
        return dict(self._fetch("SELECT image_id, COUNT(*) FROM annotation GROUP BY image_id"))

    def category_counts(self) -> dict[int, int]:
        """Number of objects by category id; categories without are left out."""
        return dict(self._fetch("SELECT category_id, COUNT(*) FROM annotation GROUP BY category_id"))

    def categories(self) -> list[Category]:
        """All classes: where a person put them, else in an imported file's order (:data:`CLASS_ORDER`), else by id."""
        found = cast(list[Category], self._rows("category", "ORDER BY id"))
        given = {category_id: at for at, category_id in enumerate(_numbers(self.meta_get(CLASS_ORDER)))}

        def place(category: Category) -> tuple[int, int]:
            return (given.get(category.id, len(found)) if category.place is None else category.place, category.id)

        return sorted(found, key=place)

    def attributes(self) -> list[Attribute]:
        """What can be said of objects and images, in the order in which it was defined."""
        return cast(list[Attribute], self._rows("attribute", "ORDER BY id"))

    def status_counts(self) -> dict[Status, int]:
        """Number of images by status; every status is there."""
        counted = dict(self._fetch("SELECT status, COUNT(*) FROM image GROUP BY status"))
        return {status: counted.get(status.value, 0) for status in Status}

    def edit_mark(self) -> tuple[int, int]:
        """Another one after every edit, undo and redo (the last edit's number, how many are undone)."""
        ((last,),) = self._fetch("SELECT COALESCE(MAX(seq), 0) FROM edit")
        ((undone,),) = self._fetch("SELECT COUNT(*) FROM edit WHERE undone = 1")
        return last, undone

    @property
    def undo_name(self) -> str | None:
        """What Ctrl+Z would take back, or None."""
        found = self._fetch("SELECT name FROM edit WHERE undone = 0 ORDER BY seq DESC LIMIT 1")
        return (text_of(found[0][0]) or UNNAMED) if found else None

    @property
    def redo_name(self) -> str | None:
        """What redo would bring back, or None."""
        found = self._fetch("SELECT name FROM edit WHERE undone = 1 ORDER BY seq LIMIT 1")
        return (text_of(found[0][0]) or UNNAMED) if found else None

    def step_bytes(self, step: Step) -> int:
        """How much the edit is that a step would take, as the file keeps it; 0: there is none, or drafts come back or
        go with it."""
        found = self._fetch(f"SELECT LENGTH(CAST(changes AS BLOB)), drafts FROM edit WHERE {step[0]} LIMIT 1")
        return found[0][0] if found and isinstance(found[0][0], int) and not found[0][1] else 0

    def meta_get(self, key: str, default: str | None = None) -> str | None:
        """A remembered text of the project (position, class, ...); a value that is no text counts as missing."""
        found = self._fetch("SELECT v FROM meta WHERE k = ?", key)
        value = text_of(found[0][0]) if found else None
        return default if value is None else value

    def draft(self, image_id: int) -> dict[str, Any] | None:
        """The drafts of an image, as saved (:mod:`annotator.domain.drafts.kept`), or None. They survive a crash."""
        with translated_errors(self._path, "read"):
            return self._drafts.read(image_id)

    def draft_counts(self) -> dict[int, int]:
        """Number of drafts by image id; images without are left out."""
        with translated_errors(self._path, "read"):
            return self._drafts.counts()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, every query sees the project as it was at the first one, whatever others write meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        with translated_errors(self._path, "read"):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def backup(self, to: str | os.PathLike[str]) -> None:
        """Write a consistent copy of the project file; an existing file is replaced only by a complete one.

        Raises:
            ProjectError: the copy cannot be written.
        """
        target = Path(to).resolve()
        if target == self._path.resolve():
            raise ProjectError("A backup cannot replace the project itself.", "Choose another name.")
        partial = target.with_name(f".{target.name}.part")
        with translated_errors(target, "written"):
            try:
                partial.unlink(missing_ok=True)
                copy_database(self._connection, partial)
                put_in_place(partial, target, is_durable=False)
            finally:
                partial.unlink(missing_ok=True)
        self.agree_for(target)

    def _one(self, table: str, row_id: int) -> Row:
        rows = self._rows(table, "WHERE id = ?", row_id)
        if not rows:
            raise KeyError(f"no {table} {row_id}")
        return rows[0]

    def _rows(self, table: str, rest: str, *arguments: Any) -> list[Row]:
        """The usable rows; what is wrong with others is kept in ``damage``."""
        found = self._fetch(f"SELECT {', '.join(COLUMNS[table])} FROM {table} {rest}", *arguments)
        rows, damages = read_rows(table, found)
        self.damage.update({(damage.table, damage.id): damage for damage in damages})
        return rows

    def _fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with translated_errors(self._path, "read"):
            return fetch(self._connection, sql, arguments)


def _numbers(text: str | None) -> list[int]:
    """A remembered list of numbers; none for anything else."""
    try:
        found = json_of(text or "[]")
    except ValueError:
        return []
    return [value for value in found if isinstance(value, int)] if isinstance(found, list) else []


def meta_beginning(project: ProjectQueries, prefix: str) -> dict[str, str]:
    """All remembered texts of a project whose key begins so, by the rest of their key."""
    found = project._fetch("SELECT k, v FROM meta WHERE substr(k, 1, ?) = ?", len(prefix), prefix)
    return {key[len(prefix) :]: value for key, value in found}


def table_values(project: ProjectQueries) -> Iterator[tuple[str, str, str | bytes]]:
    """(table, column, value) of every text and blob in a project, whatever tables it has."""
    for (table,) in project._fetch("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        columns = [name for (name,) in project._fetch("SELECT name FROM pragma_table_info(?)", table)]
        for column in columns:
            quoted = f'"{column}"', f'"{table}"'
            query = "SELECT {0} FROM {1} WHERE typeof({0}) IN ('text', 'blob')".format(*quoted)
            for (value,) in project._fetch(query):
                yield table, column, value
