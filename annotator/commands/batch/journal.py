"""What a batch has finished: a line an image, on the disk before the next one counts.

The file is only ever added to. What a kill leaves half written at its end is cut off when it is opened again, so an
image is in it as a whole or not at all; of an image that is there twice the last line counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from annotator.commands.precision_option import precision_in
from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError, ImportFormatError
from annotator.files.atomic import export_errors, sync, sync_folder

_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Line:
    """Where an image's line begins, and what is asked of it often."""

    at: int
    stamp: tuple[int, ...]
    has_failed: bool


class Journal:
    """The lines of one file; of them only places are held in memory.

    Args:
        about: what the answers depend on: model, settings, prompts. JSON data.
    """

    def __init__(
        self,
        path: Path,
        about: Mapping[str, Any],
        lines: dict[str, _Line],
        *,
        reader: BinaryIO,
        writer: BinaryIO | None = None,
    ) -> None:
        """Use :func:`open_journal` or :func:`read_journal`."""
        self.path, self.about = path, dict(about)
        self._lines, self._reader, self._writer = lines, reader, writer

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def stamp(self, key: str) -> tuple[int, ...]:
        """Size and time of the image's file when it was read; KeyError for one that is not there."""
        return self._lines[key].stamp

    def has_failed(self, key: str) -> bool:
        """Whether the image could not be asked for; false for one that is not there."""
        return key in self._lines and self._lines[key].has_failed

    def row(self, key: str) -> dict[str, Any]:
        """The image's line, read from the disk; KeyError for one that is not there."""
        self._reader.seek(self._lines[key].at)
        row: dict[str, Any] = json.loads(self._reader.readline())
        return row

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a line (``key``, ``stamp`` and what else is known) and wait until it is on the disk.

        Raises:
            ExportError: it cannot be written; the lines before it are whole.
        """
        assert self._writer is not None
        at = self._writer.seek(0, os.SEEK_END)
        try:
            with export_errors(self.path):
                _write(self._writer, row)
        except ExportError:
            with suppress(OSError):  # the next opening cuts it off, too
                self._writer.truncate(at)
            raise
        self._lines[str(row["key"])] = _line(row, at)


@contextmanager
def open_journal(path: Path, about: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal to write to, made when it is not there. Nobody else may write to it meanwhile.

    Raises:
        ExportError: it cannot be written, another run writes to it, or it is about other settings.
    """
    with export_errors(path):
        place = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    # Unbuffered: what could not be written is not tried again when the file is closed.
    with open(place, "r+b", buffering=0) as raw, path.open("rb") as reader:
        writer = cast(BinaryIO, raw)
        _lock(writer, path)
        found, lines, whole = _read(reader)
        wanted = json.loads(json.dumps(about))
        if whole and found != wanted and not (is_same_work(found, wanted) and not precision_in(found)):
            raise ExportError(
                f"{brief(path)} is of a batch with another model, other settings or other prompts.",
                "Name another folder for --out, or delete that file to begin anew.",
            )
        with export_errors(path):
            writer.truncate(whole)
            writer.seek(whole)
            if not whole:
                _write(writer, {"batch": _VERSION, "about": wanted})
                sync_folder(path.parent)
        yield Journal(path, wanted, lines, reader=reader, writer=writer)


@contextmanager
def read_journal(path: Path) -> Iterator[Journal]:
    """A journal to read from; it stays as it is.

    Raises:
        ImportFormatError: it cannot be read, or is none.
    """
    try:
        reader: BinaryIO = path.open("rb")
    except OSError as error:
        raise ImportFormatError(
            f"{brief(path)} cannot be read ({error.strerror}).", "Check its permissions."
        ) from error
    with reader:
        about, lines, _ = _read(reader)
        if about is None:
            raise ImportFormatError(f"{brief(path)} is not the journal of a batch.", "Take it out of that folder.")
        yield Journal(path, about, lines, reader=reader)


def read_about(path: Path) -> Any:
    """What a journal is about; None where there is none."""
    try:
        with path.open("rb") as reader:
            row = _parsed(reader.readline())
    except OSError:
        return None
    return row.get("about") if row.get("batch") == _VERSION else None


def is_same_work(one: Any, other: Any) -> bool:
    """Whether answers belong together, also where they were made in different arithmetic."""
    return bool(_without_precision(one) == _without_precision(other))


def merged_about(abouts: Sequence[Any]) -> Any:
    """Of journals that are the same work; says so on standard error where their arithmetic differs."""
    found = sorted({name for about in abouts if (name := precision_in(about))})
    if len(found) < 2:
        return abouts[0]
    print(
        f"annotator: shards were made in {' and '.join(found)}: their masks may differ by some pixels from those of "
        "one run. With --precision fp32 on every machine they do not.",
        file=sys.stderr,
    )
    return {**abouts[0], "info": {**abouts[0]["info"], "precision": ", ".join(found)}}


def _without_precision(about: Any) -> Any:
    info = about.get("info") if isinstance(about, dict) else None
    if not isinstance(info, dict):
        return about
    return {**about, "info": {name: value for name, value in info.items() if name != "precision"}}


def _read(reader: BinaryIO) -> tuple[Any, dict[str, _Line], int]:
    """What the journal is about (None: no header), its lines, and up to which byte they are whole."""
    about: Any = None
    lines: dict[str, _Line] = {}
    whole = 0
    for line in reader:
        if not line.endswith(b"\n"):
            break
        at, whole = whole, whole + len(line)
        row = _parsed(line)
        if at == 0:
            about = row.get("about") if row.get("batch") == _VERSION else None
        elif isinstance(row.get("key"), str):
            lines[row["key"]] = _line(row, at)
    return about, lines, whole


def _write(stream: BinaryIO, row: Mapping[str, Any]) -> None:
    # ASCII, so that names that are no valid text come back as they were.
    left = memoryview(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
    while left:  # a disk that is nearly full takes a part
        left = left[stream.write(left) :]
    sync(stream)


def _parsed(line: bytes) -> dict[str, Any]:
    """Empty for a damaged line: its image is asked for again."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _line(row: Mapping[str, Any], at: int) -> _Line:
    stamp = row.get("stamp")
    return _Line(at, tuple(stamp) if isinstance(stamp, list | tuple) else (), "error" in row)


def _lock(stream: BinaryIO, path: Path) -> None:
    """Until the stream is closed, or the process is gone. Not on Windows, where two runs would both do the work."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ExportError(f"Another batch writes to {brief(path)}.", "Wait for it, or name another folder.") from error
    except OSError:  # a network drive without locks
        return
