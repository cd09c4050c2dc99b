"""Exports of many files: made beside their place, and put there when they are complete."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.files.atomic import put_in_place
from annotator.io.project.place import is_project_file


def check_folder(target: Path) -> None:
    """Raises:
    ExportError: it is a file, or has a project's name.
    """
    if is_project_file(target) or (target.exists() and not target.is_dir()):
        raise ExportError(f"{brief(target)} is a file, or the name of a project.", "Name a folder.")


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
        yield Path(name)


def put_files(made: Path, target: Path, *, is_last: Callable[[Path], bool] = lambda _file: False) -> None:
    """Each file replaces the one of its name; those that ``is_last`` says come last."""
    for file in sorted(filter(Path.is_file, made.rglob("*")), key=lambda path: (is_last(path), path)):
        place = target / file.relative_to(made)
        place.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(file, place, is_durable=False)
