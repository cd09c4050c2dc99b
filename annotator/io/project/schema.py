"""The project file's tables, its version numbers and migrations, and rows to values and back."""

from __future__ import annotations

import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.errors import ProjectBusyError, ProjectError, ProjectReadOnlyError
from annotator.domain.project import Annotation, Category, Edit, ImageRecord, Row, RowChange, Status

_log = logging.getLogger(__name__)

APPLICATION_ID = 0x414E4F54  # "ANOT"
MAJOR, MINOR = 1, 1
SCHEMA_VERSION = MAJOR * 1000 + MINOR
"""``user_version``: another thousand (major) is refused; within one, an older file is migrated after a backup, and a
newer one is opened (minor versions only add)."""

Migration = Callable[[sqlite3.Connection], None]

_DRAFT_TABLE = """
CREATE TABLE image_draft(
  image_id INTEGER PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  objects INTEGER NOT NULL, data TEXT NOT NULL)"""

# Foreign keys are checked at commit, so that the order of changes inside an edit does not matter. ``draft`` stays
# empty: it is what programs of version 1.0 write to.
_SCHEMA = f"""
CREATE TABLE image(
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, status TEXT NOT NULL, extra TEXT NOT NULL);
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
  created_at TEXT NOT NULL, extra TEXT NOT NULL);
CREATE INDEX annotation_image ON annotation(image_id);
CREATE INDEX annotation_category ON annotation(category_id);
CREATE TABLE edit(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, author TEXT NOT NULL, name TEXT NOT NULL,
  changes BLOB NOT NULL, undone INTEGER NOT NULL DEFAULT 0, drafts TEXT NOT NULL DEFAULT '');
CREATE INDEX edit_undone ON edit(undone, seq);
CREATE TABLE sequence(kind TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE draft(slot INTEGER PRIMARY KEY CHECK (slot = 1), image_id INTEGER NOT NULL, prompts TEXT NOT NULL);
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL);
{_DRAFT_TABLE.strip()};
"""


def _one_draft_an_image(connection: sqlite3.Connection) -> None:
    """1.0 to 1.1: a row of unaccepted objects for every image, and edits know which of them they ended."""
    connection.execute(_DRAFT_TABLE)
    connection.execute("ALTER TABLE edit ADD COLUMN drafts TEXT NOT NULL DEFAULT ''")
    known = "SELECT image_id, 1, prompts FROM draft WHERE image_id IN (SELECT id FROM image)"
    connection.execute(f"INSERT INTO image_draft(image_id, objects, data) {known}")
    connection.execute("DELETE FROM draft")


MIGRATIONS: Mapping[int, Migration] = {1000: _one_draft_an_image}
"""From a version to the next one; each runs inside one transaction."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("id", "path", "sha256", "width", "height", "status", "extra"),
    "category": ("id", "name", "colour", "key", "extra"),
    "annotation": (
        *("id", "image_id", "category_id", "x", "y", "w", "h", "area", "rle", "image_width", "image_height", "score"),
        *("origin", "prompts", "model", "model_sha256", "adapter", "clicks", "seconds", "is_crowd", "author"),
        *("created_at", "extra"),
    ),
}
_ROW_TYPES: Mapping[str, type[Row]] = {"image": ImageRecord, "category": Category, "annotation": Annotation}
_JSON_COLUMNS = ("extra", "prompts")
_COMPRESS_FROM_BYTES = 16_384
MAX_EDIT_BYTES = 256 << 20
"""An edit's JSON: an import of some 250,000 objects. A larger one is kept, but cannot be undone."""
_MAX_EDIT_VALUES = 16_000_000
"""In it: each takes some fifty bytes of memory or more."""


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
        raise ProjectError(f"{path.name} is not an annotator project.", "Choose a file that this program made.")
    if version // 1000 != MAJOR:
        age = "newer" if version // 1000 > MAJOR else "much older"
        raise ProjectError(
            f"{path.name} was made by a {age} version of this program (format {version // 1000}, this is {MAJOR}).",
            "Open it with that version, or update this one.",
        )
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {"image", "category", "annotation", "edit", "sequence", "draft", "image_draft", "meta"} - present
    if missing and version >= SCHEMA_VERSION:
        raise ProjectError(f"{path.name} is damaged: the table {min(missing)} is gone.", RESTORE)
    return int(version)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    *,
    version: int,
    target: int = SCHEMA_VERSION,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> Path | None:
    """Bring an older file to ``target``, one transaction for all steps, after a backup beside it.

    The index of the edits is added without one: it changes nothing that other versions see.

    Returns:
        The backup's path, or None when there was nothing to do.

    Raises:
        ProjectError: there is no way from that version; the file is as it was.
    """
    _add_edit_index(connection)
    if version >= target:
        return None
    steps: list[int] = []
    while (at := version + len(steps)) < target:
        if at not in migrations:
            raise ProjectError(f"{path.name} has format {at}, which cannot be brought up to {target}.", RESTORE)
        steps.append(at)
    backup = path.with_name(f"{path.name}.backup-{version}")
    copy_database(connection, backup)
    with transaction(connection):
        for step in steps:
            migrations[step](connection)
        connection.execute(f"PRAGMA user_version = {target}")
    return backup


def _add_edit_index(connection: sqlite3.Connection) -> None:
    """For projects from before it was part of the schema; without it every accept looks through all edits."""
    try:
        connection.execute("CREATE INDEX IF NOT EXISTS edit_undone ON edit(undone, seq)")
    except sqlite3.OperationalError as error:  # a full disk: accepting is slower, and everything else is as it was
        _log.warning("no index of the edits: %s", error)


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
    except (sqlite3.DatabaseError, OSError) as error:
        raise _project_error(path, doing, error) from error


def _project_error(path: Path, doing: str, error: Exception) -> ProjectError:
    text = str(error).lower()
    if "disk is full" in text or "no space" in text:
        message = f"The disk is full: {path.name} cannot be {doing}."
        return ProjectError(message, "Free some space and try again; everything accepted before is safe.")
    if "readonly" in text or "read-only" in text:
        return ProjectReadOnlyError(f"{path.name} cannot be written: it is read-only.", "Copy it to a place you own.")
    if "locked" in text or "busy" in text:
        kind = ProjectError if doing == "read" else ProjectBusyError
        return kind(f"{path.name} is held by another program.", "Close that program and try again.")
    if "too big" in text:
        return ProjectError(f"{path.name} holds a value of hundreds of megabytes, which cannot be {doing}.", RESTORE)
    if "not a database" in text or "malformed" in text or "no such" in text or "corrupt" in text:
        return ProjectError(f"{path.name} is damaged or not an annotator project.", RESTORE)
    message = f"{path.name} cannot be {doing} ({error})."
    return ProjectError(message, "Check the disk and the permissions of the folder.")


# --- rows and values ------------------------------------------------------------------------------------------------


def table_of(row: Row) -> str:
    if isinstance(row, Annotation):
        return "annotation"
    return "image" if isinstance(row, ImageRecord) else "category"


def column_value(row: Row, column: str) -> Any:
    """A field as SQLite stores it.

    Raises:
        ValueError: ``extra`` or ``prompts`` is not plain JSON (NaN is not).
    """
    value = _scalar(getattr(row, column))
    if column in _JSON_COLUMNS:
        return to_json(value)
    if column == "is_crowd":
        return int(value)
    return str(value) if isinstance(value, Status) else value


def columns_of(table: str, rows: Sequence[Row]) -> Iterable[tuple[Any, ...]]:
    """Many rows as :func:`column_value` makes them, column by column: a folder may have 100,000 images."""
    return zip(*(map(_WRITERS.get(name, _scalar), map(attrgetter(name), rows)) for name in COLUMNS[table]), strict=True)


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
    # By place: the columns have the order of the fields.
    return list(map(_ROW_TYPES[table], *columns))


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


_STATUSES = {status.value: status for status in Status}  # an enumeration's own look-up takes ten times as long
_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_JSON_COLUMNS, lambda value: to_json(value) if value else "{}"),
    "status": str,
    "is_crowd": int,
}
_READERS: Mapping[str, Callable[[Iterable[Any]], Iterable[Any]]] = {
    **dict.fromkeys(_JSON_COLUMNS, _from_json),
    "status": lambda values: [_STATUSES[value] if value in _STATUSES else Status(value) for value in values],
    "is_crowd": lambda values: map(bool, values),
    "rle": lambda values: map(bytes, values),
}
_READ_AS: Mapping[str, tuple[tuple[int, Callable[[Iterable[Any]], Iterable[Any]]], ...]] = {
    table: tuple((place, _READERS[name]) for place, name in enumerate(names) if name in _READERS)
    for table, names in COLUMNS.items()
}


def edit_to_blob(edit: Edit) -> bytes:
    """An edit's changes as JSON, compressed when large."""
    # One by one: an import has a hundred thousand, and a call of the encoder holds the interpreter's lock.
    changes = (to_json([_plain(change.before), _plain(change.after)]) for change in edit.changes)
    raw = f"[{','.join(changes)}]".encode("ascii")
    return zlib.compress(raw, 1) if len(raw) >= _COMPRESS_FROM_BYTES else raw


def edit_from_blob(name: str, blob: bytes) -> Edit:
    """The edit that :func:`edit_to_blob` has made.

    Raises:
        ValueError: it is damaged, or larger than any work.
    """
    try:
        text = edit_text(blob)
        if sum(map(text.count, (b",", b"[", b"{"))) > _MAX_EDIT_VALUES:
            raise ValueError("it holds too many values")
        changes = json.loads(text, parse_constant=refuse_constant)
        return Edit(name, tuple(RowChange(_row(before), _row(after)) for before, after in changes))
    except (zlib.error, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged ({error})") from error


def edit_text(blob: bytes) -> bytes:
    """An edit's JSON. A few kilobytes may unpack to gigabytes: it is not more than an edit can have.

    Raises:
        ValueError, zlib.error
    """
    raw = bytes(blob)
    if raw[:1] == b"[":
        return raw
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(raw, MAX_EDIT_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {MAX_EDIT_BYTES >> 20} MiB")
    return text


def to_json(value: Any) -> str:
    """Compact ASCII JSON; refuses NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _scalar(value: Any) -> Any:
    # A score or coordinate may arrive as a numpy number, which neither SQLite nor JSON takes.
    return value.item() if isinstance(value, np.generic) else value


def _plain(row: Row | None) -> list[Any] | None:
    if row is None:
        return None
    table = table_of(row)
    values = [_scalar(getattr(row, column)) for column in COLUMNS[table]]
    return [table, *(v.decode("ascii") if isinstance(v, bytes) else v for v in values)]


def _row(plain: list[Any] | None) -> Row | None:
    if plain is None:
        return None
    table, fields = plain[0], dict(zip(COLUMNS[plain[0]], plain[1:], strict=True))
    if table == "image":
        fields["status"] = Status(fields["status"])
    elif table == "annotation":
        fields["rle"] = fields["rle"].encode("ascii")
    return _ROW_TYPES[table](**fields)
