"""Results kept one JSON line each, so that a long run goes on where it was cut off. Several runs may share a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from annotator.domain.errors import ExportError

Line = dict[str, Any]


def read_lines(path: Path | None, run_key: str) -> list[Line]:
    """What this very run has kept; other runs' lines and a line cut off by a kill are passed over.

    Raises:
        ExportError: the file cannot be read, or is something else (it is left as it is).
    """
    try:
        given = path is not None and path.exists()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path and given else []
    except OSError as error:
        raise ExportError(f"The state {path} cannot be read ({error.strerror}).", "Choose another file.") from error
    kept: list[Line] = []
    readable = 0
    for line in lines:
        try:
            entry = json.loads(line)
            key, result = entry["run"], entry["result"]
        except (ValueError, KeyError, TypeError):
            continue  # a kill in the middle of a write leaves half a line: that result is made again
        readable += 1
        if key == run_key and isinstance(result, dict):
            kept.append(result)
    if len(lines) > 1 and readable == 0:
        raise ExportError(f"{path} is not the state of a study.", "Choose another file: it was left as it is.")
    return kept


@contextmanager
def appending(path: Path | None) -> Iterator[TextIO | None]:
    """The file opened to append to, or None for no file.

    Raises:
        ExportError: it cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        is_torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ExportError(f"The state {path} cannot be written ({error.strerror}).", "Choose another file.") from error
    with stream:
        if is_torn:
            stream.write("\n")
        yield stream


def append(stream: TextIO, run_key: str, result: Line) -> None:
    """Keep a result at once.

    Raises:
        ExportError: the disk does not take it.
    """
    try:
        stream.write(json.dumps({"run": run_key, "result": result}) + "\n")
        stream.flush()
    except OSError as error:
        raise ExportError(f"The state {stream.name} cannot be written ({error.strerror}).") from error
