"""Checks of a command's output file, made before the work starts and not after it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

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
        if source and Path(source).exists() and target.exists() and target.samefile(source):
            raise ExportError(f"{target} is what is read: it would be destroyed.", "Choose another name.")
    if is_project_file(target):
        raise ExportError(f"{target.name} is a project file: it would be destroyed.", "Choose another name.")
    if target.is_dir():
        raise ExportError(f"{target} is a folder.", "Name a file.")
    if target.exists() and not target.is_file():  # a device or a pipe would be replaced, not written to
        raise ExportError(f"{target} is not a plain file.", "Name another one.")
    with export_errors(target), tempfile.TemporaryFile(dir=target.parent):
        pass
