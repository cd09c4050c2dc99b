"""Paths that are too long for a project file, or for the system: said by name before anything is made or opened."""

from __future__ import annotations

import os
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError, ProjectReadOnlyError
from annotator.files.long_paths import MOVE_IT, is_too_long, too_long

MOST_NAME_BYTES = 210
"""Of a new project file: systems allow 255, and the names of what is kept beside it (journals, rescued copies) are up
to 45 longer."""
MOST_OPEN_PATH_BYTES = 504
"""SQLite opens no longer path on Linux and macOS: it keeps 512 bytes, with the name of the journal."""
MOST_PATH_BYTES = MOST_OPEN_PATH_BYTES - 45
NAME_A_PLACE = "Name another place for the project file."


def check_place(path: Path) -> None:
    """Before a project is made there.

    Raises:
        ProjectReadOnlyError: name or path is too long for a project file and the files that are kept beside it.
    """
    if len(os.fsencode(path.name)) > MOST_NAME_BYTES:
        raise ProjectReadOnlyError(f"The name {brief(path.name)} is too long for a project file.", NAME_A_PLACE)
    if (count := _path_bytes(path)) > MOST_PATH_BYTES:
        most = f"{count} bytes, {MOST_PATH_BYTES} are possible"
        text = f"The path of {brief(path.name)} is too long for a project file: {most}."
        raise ProjectReadOnlyError(text, NAME_A_PLACE)


def check_can_open(path: Path) -> None:
    """Before a project that is there is opened, for example after its folder was moved.

    Raises:
        ProjectError: its path is too long for that.
    """
    if (count := _path_bytes(path)) > MOST_OPEN_PATH_BYTES:
        text = f"The path of {brief(path.name)} is too long: {count} bytes, {MOST_OPEN_PATH_BYTES} are possible."
        raise ProjectError(text, MOVE_IT)


def check_reach(folder: Path) -> None:
    """Raises:
    ProjectError: the system reaches no folder by so long a path.
    """
    try:
        os.stat(folder)
    except (OSError, ValueError) as error:
        if is_too_long(error):
            raise ProjectError(too_long(folder), MOVE_IT) from error


def _path_bytes(path: Path) -> int:
    """As SQLite counts: links are followed. Zero on Windows, where it takes what the system takes."""
    return len(os.fsencode(os.path.realpath(path))) if os.name == "posix" else 0
