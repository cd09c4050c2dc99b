"""What an evaluation keeps while it runs: a line per finished item, and whose line it is.

Several sets, models and adapters may share one file: every line names the run that it belongs to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.ports.engine import Adaptable, Segmenter

if TYPE_CHECKING:
    from annotator.engine.sam2.adapted_decoder import Adapter

_T = TypeVar("_T")


def adapter_in(segmenter: Segmenter) -> Adapter | None:
    """The prompt adapter that an engine decodes with, if it takes one and has one."""
    return segmenter.adapter if isinstance(segmenter, Adaptable) else None


def model_name(segmenter: Segmenter) -> str:
    """What is judged, for tables: "nano", "nano + nuclei"."""
    adapter = adapter_in(segmenter)
    return segmenter.info.name if adapter is None else f"{segmenter.info.name} + {adapter.info.name}"


def engine_parts(segmenter: Segmenter) -> tuple[object, ...]:
    """Everything of an engine that decides its answers, with the adapter in use."""
    info = segmenter.info
    parts = (type(segmenter).__name__, info.name, info.sha256, info.device, info.dtype, info.image_size)
    adapter = adapter_in(segmenter)
    return parts if adapter is None else (*parts, adapter_digest(adapter))


def adapter_digest(adapter: Adapter) -> str:
    """SHA-256 of an adapter's shape and weights: the same whatever its file is called."""
    digest = hashlib.sha256(json.dumps(dict(adapter.info.config), sort_keys=True).encode())
    for name, tensor in sorted(adapter.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def run_key(*parts: object) -> str:
    """Names a run by everything that decides an item's result."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


_LINE = '{"run": "'
"""How every line of a state begins, also one that a kill cut off."""


def read_state(path: Path | None, key: str, make: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    """Finished items of this very run; other runs' lines and a line cut off by a kill are passed over.

    Args:
        path: None or missing: nothing is finished.
        make: an item from its JSON; what it cannot take (ValueError, KeyError, TypeError) is simply done again.

    Raises:
        ExportError: the file cannot be read, or is somebody else's.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines() if path is not None and path.exists() else []
    except OSError as error:
        raise ExportError(
            f"The state {brief(path)} cannot be read ({error.strerror}).", "Choose another file."
        ) from error
    done: list[_T] = []
    readable = 0
    for line in lines:
        try:
            entry = json.loads(line)
            if entry["run"] == key:
                done.append(make(entry["result"]))
        except (ValueError, KeyError, TypeError):
            # A kill in the middle of a write leaves half a line: that item is simply done again.
            continue
        readable += 1
    is_state = not lines or lines[0].startswith(_LINE[: len(lines[0])])
    if not is_state or (len(lines) > 1 and readable == 0):
        raise ExportError(
            f"{brief(path)} is not the state of an evaluation.", "Choose another file: it was left as it is."
        )
    return done


@contextmanager
def appending(path: Path | None) -> Iterator[TextIO | None]:
    """The state open for more lines; None without a path.

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
        raise ExportError(
            f"The state {brief(path)} cannot be written ({error.strerror}).", "Choose another file."
        ) from error
    try:
        if is_torn:
            stream.write("\n")
        yield stream
    finally:
        _close(stream)


def _close(stream: TextIO) -> None:
    """Close the state; what could not be written is tried once more then, and fails once more."""
    try:
        stream.close()
    except OSError as error:
        raise _full(stream, error) from error


def _full(stream: TextIO, error: OSError) -> ExportError:
    return ExportError(
        f"The state {brief(stream.name)} cannot be written ({error.strerror}).",
        "Make room and run the same again: it goes on from what is there.",
    )


def append(stream: TextIO, key: str, result: Mapping[str, Any]) -> None:
    """Add a finished item.

    Raises:
        ExportError: it cannot be written.
    """
    try:
        stream.write(json.dumps({"run": key, "result": dict(result)}) + "\n")
        stream.flush()
    except OSError as error:
        raise _full(stream, error) from error
