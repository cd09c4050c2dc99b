"""What a training run leaves on the disk, so that a window that was closed meanwhile finds it again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from annotator.files.atomic import atomic_path, rename_to_free
from annotator.files.children import python_command

_log = logging.getLogger(__name__)

RECORD = "record.json"
_LOCK = "alive"
_LEAST_WINDOWS, _MOST_WINDOWS, _WINDOWS_PER_MINUTE = 24, 400, 40
_LEAST_JUDGED, _MOST_JUDGED, _JUDGED_PER_MINUTE = 12, 60, 12


@dataclass(frozen=True, slots=True)
class Wish:
    """What to train. ``minutes`` bounds the training itself; encoding before and judging after it come on top.

    Attributes:
        model, config, device: of the model in use: registry name or weights file, its sam2 configuration (may be
            empty), where it runs (empty: the best there is).
        folder: of this run alone; a run with the same one goes on from it.
    """

    project: Path
    name: str
    domain: str
    model: str
    minutes: float
    folder: Path
    config: str = ""
    device: str = ""

    @property
    def windows(self) -> int:
        """Training windows. A short training gets fewer, or encoding them would take longer than it does."""
        return round(min(_MOST_WINDOWS, max(_LEAST_WINDOWS, _WINDOWS_PER_MINUTE * self.minutes)))

    @property
    def pieces(self) -> int:
        """All that is encoded: the windows, and those that tell when to stop."""
        return self.windows + max(16, self.windows // 8)

    def command(self) -> list[str]:
        """Nothing is installed by the process: the person sees the figures first. It yields to the window.

        To be started with :func:`~annotator.files.children.child_environment`, in the run's own folder.
        """
        judged = round(min(_MOST_JUDGED, max(_LEAST_JUDGED, _JUDGED_PER_MINUTE * self.minutes)))
        return [
            *python_command("-m", "annotator", "train-adapter", str(self.project.absolute()), "--name", self.name),
            *("--domain", self.domain or self.name, "--model", self.model, "--minutes", f"{self.minutes:g}"),
            *(("--config", self.config) if self.config else ()),
            *(("--device", self.device) if self.device else ()),
            *("--windows", str(self.windows), "--gate-objects", str(judged)),
            *("--work", str(self.folder.absolute()), "--no-install", "--give-way"),
        ]


class Outcome(StrEnum):
    """What became of a run; OPEN until the person has decided, or it has failed and that was reported."""

    OPEN = "open"
    STOPPED = "stopped"
    FAILED = "failed"
    INSTALLED = "installed"
    DISCARDED = "discarded"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as its folder describes it. ``pid`` is of the process (0: not known), ``started_s`` Unix time."""

    wish: Wish
    pid: int
    started_s: float
    outcome: Outcome = Outcome.OPEN

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; true of another program's process never, whatever its id."""
        return _is_held(self.wish.folder)


def write_record(record: RunRecord) -> None:
    """Keep it in the run's folder, whole or not at all.

    Raises:
        OSError
    """
    wish = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(record.wish).items()}
    data = {"wish": wish, "pid": record.pid, "started_s": record.started_s, "outcome": record.outcome.value}
    with atomic_path(record.wish.folder / RECORD, is_durable=False) as partial:
        partial.write_text(json.dumps(data, indent=1), encoding="utf-8")


def new_record(wish: Wish, pid: int) -> RunRecord:
    return RunRecord(wish, pid, time.time())


def open_records(root: Path) -> list[RunRecord]:
    """Runs below ``root`` (root / name / state) whose outcome is open, the newest first."""
    found = [_read(path) for path in root.glob(f"*/*/{RECORD}")]
    wanted = [record for record in found if record is not None and record.outcome is Outcome.OPEN]
    return sorted(wanted, key=lambda record: -record.started_s)


def settle(record: RunRecord, outcome: Outcome) -> None:
    """Say what became of a run, and free what nobody needs any more: a decided run's encoded windows and state.

    Raises:
        OSError
    """
    folder = record.wish.folder
    if outcome is Outcome.DISCARDED:
        shutil.rmtree(folder, ignore_errors=True)
        return
    write_record(replace(record, outcome=outcome))
    if outcome is Outcome.INSTALLED:
        shutil.rmtree(folder / "windows", ignore_errors=True)
        (folder / "run.state").unlink(missing_ok=True)


def clear_siblings(folder: Path) -> None:
    """Free the encoded windows of earlier runs of this name: of other objects, they are of no use to any run."""
    for path in folder.parent.glob(f"*/{RECORD}"):
        if path.parent != folder and not _is_held(path.parent):
            shutil.rmtree(path.parent / "windows", ignore_errors=True)


def _read(path: Path) -> RunRecord | None:
    """None for a file that is none: a torn one must not keep the others from being found."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        wish = data["wish"]
        made = Wish(**{**wish, "project": Path(wish["project"]), "folder": path.parent})
        return RunRecord(made, int(data["pid"]), float(data["started_s"]), Outcome(data["outcome"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is not a record of a training: %s", path, error)
        return None


# --- is it alive? -----------------------------------------------------------------------------------------------------

if sys.platform == "win32":  # pragma: no cover - not run on the systems the tests run on

    @contextmanager
    def held(folder: Path) -> Iterator[tuple[int, ...]]:
        """The process holds its output open, and that is enough: see :func:`_is_held`."""
        if _is_held(folder):
            raise BlockingIOError("a training runs in this folder already")
        yield ()

    def _is_held(folder: Path) -> bool:
        # A file that a process has open for writing cannot be renamed there.
        output = folder / "output.txt"
        try:
            rename_to_free(output, output.with_suffix(".probe"))
            rename_to_free(output.with_suffix(".probe"), output)
        except FileNotFoundError:
            return False
        except PermissionError:
            return True
        return False

else:
    import fcntl

    @contextmanager
    def held(folder: Path) -> Iterator[tuple[int, ...]]:
        """A lock that a process inherits and holds until its end, kill -9 included; gives descriptors to pass on.

        Raises:
            BlockingIOError: a process has it already.
        """
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield (descriptor,)
        finally:
            os.close(descriptor)

    def _is_held(folder: Path) -> bool:
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            # Shared: two who ask at once do not take each other for the process.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
