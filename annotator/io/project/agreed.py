"""Folders outside of their project's own that the person has agreed to: a stranger's project chooses no folder.

A project names the folder of its images. Below its own folder that is no question. Elsewhere nothing is listed or
opened before the person has agreed to it, once for a project and folder; whoever starts a project or opens a folder
with one has. The list is the person's, beside the settings; a project cannot bring it along.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from annotator.files import places
from annotator.files.atomic import write_atomic
from annotator.files.private import make_private_folder
from annotator.io.settings import Settings

_log = logging.getLogger(__name__)

FILE_NAME = "agreed-folders.json"
KEPT = 2000
"""Newest entries that are kept."""
_lock = threading.Lock()
_here: set[tuple[str, str]] = set()
"""Agreed to in this run of the program, also where it could not be written."""
_allowed: set[str] = set()


def begin() -> None:
    """Make the list when there is none yet: what the person has had open until now is no stranger's. The window calls
    it before it opens anything."""
    with _lock:
        _read()


def list_path() -> Path:
    """Where the list lies."""
    return places.state_dir() / FILE_NAME


def is_own(project: Path, root: Path, *, named: Path | None = None) -> bool:
    """Whether a folder of images is the project file's own folder, or below it.

    Args:
        named: the path that the person gave, where that is a link to ``project``.
    """
    real = _real(root)
    own = {_real(path.parent) for path in (project, named) if path is not None}
    return any(real == place or real.startswith(place.rstrip(os.sep) + os.sep) for place in own)


def is_agreed(project: Path, root: Path) -> bool:
    """Whether the person has agreed to this folder. A project from before there was this question is asked about
    nothing: it was open here already."""
    pair = (_real(project), _real(root))
    with _lock:
        if pair in _here:
            return True
        agreed, before = _read()
        if pair in agreed:
            return True
        if pair[1] not in _allowed and pair[0] not in before:
            return False
        _write([*agreed, pair], [path for path in before if path != pair[0]])
        _here.add(pair)
        return True


def agree(project: Path, root: Path) -> None:
    """The person wants this project to read images there. Where it cannot be written it holds until the end."""
    if is_own(project, root):
        return
    pair = (_real(project), _real(root))
    with _lock:
        _here.add(pair)
        agreed, before = _read()
        if pair not in agreed:
            _write([*agreed, pair], before)


def inherit(project: Path, root: Path, copy: Path) -> None:
    """What was agreed to for a project holds for a copy that the program has made of it."""
    if not is_own(copy, root) and (is_own(project, root) or is_agreed(project, root)):
        agree(copy, root)


def allow(folder: Path) -> None:
    """The person has named this folder: in this run every project may have its images there."""
    with _lock:
        _allowed.add(_real(folder))


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _read() -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs that were agreed to, and projects from before there was a list. One that is damaged agrees to nothing."""
    try:
        found = json.loads(list_path().read_bytes())
        pairs = [(str(project), str(root)) for project, root in found["agreed"]]
        return pairs, [str(path) for path in found["before"]]
    except FileNotFoundError:
        before = _opened_before()
        _write([], before)
        return [], before
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        _log.warning("%s cannot be read: %s", list_path(), error)
        return [], []


def _opened_before() -> list[str]:
    """The projects that this person has had open: those of folders are in their own."""
    return [_real(Path(place)) for place in Settings.load().get("recent_folders") if os.path.isfile(place)]


def _write(agreed: Iterable[tuple[str, str]], before: list[str]) -> None:
    document: dict[str, Any] = {"agreed": [list(pair) for pair in agreed][-KEPT:], "before": before}
    place = list_path()
    try:
        make_private_folder(place.parent, is_own=not places.is_named("state"))
        write_atomic(place, json.dumps(document, indent=1).encode("ascii"), is_private=True)
    except OSError as error:
        _log.warning("%s cannot be written: %s", place, error)
