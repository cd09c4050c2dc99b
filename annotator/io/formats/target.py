"""Where an export must not be written: it would take the place of what it is made from."""

from __future__ import annotations

import os
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.io.images.reading import is_supported
from annotator.io.project.place import is_project_file

_ANOTHER = "Choose another name, such as objects.json."


def check_target(target: Path, *, project: Path) -> None:
    """Raises:
    ExportError: ``target`` is the project, a file of another project, or an image.
    """
    if is_project_file(target) or (os.path.exists(target) and target.samefile(project)):
        raise ExportError(f"{brief(target.name)} is a project file: an export would destroy it.", _ANOTHER)
    if not os.path.isdir(target) and is_supported(target):
        raise ExportError(f"{brief(target.name)} is an image by its name or content; an export is none.", _ANOTHER)
