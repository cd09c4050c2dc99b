"""Where project files lie, who may write them, and what a new one begins with."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from annotator.domain.errors import ProjectError, ProjectReadOnlyError
from annotator.domain.palette import next_colour
from annotator.domain.project import Category
from annotator.io.store_lock import ProjectLock, describe_owner
from annotator.io.store_schema import COLUMNS, column_value

_log = logging.getLogger(__name__)

SUFFIX = ".annot"
DEFAULT_CATEGORY = "object"
NAME_A_PLACE = "Name another place for the project file."


def default_project_path(folder: Path) -> Path:
    """Where a folder's project is put when nothing else is said."""
    return folder / f"{folder.resolve().name or 'project'}{SUFFIX}"


def find_project(folder: str | os.PathLike[str]) -> Path | None:
    """The project file in a folder: named like the folder, else the only one there (the folder was renamed); or None.

    Raises:
        ProjectError: there are several, and none has the folder's name.
    """
    root = Path(folder).absolute()
    wanted = default_project_path(root)
    if wanted.is_file():
        return wanted
    others = sorted(path for path in root.glob(f"*{SUFFIX}") if path.is_file() and not path.name.startswith("."))
    if len(others) > 1:
        names = ", ".join(path.name for path in others[:4])
        raise ProjectError(f"{root.name} holds several projects ({names}).", "Open one of them by its name.")
    return others[0] if others else None


def take_lock(file: Path, author: str, *, is_new: bool = False) -> tuple[ProjectLock | None, str, tuple[str, ...]]:
    """The writer's lock, or why there is none, and sentences for the person."""
    writable = os.access(file.parent, os.W_OK) and (is_new or os.access(file, os.W_OK))
    if not writable:
        return None, "The file or its folder cannot be written.", ()
    try:
        lock = ProjectLock.acquire(file, author=author)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return None, "Its folder cannot be written.", ()
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            return None, "", ("This drive has no locks: make sure that nobody else opens the same project.",)
        raise ProjectError(
            f"{file.name} cannot be opened ({error.strerror}).", "Check the disk and the folder."
        ) from error
    if lock is None:
        return None, f"It is open in another program: {describe_owner(file)}.", ()
    return lock, "", ()


def unwritable(path: Path) -> ProjectReadOnlyError:
    return ProjectReadOnlyError(
        f"The folder {path.parent} cannot be written, so no project can start there.", NAME_A_PLACE
    )


def write_first_rows(connection: sqlite3.Connection, path: Path, image_root: Path) -> None:
    first = Category(1, DEFAULT_CATEGORY, next_colour(()), 1)
    values = tuple(column_value(first, name) for name in COLUMNS["category"])
    connection.execute("INSERT INTO category VALUES (?, ?, ?, ?, ?)", values)
    connection.execute("UPDATE sequence SET next = 2 WHERE kind = 'category'")
    rows = [*root_rows(path, image_root), ("created_at", now_text())]
    connection.executemany("INSERT INTO meta(k, v) VALUES (?, ?)", rows)


def root_rows(path: Path, image_root: Path) -> list[tuple[str, str]]:
    rows = [("image_root_absolute", str(image_root))]
    try:
        rows.append(("image_root", os.path.relpath(image_root, path.parent).replace(os.sep, "/")))
    except ValueError as error:  # another drive on Windows
        _log.debug("no relative way to the images: %s", error)
    return rows


def now_text() -> str:
    """UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
