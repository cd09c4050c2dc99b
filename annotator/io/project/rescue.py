"""A copy of an open project beside the place that another file has taken."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError
from annotator.files.atomic import put_in_place, sync_folder
from annotator.io.project.journal import free_name
from annotator.io.project.schema import copy_database, translated_errors


def rescue_path(project: Path) -> Path:
    """``NAME (rescued 2026-03-01 12.30.00).annot`` beside the project, or a numbered name when that is there."""
    return free_name(project.with_name(f"{project.stem} (rescued {datetime.now():%Y-%m-%d %H.%M.%S}){project.suffix}"))


def rescued_beside(project: Path) -> tuple[str, ...]:
    """A sentence about copies that were rescued when the project was last open, for who did not see it then."""
    begin, end = f"{project.stem} (rescued ", f"){project.suffix}"
    names = sorted(name for name in os.listdir(project.parent) if name.startswith(begin) and name.endswith(end))
    return (
        (f"Beside {brief(project.name)} lies what was rescued when another file took its place: {brief(names[-1])}.",)
        if names
        else ()
    )


def save_rescued(connection: sqlite3.Connection, project: Path) -> Path:
    """Write what the connection knows of the project beside it, and look whether it is whole.

    A file that was written over can only be saved as far as it is in memory: the copy counts when its pages fit
    together and it has every edit.

    Raises:
        ProjectError: it cannot be written, or is not whole.
    """
    target = rescue_path(project)
    partial = target.with_name(f".{target.name}.part")
    with translated_errors(target, "written"):
        try:
            partial.unlink(missing_ok=True)
            copy_database(connection, partial)
            expected = _marks(connection)
            copy = sqlite3.connect(partial, isolation_level=None)
            try:
                answers = copy.execute("PRAGMA quick_check(1)").fetchall()
                is_whole = answers == [("ok",)] and _marks(copy) == expected
            finally:
                copy.close()
            if not is_whole:
                raise ProjectError(
                    f"{brief(project.name)} cannot be rescued: too much of it was only in the file that was "
                    "written over.",
                    "Restore it from a backup copy.",
                )
            put_in_place(partial, target, is_durable=False)
        finally:
            for ending in ("", "-wal", "-shm", "-journal"):
                partial.with_name(f"{partial.name}{ending}").unlink(missing_ok=True)
    sync_folder(target.parent)
    return target


def edit_mark(connection: sqlite3.Connection) -> tuple[object, ...]:
    """Another one after every edit, undo and redo, and when a prompt comes or goes."""
    edits = "(SELECT MAX(seq) FROM edit), (SELECT COUNT(*) FROM edit WHERE undone = 1)"
    in_work = "(SELECT COUNT(*) FROM image_draft), (SELECT TOTAL(length(data)) FROM image_draft)"
    return tuple(connection.execute(f"SELECT {edits}, {in_work}").fetchone())


def _marks(connection: sqlite3.Connection) -> tuple[object, ...]:
    """What two copies of one project have in common."""
    counts = connection.execute("SELECT (SELECT COUNT(*) FROM annotation), (SELECT COUNT(*) FROM image)").fetchone()
    return *edit_mark(connection), *counts
