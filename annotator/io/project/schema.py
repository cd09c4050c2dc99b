"""The project file's tables and version numbers, and rows to values and back."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from enum import StrEnum
from itertools import count, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget
from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectBusyError, ProjectError, ProjectReadOnlyError
from annotator.domain.media import Series, SeriesKind
from annotator.domain.project import Annotation, Category, ImageRecord, Review, Row, Status

APPLICATION_ID = 0x414E4F54  # "ANOT"
MAJOR, MINOR = 2, 1
SCHEMA_VERSION = MAJOR * 1000 + MINOR
"""``user_version``: a larger thousand (major) is refused; an older file is migrated after a backup
(:mod:`annotator.io.project.migrations`), and a newer one of the same thousand is opened (minor versions only add)."""
_OLDEST = 1000

IMAGE_COLUMNS = """(
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, sha256 TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  status TEXT NOT NULL, extra TEXT NOT NULL, frame INTEGER NOT NULL DEFAULT 0, series_id INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT 0, UNIQUE(path, frame))"""
SERIES_TABLE = """
CREATE TABLE series(
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, identity TEXT NOT NULL UNIQUE, extra TEXT NOT NULL)"""
ATTRIBUTE_TABLE = """
CREATE TABLE attribute(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL, form TEXT NOT NULL, extra TEXT NOT NULL)"""
SERIES_INDEX = "CREATE INDEX image_series ON image(series_id, position)"

# Foreign keys are checked at commit, so that the order of changes inside an edit does not matter.
_SCHEMA = f"""
CREATE TABLE image{IMAGE_COLUMNS};
{SERIES_TABLE.strip()};
{SERIES_INDEX};
{ATTRIBUTE_TABLE.strip()};
CREATE TABLE category(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL, key INTEGER NOT NULL, extra TEXT NOT NULL);
CREATE TABLE annotation(
  id INTEGER PRIMARY KEY,
  image_id INTEGER NOT NULL REFERENCES image(id) DEFERRABLE INITIALLY DEFERRED,
  category_id INTEGER NOT NULL REFERENCES category(id) DEFERRABLE INITIALLY DEFERRED,
  x INTEGER NOT NULL, y INTEGER NOT NULL, w INTEGER NOT NULL, h INTEGER NOT NULL, area INTEGER NOT NULL,
  rle BLOB NOT NULL, image_width INTEGER NOT NULL, image_height INTEGER NOT NULL, score REAL, origin TEXT NOT NULL,
  prompts TEXT NOT NULL, model TEXT NOT NULL, model_sha256 TEXT NOT NULL, adapter TEXT NOT NULL,
  clicks INTEGER NOT NULL, seconds REAL NOT NULL, is_crowd INTEGER NOT NULL, author TEXT NOT NULL,
  created_at TEXT NOT NULL, extra TEXT NOT NULL, track_id INTEGER NOT NULL DEFAULT 0,
  review TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', layer INTEGER NOT NULL DEFAULT 0);
CREATE INDEX annotation_image ON annotation(image_id);
CREATE INDEX annotation_category ON annotation(category_id);
CREATE TABLE edit(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, author TEXT NOT NULL, name TEXT NOT NULL,
  changes BLOB NOT NULL, undone INTEGER NOT NULL DEFAULT 0, drafts TEXT NOT NULL DEFAULT '');
CREATE INDEX edit_undone ON edit(undone, seq);
CREATE TABLE sequence(kind TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL);
CREATE TABLE image_draft(
  image_id INTEGER PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  objects INTEGER NOT NULL, data TEXT NOT NULL);
"""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("id", "path", "sha256", "width", "height", "status", "extra", "frame", "series_id", "position"),
    "category": ("id", "name", "colour", "key", "extra"),
    "annotation": (
        *("id", "image_id", "category_id", "x", "y", "w", "h", "area", "rle", "image_width", "image_height", "score"),
        *("origin", "prompts", "model", "model_sha256", "adapter", "clicks", "seconds", "is_crowd", "author"),
        *("created_at", "extra", "track_id", "review", "note", "layer"),
    ),
    "series": ("id", "kind", "name", "identity", "extra"),
    "attribute": ("id", "name", "target", "form", "extra"),
}
"""In the order of the fields. What a version adds stands at the end: edits of earlier ones have fewer values."""
FIRST_COLUMNS: Mapping[str, int] = {"image": 7, "category": 5, "annotation": 23, "series": 5, "attribute": 5}
"""How many columns a table had when it came."""
ROW_TYPES: Mapping[str, type[Row]] = {
    "image": ImageRecord,
    "category": Category,
    "annotation": Annotation,
    "series": Series,
    "attribute": Attribute,
}
_TABLE_OF: Mapping[type[Row], str] = {row: table for table, row in ROW_TYPES.items()}
_JSON_COLUMNS = ("extra", "prompts")
WORDS = {"status": Status, "review": Review, "kind": SeriesKind, "form": AttributeForm, "target": AttributeTarget}
_PLAIN = frozenset((int, float, str, bytes, type(None)))


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty project in a new file (inside the caller's transaction)."""
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.executemany("INSERT INTO sequence(kind, next) VALUES (?, 1)", [(table,) for table in COLUMNS])


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The file's version.

    Raises:
        ProjectError: not a project of ours, damaged, or of another major version.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise ProjectError(f"{brief(path.name)} is not an annotator project.", "Choose a file that this program made.")
    if version // 1000 > MAJOR or version < _OLDEST:
        age = "newer" if version // 1000 > MAJOR else "much older"
        raise ProjectError(
            f"{brief(path.name)} was made by a {age} version of this program (format {version // 1000}, this is "
            f"{MAJOR}).",
            "Open it with that version, or update this one.",
        )
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {*COLUMNS, "edit", "sequence", "image_draft", "meta"} - present
    if missing and version >= SCHEMA_VERSION:
        raise ProjectError(f"{brief(path.name)} is damaged: the table {min(missing)} is gone.", RESTORE)
    return int(version)


def copy_database(connection: sqlite3.Connection, to: Path) -> None:
    """A consistent copy by SQLite's own backup, also while the project is in use."""
    copy = sqlite3.connect(to)
    try:
        connection.backup(copy)
    finally:
        copy.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: commits at the end, rolls back on any exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself (full disk).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def relaxed(connection: sqlite3.Connection, *, is_wal: bool) -> Iterator[None]:
    """No wait for the disk: for what may be lost in a power cut (never in a crash of the program)."""
    if is_wal:
        connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        if is_wal:
            connection.execute("PRAGMA synchronous = FULL")


# --- errors ---------------------------------------------------------------------------------------------------------

RESTORE = "Restore it from a backup copy; the images themselves are not touched."


@contextmanager
def translated_errors(path: Path, doing: str) -> Iterator[None]:
    """SQLite's complaints about the file or disk as one clear message; wrong SQL or values of ours pass as they are.

    Args:
        doing: "opened", "written", "read".

    Raises:
        ProjectError, ProjectReadOnlyError, ProjectBusyError: nothing was written
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except UnicodeDecodeError as error:  # SQLite quotes a damaged schema, which Python cannot read
        raise ProjectError(f"{brief(path.name)} is damaged or not an annotator project.", RESTORE) from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise _project_error(path, doing, error) from error


def _project_error(path: Path, doing: str, error: Exception) -> ProjectError:
    text = str(error).lower()
    if "disk is full" in text or "no space" in text:
        message = f"The disk is full: {brief(path.name)} cannot be {doing}."
        return ProjectError(message, "Free some space and try again; everything accepted before is safe.")
    if "readonly" in text or "read-only" in text:
        return ProjectReadOnlyError(
            f"{brief(path.name)} cannot be written: it is read-only.", "Copy it to a place you own."
        )
    if "locked" in text or "busy" in text:
        kind = ProjectError if doing == "read" else ProjectBusyError
        return kind(f"{brief(path.name)} is held by another program.", "Close that program and try again.")
    if "too big" in text:
        return ProjectError(
            f"{brief(path.name)} holds a value of hundreds of megabytes, which cannot be {doing}.", RESTORE
        )
    if "not a database" in text or "malformed" in text or "no such" in text or "corrupt" in text or "decode" in text:
        return ProjectError(f"{brief(path.name)} is damaged or not an annotator project.", RESTORE)
    # Never the text of the error: SQLite quotes values of the file in some of them.
    why = (
        error.strerror if isinstance(error, OSError) else getattr(error, "sqlite_errorname", "")
    ) or "no reason is known"
    message = f"{brief(path.name)} cannot be {doing} ({why})."
    return ProjectError(message, "Check the disk and the permissions of the folder.")


# --- rows and values ------------------------------------------------------------------------------------------------


def table_of(row: Row) -> str:
    return _TABLE_OF[type(row)]


def column_value(row: Row, column: str) -> Any:
    """A field as SQLite stores it.

    Raises:
        ValueError: ``extra`` or ``prompts`` is not plain JSON (NaN is not).
    """
    value = scalar(getattr(row, column))
    if column in _JSON_COLUMNS:
        return to_json(value)
    if column == "is_crowd":
        return int(value)
    return str(value) if column in WORDS else value


def columns_of(table: str, rows: Sequence[Row]) -> Iterable[tuple[Any, ...]]:
    """Many rows as :func:`column_value` makes them, column by column: a folder may have 100,000 images."""
    return zip(*(_column(name, [*map(attrgetter(name), rows)]) for name in COLUMNS[table]), strict=True)


def _column(name: str, values: list[Any]) -> Iterable[Any]:
    """A call for each value only where there is something to do."""
    write = _WRITERS.get(name)
    if name in _JSON_COLUMNS and not any(values):
        return repeat("{}", len(values))
    if write is None and set(map(type, values)) <= _PLAIN:
        return values
    return map(write or scalar, values)


def rows_from(table: str, found: Sequence[tuple[Any, ...]]) -> list[Row]:
    """Values from the columns of :data:`COLUMNS`.

    Raises:
        ValueError, TypeError: a row is damaged.
    """
    # Column by column: an image may have thousands of objects.
    columns: list[Iterable[Any]] = list(zip(*found, strict=True))
    if not columns:
        return []
    for place, read in _READ_AS[table]:
        columns[place] = read(columns[place])
    return _built(ROW_TYPES[table], columns, len(found))


_BUILT_AT_ONCE = 2_000
"""In pieces: one call for all would stop other threads."""


def image_rows(first_id: int, paths: Sequence[str]) -> list[ImageRecord]:
    """Images of which nothing but the path is known, with ids that follow each other."""
    made: list[Row] = []
    for at in range(0, len(paths), _BUILT_AT_ONCE):
        some = paths[at : at + _BUILT_AT_ONCE]
        known: dict[str, Iterable[Any]] = {"id": count(first_id + at), "path": some}
        columns = [known.get(one.name, _nothing_in(one)) for one in fields(ImageRecord)]
        made += _built(ImageRecord, columns, len(some))
    return cast(list[ImageRecord], made)


def _nothing_in(one: Field[Any]) -> Iterable[Any]:
    """What a field has by default, again and again: never the same changeable value twice."""
    made = one.default_factory
    return repeat(one.default) if made is MISSING else (made() for _ in repeat(None))


def _built(kind: type[Row], columns: Sequence[Iterable[Any]], rows: int) -> list[Row]:
    """Values of a frozen class field by field, by place: its own constructor takes three times as long."""
    made = [*map(object.__new__, repeat(kind, rows))]
    for field, values in zip(fields(kind), columns, strict=True):
        deque(map(getattr(kind, field.name).__set__, made, values), maxlen=0)
    return made


def refuse_constant(name: str) -> None:
    """NaN and infinities are no JSON: what cannot be written is not read either.

    Raises:
        ValueError
    """
    raise ValueError(f"{name} is not JSON")


def _from_json(texts: Iterable[str]) -> Iterable[Any]:
    """All in one go: a call for each takes most of the time of reading an image's objects."""
    given = tuple(texts)
    wanted = [text for text in given if text != "{}"]  # most rows have nothing extra
    if not wanted:
        return [{} for _ in given]
    try:
        parsed = json.loads(f"[{','.join(wanted)}]", parse_constant=refuse_constant)
    except ValueError:
        parsed = []
    if len(parsed) != len(wanted):
        parsed = [json.loads(text, parse_constant=refuse_constant) for text in wanted]  # says what is wrong, and where
    following = iter(parsed)
    return [{} if text == "{}" else next(following) for text in given]


def _words_of(kind: type[StrEnum]) -> Callable[[Iterable[Any]], Iterable[Any]]:
    known = {word.value: word for word in kind}  # an enumeration's own look-up takes ten times as long
    return lambda values: [known[value] if value in known else kind(value) for value in values]


_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_JSON_COLUMNS, lambda value: to_json(value) if value else "{}"),
    **dict.fromkeys(WORDS, str),
    "is_crowd": int,
}
_READERS: Mapping[str, Callable[[Iterable[Any]], Iterable[Any]]] = {
    **dict.fromkeys(_JSON_COLUMNS, _from_json),
    **{column: _words_of(kind) for column, kind in WORDS.items()},
    "is_crowd": lambda values: map(bool, values),
    "rle": lambda values: map(bytes, values),
}
_READ_AS: Mapping[str, tuple[tuple[int, Callable[[Iterable[Any]], Iterable[Any]]], ...]] = {
    table: tuple((place, _READERS[name]) for place, name in enumerate(names) if name in _READERS)
    for table, names in COLUMNS.items()
}


def to_json(value: Any) -> str:
    """Compact ASCII JSON; refuses NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def scalar(value: Any) -> Any:
    """A plain number in the place of one of numpy's."""
    # A score or coordinate may arrive as a numpy number, which neither SQLite nor JSON takes.
    return value.item() if isinstance(value, np.generic) else value
