"""Where project files lie, who may write them, and what a new one begins with."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectElsewhereError, ProjectError, ProjectReadOnlyError
from annotator.domain.palette import next_colour
from annotator.domain.project import Category
from annotator.files.atomic import rename_to_free, sync_folder
from annotator.io.images.listing import is_text
from annotator.io.project.connect import connect_reader, connect_writer
from annotator.io.project.identity import TOKEN_KEY, new_token
from annotator.io.project.lock import ProjectLock, describe_owner, lock_path
from annotator.io.project.path_limits import MOST_NAME_BYTES, NAME_A_PLACE, check_place, check_reach
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.schema import COLUMNS, check_version, column_value, create_tables, transaction

_log = logging.getLogger(__name__)

SUFFIX = ".annot"
SIDE_FILES = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to a project file's name."""
DEFAULT_CATEGORY = "object"


def default_project_path(folder: Path) -> Path:
    """Where a folder's project is put when nothing else is said."""
    return folder / f"{folder.resolve().name or 'project'}{SUFFIX}"


def new_project_path(folder: Path) -> Path:
    """Where a folder's project can start, beside its images.

    Raises:
        ProjectReadOnlyError: the folder cannot be written, or its name is too long for that: name another place.
    """
    path = default_project_path(folder)
    check_place(path)
    if not os.access(path.parent, os.W_OK):
        raise unwritable(path)
    return path


def check_text(folder: Path) -> None:
    """Raises:
    ProjectError: the folder's path cannot be written down, so that no project could find its images again.
    """
    if not is_text(str(folder)):
        raise ProjectError(f"The path {brief(str(folder))!a} is not valid text.", "Rename that folder to use it.")


def check_folder(folder: Path) -> None:
    """Raises:
    ProjectError: there is no such folder, its path is too long, or its name cannot stand in a project.
    """
    check_reach(folder)
    try:
        is_folder = folder.is_dir()
    except (OSError, ValueError):  # a name that is longer than any
        is_folder = False
    name = str(folder).encode("utf-8", "backslashreplace").decode("utf-8")
    if not is_folder:
        raise ProjectError(f"There is no folder {brief(name)}.", "Check the name.")
    if name != str(folder).encode("utf-8", "surrogateescape").decode("utf-8", "replace"):
        raise ProjectError(
            f"The name of the folder {brief(name)} is not valid text (UTF-8).", "Rename the folder, then open it."
        )


def is_project_file(path: Path) -> bool:
    """Whether a name is that of a project file, or of what SQLite keeps beside one."""
    name = path.name.lower()
    return any(name.endswith(f"{SUFFIX}{ending}") for ending in SIDE_FILES)


def find_project(folder: str | os.PathLike[str]) -> Path | None:
    """The project file in a folder: named like the folder, else the only one there (the folder was renamed); or None.

    One of another name whose images lie in another folder is only kept here, and is not meant.

    Raises:
        ProjectError: there are several, and none has the folder's name.
    """
    root = Path(folder).absolute()
    wanted = default_project_path(root)
    if os.path.isfile(wanted):  # false also for a name that is too long for this system
        return wanted
    named = [name for name in os.listdir(root) if name.endswith(SUFFIX) and not name.startswith(".")]
    others = sorted(path for path in map(root.joinpath, named) if path.is_file())
    others = [path for path in others if not belongs_elsewhere(images_of(path), root)]
    if len(others) > 1:
        names = ", ".join(path.name for path in others[:4])
        raise ProjectError(
            f"{brief(root.name)} holds several projects ({brief(names)}).", "Open one of them by its name."
        )
    return others[0] if others else None


def images_of(project: Path) -> Path | None:
    """The folder of images that a project file names; None when it cannot be read, which opening it will tell."""
    try:
        connection = connect_reader(project.resolve())
        try:
            check_version(connection, project)
            return ProjectQueries(connection, project.resolve(), named=project.absolute()).image_root
        finally:
            connection.close()
    except (ProjectError, sqlite3.DatabaseError, UnicodeDecodeError, OSError) as error:
        _log.debug("%s does not say where its images are: %r", project, error)
        return None


def belongs_elsewhere(images: Path | None, folder: Path) -> bool:
    """Whether a project's images are in another folder than this one. A folder that is gone was moved or renamed."""
    return images is not None and os.path.isdir(images) and not images.samefile(folder)


def elsewhere(project: Path, images: Path) -> ProjectElsewhereError:
    return ProjectElsewhereError(f"{brief(project.name)} belongs to the folder {brief(images)}.", NAME_A_PLACE)


def free_place(parent: Path, folder: Path) -> Path:
    """A name for a folder's project in another folder: one that is free, or that has the project of this very folder.

    Folders of the same name (patient1/images, patient2/images) get files of different names.
    """
    name, number = shortened_name(folder.name or "project", most_bytes=MOST_NAME_BYTES - 16), 1
    while True:
        place = parent / f"{name}{SUFFIX}" if number == 1 else parent / f"{name}-{number}{SUFFIX}"
        if not place.exists():
            return place
        images = images_of(place)
        if images is not None and os.path.isdir(images) and images.samefile(folder):
            return place
        number += 1


def shortened_name(name: str, *, most_bytes: int) -> str:
    """A name cut off after whole letters, as many as fit into so many bytes."""
    return os.fsencode(name)[:most_bytes].decode("utf-8", "ignore")


def take_lock(file: Path, author: str, *, is_new: bool = False) -> tuple[ProjectLock | None, str, tuple[str, ...]]:
    """The writer's lock, or why there is none, and sentences for the person."""
    writable = os.access(file.parent, os.W_OK) and (is_new or os.access(file, os.W_OK))
    if not writable:
        return None, "The file or its folder cannot be written.", ()
    try:
        lock = ProjectLock.acquire(file, author=author)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return None, "The disk is full.", ()
        if error.errno in (errno.EACCES, errno.EPERM) and lock_path(file).exists():
            reason = f"{lock_path(file).name} beside it is somebody else's: remove it when nobody has the project open."
            return None, reason, ()
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return None, "Its folder cannot be written.", ()
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            return None, "", ("This drive has no locks: make sure that nobody else opens the same project.",)
        raise ProjectError(
            f"{brief(file.name)} cannot be opened ({error.strerror}).", "Check the disk and the folder."
        ) from error
    if lock is None and not lock_path(file).exists():
        return None, "It is open in another program under another name: the file has several (hard links).", ()
    if lock is None:
        return None, f"It is open in another program: {describe_owner(file)}.", ()
    return lock, "", ()


def unwritable(path: Path) -> ProjectReadOnlyError:
    return ProjectReadOnlyError(
        f"The folder {brief(path.parent)} cannot be written, so no project can start there.", NAME_A_PLACE
    )


def make_project_file(path: Path, image_root: Path) -> None:
    """A project with one class and no images, there as a whole or not at all. The caller holds its lock.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    # A kill in the middle must leave nothing under the project's name; what it leaves under this one is replaced.
    partial = path.with_name(f".{path.name}.new")
    try:
        for left in _with_side_files(partial):
            left.unlink(missing_ok=True)
        connection, _ = connect_writer(partial, create=True)
        try:
            with transaction(connection):
                create_tables(connection)
                _write_first_rows(connection, path, image_root)
        finally:
            connection.close()
        rename_to_free(partial, path)
    except BaseException:
        for left in _with_side_files(partial):
            left.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _with_side_files(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in SIDE_FILES]


def _write_first_rows(connection: sqlite3.Connection, path: Path, image_root: Path) -> None:
    first = Category(1, DEFAULT_CATEGORY, next_colour(()), 1)
    values = tuple(column_value(first, name) for name in COLUMNS["category"])
    connection.execute("INSERT INTO category VALUES (?, ?, ?, ?, ?)", values)
    connection.execute("UPDATE sequence SET next = 2 WHERE kind = 'category'")
    rows = [*root_rows(path, image_root), ("created_at", now_text()), (TOKEN_KEY, new_token())]
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
