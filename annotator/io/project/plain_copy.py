"""The rows of a project that cannot be opened as it is, in a new one: what is damaged or runs stays behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError
from annotator.io.project.connect import connect_reader, connect_writer
from annotator.io.project.journal import free_name
from annotator.io.project.place import make_project_file
from annotator.io.project.schema import COLUMNS, FIRST_COLUMNS, check_version, transaction, translated_errors

_TABLES = ("series", "attribute", "image", "category", "annotation")
_FIRST_TABLES = ("image", "category", "annotation")
"""Of every version."""
_KEPT_META = ("image_root", "image_root_absolute", "created_at", "position", "class")


@dataclass(frozen=True, slots=True)
class PlainCopy:
    """A new project. ``rows`` were taken; ``is_whole`` when none of the old one's was out of reach."""

    path: Path
    rows: int
    is_whole: bool


def make_plain_copy(project: Path) -> PlainCopy:
    """Copy images, classes and objects to ``NAME (plain copy).annot`` beside the project; the history stays behind.

    Nothing of the old file runs: its plain tables are read, column by column of ours.

    Raises:
        ProjectError: it is no project of this format, has no rows that can be read, or the copy cannot be written.
    """
    target = free_name(project.with_name(f"{project.stem} (plain copy){project.suffix}"))
    with translated_errors(project, "read"):
        source = connect_reader(project.resolve())
        try:
            source.text_factory = lambda raw: raw.decode("utf-8", "replace")
            check_version(source, project)
            with translated_errors(target, "written"):
                make_project_file(target, project.parent)
                try:
                    rows, is_whole = _copy_into(target, source)
                    if rows == 0:
                        raise ProjectError(
                            f"No row of {brief(project.name)} can be read.", "Restore it from a backup copy."
                        )
                except BaseException:
                    target.unlink(missing_ok=True)
                    raise
        finally:
            source.close()
    return PlainCopy(target, rows, is_whole)


def _copy_into(target: Path, source: sqlite3.Connection) -> tuple[int, bool]:
    connection, _ = connect_writer(target)
    count, is_whole = 0, True
    try:
        connection.execute("PRAGMA foreign_keys = OFF")  # an object may have lost its class
        with transaction(connection):
            connection.execute("DELETE FROM category")
            for table in _TABLES:
                reader = _RowReader(source, table)
                columns = ", ".join(reader.columns)
                marks = ", ".join("?" * len(reader.columns))
                for row in reader.rows():
                    connection.execute(f"INSERT OR IGNORE INTO {table}({columns}) VALUES ({marks})", row)
                    count += 1
                following = f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table})"
                connection.execute(f"UPDATE sequence SET next = {following} WHERE kind = ?", (table,))
                is_whole &= reader.is_whole
            if not connection.execute("SELECT COUNT(*) FROM category").fetchone()[0]:
                connection.execute("INSERT INTO category VALUES (1, 'object', '#e6194b', 1, '{}')")
                connection.execute("UPDATE sequence SET next = 2 WHERE kind = 'category'")
            for key in _KEPT_META:
                value = _meta(source, key)
                if value is not None:
                    connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?, ?)", (key, value))
    finally:
        connection.close()
    return count, is_whole


class _RowReader:
    """Rows of one table by their ids, round what cannot be read."""

    def __init__(self, source: sqlite3.Connection, table: str) -> None:
        self._source, self._table = source, table
        self.is_whole = True
        present = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}  # no generated ones
        first = COLUMNS[table][: FIRST_COLUMNS[table]]
        self.columns = tuple(name for name in COLUMNS[table] if name in present or name in first)
        """Those that the file's version has."""
        self._is_complete = present.issuperset(self.columns)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        sql = "SELECT type, sql FROM sqlite_master WHERE name = ?"
        found = self._source.execute(sql, (self._table,)).fetchone()
        if found is None and self._table not in _FIRST_TABLES:
            return
        if found is None or found[0] != "table" or "VIRTUAL" in str(found[1]).upper():
            self.is_whole = False
            return
        if not self._is_complete:
            self.is_whole = False
            return
        columns = ", ".join(self.columns)
        last, step = -1, 1
        while True:
            try:
                for row in self._source.execute(
                    f"SELECT {columns} FROM {self._table} WHERE id > ? ORDER BY id", (last,)
                ):
                    last, step = row[0], 1
                    yield row
                return
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                self.is_whole = False
                last, step = last + step, step * 2
                if last > 1 << 60:
                    return


def _meta(source: sqlite3.Connection, key: str) -> str | None:
    try:
        found = source.execute("SELECT v FROM meta WHERE k = ?", (key,)).fetchone()
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None
    return str(found[0]) if found else None
