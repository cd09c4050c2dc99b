"""Checks of a command's output file, made before the work starts and not after it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from annotator.domain.errors import ExportError
from annotator.io.atomic import export_errors


def check_output(target: Path) -> None:
    """See that ``target`` can be written, without touching it.

    Raises:
        ExportError: its folder is missing or may not be written, or it is a folder or device itself.
    """
    if target.is_dir():
        raise ExportError(f"{target} is a folder.", "Name a file.")
    if target.exists() and not target.is_file():  # a device or a pipe would be replaced, not written to
        raise ExportError(f"{target} is not a plain file.", "Name another one.")
    with export_errors(target), tempfile.TemporaryFile(dir=target.parent):
        pass
