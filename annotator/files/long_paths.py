"""Paths that are longer than the system allows, in words."""

from __future__ import annotations

import errno
import os

MOVE_IT = "Move it nearer to the root of the disk, or give the folders above it shorter names."


def is_too_long(error: Exception) -> bool:
    """Whether the system refused a path for its length."""
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def too_long(path: str | os.PathLike[str]) -> str:
    """One sentence with a name that fits into it."""
    whole = os.path.abspath(os.fspath(path))
    name = os.path.basename(whole).encode("utf-8", "backslashreplace").decode("utf-8")
    shown = name if len(name) <= 60 else f"{name[:40]}…"
    return f"The path of {shown} is longer than this system allows ({len(os.fsencode(whole))} bytes)."
