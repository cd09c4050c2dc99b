"""Writes rows of a project inside the caller's transaction, and gives out ids that are never used twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, Literal

from annotator.domain.errors import ProjectError, RowGoneError, RowTakenError
from annotator.domain.project import Annotation, Edit, Row, RowChange
from annotator.io.project.edit_progress import AT_ONCE, UNWATCHED, EditProgress
from annotator.io.project.schema import COLUMNS, column_value, columns_of, table_of
from annotator.io.project.soundness import Damage, fetch, read_rows

_MAX_ID = 1 << 53
_IN_A_QUESTION = 500
"""Ids: SQLite takes 999 values at least."""

RowKind = Literal["image", "category", "annotation", "series", "track", "attribute"]
"""A track has no row of its own: its objects name it."""
_TRACK = "track"


class RowWriter:
    """One per writing store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counting = threading.Lock()
        """Ids are given out while another thread writes."""
        self._next_ids: dict[str, int] = {table: _next_id(connection, table) for table in COLUMNS}
        self._next_ids[_TRACK] = _next_id(connection, _TRACK, "annotation", "track_id")

    def new_id(self, kind: RowKind, count: int = 1) -> int:
        """The next id, the first of ``count``. It is used up in the file when a row with it is inserted."""
        with self._counting:
            value = self._next_ids[kind]
            self._next_ids[kind] = value + count
        return value

    def peek_id(self, kind: RowKind) -> int:
        """What :meth:`new_id` would give; from it on, every id is unused."""
        return self._next_ids[kind]

    def write(self, edit: Edit, told: EditProgress = UNWATCHED) -> Edit:
        """Write an edit's rows.

        Returns:
            The edit with the rows as they really were and are now: what undo needs.

        Raises:
            RowTakenError: a new row's id is taken. RowGoneError: a changed row is not there.
        """
        real = tuple(chain.from_iterable(self._write_run(run, told) for run in _runs(edit.changes)))
        created = [c.after for c in real if c.after is not None and c.before is None]
        for kind in sorted({table_of(row) for row in created}):
            self._raise_sequence(kind, max(row.id for row in created if table_of(row) == kind) + 1)
        self._use_tracks([c.after for c in real if c.after is not None])
        return replace(edit, changes=real)

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        """New rows of one table, if any, and their ids are used up."""
        if rows:
            self._insert(table, rows, UNWATCHED)
            self._raise_sequence(table, max(row.id for row in rows) + 1)
            if table == "annotation":
                self._use_tracks(rows)

    def update(self, before: Row, after: Row) -> None:
        """Write the fields that differ."""
        table = table_of(after)
        columns = [name for name in COLUMNS[table] if getattr(before, name) != getattr(after, name)]
        if columns:
            assignments = ", ".join(f"{name} = ?" for name in columns)
            values = [column_value(after, name) for name in columns]
            self._connection.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", (*values, after.id))

    def _write_run(self, run: Sequence[RowChange], told: EditProgress) -> Iterable[RowChange]:
        """Changes of one kind: new rows and gone rows of a table take a statement for all, not one for each."""
        kind = _kind(run[0])
        if len(run) == 1 or kind == "change":
            return [self._write_change(change, told) for change in run]
        table = table_of(run[0].row)
        if kind == "new":
            for at in range(0, len(run), _IN_A_QUESTION):
                ids = [change.row.id for change in run[at : at + _IN_A_QUESTION]]
                taken = self._connection.execute(f"SELECT id FROM {table} WHERE id IN ({_marks(ids)})", ids).fetchone()
                if taken is not None:
                    raise RowTakenError(f"{table} {taken[0]} is there already")
            self._insert(table, [change.row for change in run], told)
            return run
        current = self._current(table, [change.row.id for change in run])
        for at in range(0, len(current), AT_ONCE):
            some = [(row.id,) for row in current[at : at + AT_ONCE]]
            self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", some)
            told.step(len(some))
        return [RowChange(row, None) for row in current]

    def _current(self, table: str, ids: Sequence[int]) -> list[Row]:
        """These rows as they are in the file.

        Raises:
            RowGoneError: one is not there. ProjectError: one is damaged.
        """
        found: list[Row] = []
        columns = ", ".join(COLUMNS[table])
        for at in range(0, len(ids), _IN_A_QUESTION):
            some = ids[at : at + _IN_A_QUESTION]
            sql = f"SELECT {columns} FROM {table} WHERE id IN ({_marks(some)})"
            rows, damages = read_rows(table, self._connection.execute(sql, some).fetchall())
            by_id = {row.id: row for row in rows}
            for row_id in some:
                if row_id not in by_id:
                    lost = next((damage for damage in damages if damage.id == row_id), None)
                    if lost is not None:
                        raise _refused(lost)
                    raise RowGoneError(f"{table} {row_id} is not there (any more)")
            found += [by_id[row_id] for row_id in some]
        return found

    def _write_change(self, change: RowChange, told: EditProgress) -> RowChange:
        told.step()
        table, row_id = table_of(change.row), change.row.id
        columns = ", ".join(COLUMNS[table])
        found = self._connection.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (row_id,)).fetchone()
        current = _sound(table, found) if found else None
        if change.before is None:
            if current is not None:
                raise RowTakenError(f"{table} {row_id} is there already")
            self._insert(table, [change.row], UNWATCHED)
            return change
        if current is None:
            raise RowGoneError(f"{table} {row_id} is not there (any more)")
        if change.after is None:
            self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
            return RowChange(current, None)
        after = _with_difference(current, change.before, change.after)
        self.update(current, after)
        return RowChange(current, after)

    def _insert(self, table: str, rows: Sequence[Row], told: EditProgress) -> None:
        columns = COLUMNS[table]
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"
        for at in range(0, len(rows), AT_ONCE):
            some = rows[at : at + AT_ONCE]
            self._connection.executemany(sql, columns_of(table, some))
            told.step(len(some))

    def _use_tracks(self, rows: Sequence[Row]) -> None:
        """The tracks that objects name are used up."""
        largest = max((row.track_id for row in rows if isinstance(row, Annotation)), default=0)
        if largest >= self._next_ids[_TRACK]:
            self._raise_sequence(_TRACK, largest + 1)

    def _raise_sequence(self, kind: str, following: int) -> None:
        with self._counting:
            following = self._next_ids[kind] = max(following, self._next_ids[kind])
        # Whole: what a damaged file says may be no number.
        self._connection.execute("INSERT OR REPLACE INTO sequence(kind, next) VALUES (?, ?)", (kind, following))


def _next_id(connection: sqlite3.Connection, kind: str, table: str = "", column: str = "id") -> int:
    """What the file says; where that is no usable number, one more than the largest id that it has in a column (of the
    table of the kind's name)."""
    found = fetch(connection, "SELECT next FROM sequence WHERE kind = ?", (kind,))
    whole = f"typeof({column}) = 'integer' AND {column} < {_MAX_ID}"  # a damaged file may have anything there
    (largest,) = connection.execute(f"SELECT COALESCE(MAX({column}), 0) FROM {table or kind} WHERE {whole}").fetchone()
    said = next((value for (value,) in found if isinstance(value, int) and 0 < value < _MAX_ID), 0)
    return max(said, int(largest) + 1)


def _sound(table: str, found: tuple[Any, ...]) -> Row:
    """Raises:
    ProjectError: the row is damaged.
    """
    rows, damages = read_rows(table, [found])
    if not rows:
        raise _refused(damages[0])
    return rows[0]


def _refused(damage: Damage) -> ProjectError:
    return ProjectError(f"The change was not made: {damage}.", "Restore it first.")


def _kind(change: RowChange) -> str:
    return "new" if change.before is None else "gone" if change.after is None else "change"


def _runs(changes: Sequence[RowChange]) -> Iterator[list[RowChange]]:
    """Neighbours of one kind and table, each row once in a run."""
    run: list[RowChange] = []
    ids: set[int] = set()
    for change in changes:
        is_other = run and (_kind(change), type(change.row)) != (_kind(run[0]), type(run[0].row))
        if is_other or change.row.id in ids:
            yield run
            run, ids = [], set()
        run.append(change)
        ids.add(change.row.id)
    if run:
        yield run


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _with_difference(current: Row, before: Row, after: Row) -> Row:
    """``current`` with the fields that differ between ``before`` and ``after``."""
    changed = {
        field.name: getattr(after, field.name)
        for field in fields(after)
        if getattr(before, field.name) != getattr(after, field.name)
    }
    return replace(current, **changed)
