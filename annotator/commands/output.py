"""Checks of a command's output file, made before the work starts and not after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.files.atomic import export_errors
from annotator.io.project.place import is_project_file


def check_output(target: Path, *, sources: Iterable[str | Path | None] = ()) -> None:
    """See that ``target`` can be written, without touching it.

    Args:
        sources: files that the work reads, as far as there are such files.

    Raises:
        ExportError: its folder is missing or may not be written, or it is a folder, a device, a project file or
            one of the ``sources``.
    """
    for source in sources:
        if source and os.path.exists(source) and os.path.exists(target) and target.samefile(source):
            raise ExportError(f"{brief(target)} is what is read: it would be destroyed.", "Choose another name.")
    if is_project_file(target):
        raise ExportError(f"{brief(target.name)} is a project file: it would be destroyed.", "Choose another name.")
    if os.path.isdir(target):
        raise ExportError(f"{brief(target)} is a folder.", "Name a file.")
    if os.path.exists(target) and not os.path.isfile(target):  # a device or a pipe would be replaced, not written to
        raise ExportError(f"{brief(target)} is not a plain file.", "Name another one.")
    with export_errors(target), tempfile.TemporaryFile(dir=target.parent), suppress(FileNotFoundError):
        target.stat()  # a name that this system does not allow
