"""Paths that are longer than the system allows, in words."""

from __future__ import annotations

import errno
import os

from annotator.domain.brevity import brief

MOVE_IT = "Move it nearer to the root of the disk, or give the folders above it shorter names."


def is_too_long(error: Exception) -> bool:
    """Whether the system refused a path for its length."""
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def too_long(path: str | os.PathLike[str]) -> str:
    """One sentence with a name that fits into it."""
    whole = os.path.abspath(os.fspath(path))
    count = len(os.fsencode(whole))
    return f"The path of {brief(os.path.basename(whole))} is longer than this system allows ({count} bytes)."
