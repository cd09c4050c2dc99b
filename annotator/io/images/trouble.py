"""Files that ended their reader: remembered from one start to the next, so that nobody waits for them again.

A file counts as another one when its size or time has changed, and so does the same file after the program or a
decoder was updated. What cannot be remembered or looked up (a full disk, a damaged list) is no reason not to read.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.files import places
from annotator.files.atomic import write_atomic
from annotator.files.private import make_private_folder

_log = logging.getLogger(__name__)

TOO_SLOW, CRASHED = "too slow", "crashed"
FILE_NAME = "unreadable-images.json"
KEPT = 1000
"""Newest entries that are kept."""
_DECODERS = ("annotator", "pillow", "tifffile", "imagecodecs", "opencv-python-headless", "pydicom", "python-gdcm")
_lock = threading.Lock()
_known: dict[str, Any] | None = None
_read_from: tuple[Path, int] | None = None


def error(name: str, why: str, cpu_s: float) -> ImageError:
    """What a reader's end means for the person, when it has just happened."""
    if why == TOO_SLOW:
        message = f"{brief(name)} is damaged: reading it takes more than {cpu_s:.0f} seconds of computing."
    else:
        message = f"{brief(name)} is damaged: it ended the process that reads images."
    return ImageError(message, "Copy it again from where it came from, or take it out of the folder.")


def remember(path: str, what: str, why: str) -> None:
    """The file has ended its reader when it was asked for ``what``."""
    stamp = _stamp(path)
    if stamp is None:
        return
    with _lock:
        known = _load()
        known.pop(path, None)
        known[path] = {"file": stamp, "asked": what, "why": why, "versions": decoder_versions()}
        while len(known) > KEPT:
            del known[next(iter(known))]
        place = list_path()
        try:
            make_private_folder(place.parent, is_own=not places.is_named("state"))
            write_atomic(place, json.dumps(known, indent=1).encode("ascii"), is_private=True)
        except OSError as error:
            _log.warning("it cannot be remembered that %s ends its reader: %s", path, error)


def check(path: str, what: str) -> None:
    """Before a file is asked for ``what``. The size of a picture that cannot be decoded is still reported.

    Raises:
        ImageError: it ended its reader the last time, and has not changed since.
    """
    with _lock:
        entry = _load().get(path)
    if not isinstance(entry, dict) or entry.get("file") != _stamp(path) or entry.get("versions") != decoder_versions():
        return
    if what == "size" != entry.get("asked"):
        return
    did = "took too long to read" if entry.get("why") == TOO_SLOW else "ended the process that reads images"
    raise ImageError(
        f"{brief(os.path.basename(path))} is skipped: it {did} the last time.",
        f"Replace it with a sound copy; to try this one again, delete {list_path()}.",
    )


def list_path() -> Path:
    """Where the list lies."""
    return places.state_dir() / FILE_NAME


def _load() -> dict[str, Any]:
    """The list; read again when another program has written it."""
    global _known, _read_from
    place = list_path()
    try:
        seen = place, place.stat().st_mtime_ns
    except OSError:
        seen = place, 0
    if _known is None or seen != _read_from:
        _known, _read_from = {}, seen
        if seen[1]:
            try:
                found = json.loads(place.read_bytes())
                _known = found if isinstance(found, dict) else {}
            except (OSError, ValueError) as error:
                _log.warning("the list of unreadable images %s cannot be used: %s", place, error)
    return _known


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def decoder_versions() -> str:
    """Of the program and its decoders, as they are installed."""
    found = []
    for name in _DECODERS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
