"""Opening a project file: nothing is written before it is known what it is, and nothing is played into it unasked."""

from __future__ import annotations

from pathlib import Path

from annotator.domain.brevity import brief
from annotator.io.project.checks import check_integrity, check_schema
from annotator.io.project.connect import (
    SLOW_JOURNAL_NOTE,
    connect_reader,
    connect_without_journal,
    make_writer,
    shares_journal,
)
from annotator.io.project.held import HeldFile
from annotator.io.project.journal import belongs, copy_pair, find_damage, has_journal, set_aside
from annotator.io.project.lock import ProjectLock, noted_tokens
from annotator.io.project.migrations import migrate, migrated_copy
from annotator.io.project.path_limits import check_can_open
from annotator.io.project.rescue import rescued_beside
from annotator.io.project.schema import SCHEMA_VERSION, check_version


def open_held(path: Path, lock: ProjectLock | None, *, is_writer: bool) -> tuple[HeldFile, tuple[str, ...]]:
    """The file, checked and held, and sentences for the person.

    Args:
        lock: goes over to the held file; when this fails, it stays the caller's.

    Raises:
        ProjectError: not a project, damaged, or of another major version.
        sqlite3.Error, OSError: it cannot be read or written.
    """
    check_can_open(path)
    notices = rescued_beside(path)
    is_alone = True
    if has_journal(path):
        if is_writer:
            notices += _settle_journal(path, lock.left_tokens if lock is not None else ())
        else:
            # One that belongs to another file is the business of the next writer.
            is_alone = belongs(path, noted_tokens(path))
    connection = connect_reader(path) if is_alone else connect_without_journal(path)
    try:
        version = check_version(connection, path)
        check_schema(connection, path)
        check_integrity(connection, path)
        if not is_writer:
            is_shared = is_alone and shares_journal(connection, path)
            if version < SCHEMA_VERSION:
                connection, is_shared = migrated_copy(connection, path, version=version), False
            return HeldFile(path, connection, is_writer=False, is_wal=is_shared, lock=None), notices
        is_wal = make_writer(connection, path)
        backup = migrate(connection, path, version=version)
        if backup is not None:
            notices = (*notices, f"The project was brought up to date; the file as it was is {brief(backup.name)}.")
        if not is_wal:
            notices = (*notices, SLOW_JOURNAL_NOTE)
        return HeldFile(path, connection, is_writer=True, is_wal=is_wal, lock=lock), notices
    except BaseException:
        connection.close()
        raise


def _settle_journal(path: Path, noted: tuple[str, ...]) -> tuple[str, ...]:
    """Before SQLite plays the journal of a crash into the file: is it that file's, and is it whole?"""
    if not belongs(path, noted):
        kept = set_aside(path, "other")
        told = (
            f"{brief(path.name)} is another version than the one that was open when the program ended "
            "unexpectedly. What was not written yet belongs to that one: it was not put into this one, and is kept as "
            f"{brief(kept.name)}."
        )
        return (told,)
    damage = find_damage(path)
    if damage is None:
        return ()
    kept = copy_pair(path)
    told = (
        f"The journal of {brief(path.name)} is damaged: {damage.lost} of {damage.usable + damage.lost} pages "
        "that were saved last cannot be read. The project is open as it was before them; both files are kept "
        f"as {brief(kept.name)}."
    )
    return (told,)
