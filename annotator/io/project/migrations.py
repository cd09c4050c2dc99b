"""Project files of earlier versions, brought up to date after a backup, or read as if they were."""

from __future__ import annotations

import filecmp
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError
from annotator.files.atomic import put_in_place
from annotator.io.project.journal import free_name
from annotator.io.project.schema import (
    ATTRIBUTE_TABLE,
    COLUMNS,
    FIRST_COLUMNS,
    IMAGE_COLUMNS,
    RESTORE,
    SCHEMA_VERSION,
    SERIES_INDEX,
    SERIES_TABLE,
    copy_database,
    transaction,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """From a version to version ``to``; ``run`` is called inside a transaction, without checks of foreign keys."""

    to: int
    run: Callable[[sqlite3.Connection], None]


def _one_draft_an_image(connection: sqlite3.Connection) -> None:
    """1.0 to 1.1: a row of unaccepted objects for every image, and edits know which of them they ended."""
    connection.execute("""
        CREATE TABLE image_draft(
          image_id INTEGER PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
          objects INTEGER NOT NULL, data TEXT NOT NULL)""")
    connection.execute("ALTER TABLE edit ADD COLUMN drafts TEXT NOT NULL DEFAULT ''")


def _frames_and_series(connection: sqlite3.Connection) -> None:
    """1.1 to 2.0: an image is a frame of a file, and may be a slice of a series; objects have a track, a review and a
    note. Edits stay as they are: what they lack has its default (:mod:`annotator.io.project.edit_blobs`).

    ``draft`` is where programs of version 1.0 kept the one object that was not accepted.
    """
    known = "SELECT image_id, 1, prompts FROM draft WHERE image_id IN (SELECT id FROM image)"
    connection.execute(f"INSERT OR IGNORE INTO image_draft(image_id, objects, data) {known}")
    connection.execute("DROP TABLE draft")
    columns = ", ".join(COLUMNS["image"][: FIRST_COLUMNS["image"]])
    connection.execute(f"CREATE TABLE new_image{IMAGE_COLUMNS}")
    connection.execute(f"INSERT INTO new_image({columns}) SELECT {columns} FROM image")
    connection.execute("DROP TABLE image")
    connection.execute("ALTER TABLE new_image RENAME TO image")
    connection.execute(SERIES_TABLE)
    connection.execute(SERIES_INDEX)
    connection.execute("ALTER TABLE annotation ADD COLUMN track_id INTEGER NOT NULL DEFAULT 0")
    for column in ("review", "note"):
        connection.execute(f"ALTER TABLE annotation ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
    connection.execute("INSERT OR IGNORE INTO sequence(kind, next) VALUES ('series', 1)")


def _attributes_and_layers(connection: sqlite3.Connection) -> None:
    """2.0 to 2.1: attributes of objects and images are defined, and objects lie over each other in an order."""
    connection.execute(ATTRIBUTE_TABLE)
    connection.execute("ALTER TABLE annotation ADD COLUMN layer INTEGER NOT NULL DEFAULT 0")
    connection.execute("INSERT OR IGNORE INTO sequence(kind, next) VALUES ('attribute', 1)")


MIGRATIONS: Mapping[int, Migration] = {
    1000: Migration(1001, _one_draft_an_image),
    1001: Migration(2000, _frames_and_series),
    2000: Migration(2001, _attributes_and_layers),
}


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
    steps = _steps(path, version, target, migrations)
    backup = _back_up(connection, path, version)
    _run(connection, steps, target)
    return backup


def migrated_copy(connection: sqlite3.Connection, path: Path, *, version: int) -> sqlite3.Connection:
    """An older file as this version would have it, for who only reads it: in a temporary database that goes when it is
    closed. Takes over the connection.

    Raises:
        ProjectError: there is no way from that version.
        sqlite3.Error: no room for the copy.
    """
    steps = _steps(path, version, SCHEMA_VERSION, MIGRATIONS)
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        connection.backup(copy)
        copy.execute("PRAGMA trusted_schema = OFF")
        _run(copy, steps, SCHEMA_VERSION)
        copy.execute("PRAGMA query_only = ON")
    except BaseException:
        copy.close()
        raise
    connection.close()
    return copy


def _steps(path: Path, version: int, target: int, migrations: Mapping[int, Migration]) -> list[Migration]:
    steps: list[Migration] = []
    at = version
    while at < target:
        if at not in migrations:
            raise ProjectError(
                f"{brief(path.name)} has format {at}, which cannot be brought up to {brief(target)}.", RESTORE
            )
        steps.append(migrations[at])
        at = steps[-1].to
    return steps


def _run(connection: sqlite3.Connection, steps: list[Migration], target: int) -> None:
    # A table that others refer to is made anew: with the checks on, dropping the old one would empty theirs.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with transaction(connection):
            for step in steps:
                step.run(connection)
            connection.execute(f"PRAGMA user_version = {target}")
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """A copy beside the project, complete and on the disk; one that is there already is not replaced by another."""
    wanted = path.with_name(f"{path.name}.backup-{version}")
    partial = path.with_name(f".{wanted.name}.part")
    try:
        partial.unlink(missing_ok=True)
        copy_database(connection, partial)
        if wanted.exists() and filecmp.cmp(partial, wanted, shallow=False):
            return wanted  # of an attempt that did not come to its end
        backup = free_name(wanted) if wanted.exists() else wanted
        put_in_place(partial, backup)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    return backup


def _add_edit_index(connection: sqlite3.Connection) -> None:
    """For projects from before it was part of the schema; without it every accept looks through all edits."""
    try:
        connection.execute("CREATE INDEX IF NOT EXISTS edit_undone ON edit(undone, seq)")
    except sqlite3.OperationalError as error:  # a full disk: accepting is slower, and everything else is as it was
        _log.warning("no index of the edits: %s", error)
