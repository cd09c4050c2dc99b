"""Files that only their owner reads: settings, logs, what is cached of images. They name folders, people and studies.

Windows keeps a person's folders to that person by itself; nothing is done there.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

_log = logging.getLogger(__name__)

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make_private_folder(folder: Path, *, is_own: bool = True) -> Path:
    """Make a folder that only its owner can enter, or make one that is there so.

    A folder that cannot be changed (another person's, a drive without permissions) is used as it is.

    Args:
        is_own: whether the program has chosen it. One that the person named keeps its permissions when it is there.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if is_own:
        keep_private(folder)
    return folder


def keep_private(path: Path) -> None:
    """Take other people's permissions away from a file or folder, as far as that is possible; a missing one is none."""
    if os.name != "posix":
        return
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            path.chmod(FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.info("%s stays readable for others: %s", path, error)


def open_private(path: str, flags: int) -> int:
    """An ``opener`` for :func:`open`: new files are their owner's alone."""
    return os.open(path, flags, FILE_MODE)
