"""Training an adapter from the open project: a process of its own, followed through the files that it writes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.domain.errors import UserError

POLL_MS = 500
DECIDING = "bIoU, all"
_LAST_BYTES = 4000
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to train. ``minutes`` bounds the training itself; encoding before and judging after it come on top."""

    project: Path
    name: str
    domain: str
    model: str
    minutes: float
    folder: Path

    def command(self) -> list[str]:
        """Nothing is installed by the process: the person sees the figures first."""
        return [
            *(sys.executable, "-m", "annotator", "train-adapter", str(self.project), "--name", self.name),
            *("--domain", self.domain or self.name, "--model", self.model, "--minutes", f"{self.minutes:g}"),
            *("--work", str(self.folder), "--no-install"),
        ]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. Curves are (minutes, value); ``rows`` the gate's, once it has judged."""

    loss: Points = ()
    validation: Points = ()
    line: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def minutes(self) -> float:
        return self.loss[-1][0] if self.loss else 0.0

    @property
    def is_better(self) -> bool:
        """Whether the adapter beats its base on boundary IoU."""
        return any(row["measure"] == DECIDING and row["difference"]["mean"] > 0 for row in self.rows)


def read_standing(folder: Path, output: Path) -> Standing:
    """What the files of a run say now; files that are not there yet say nothing."""
    rows: Sequence[Mapping[str, Any]] = ()
    gate = folder / "gate.json"
    if gate.is_file():
        rows = json.loads(gate.read_text(encoding="utf-8"))["held back"]["rows"]
    return Standing(
        _column(folder / "run.csv", "loss"),
        _column(folder / "run.validation.csv", "mean"),
        _last_line(output),
        tuple(rows),
    )


class TrainingRun(QObject):
    """One run. It goes on when the window is closed; the files stay, and a run of the same name goes on from them."""

    changed = Signal()
    ended = Signal(int)
    """The process's exit code; 0 when there are figures."""

    def __init__(self, wish: Wish, parent: QObject | None = None, *, command: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self.wish = wish
        self.standing = Standing()
        self.was_cancelled = False
        self._command = list(command or wish.command())
        self._process: subprocess.Popen[bytes] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._look)

    @property
    def output(self) -> Path:
        return self.wish.folder / "output.txt"

    @property
    def candidate(self) -> Path:
        return self.wish.folder / "candidate.safetensors"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start the process.

        Raises:
            UserError: its folder cannot be written.
        """
        try:
            self.wish.folder.mkdir(parents=True, exist_ok=True)
            # Figures of an earlier run must not pass for this one's.
            (self.wish.folder / "gate.json").unlink(missing_ok=True)
            with self.output.open("wb") as output:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    start_new_session=True,
                )
        except OSError as error:
            raise UserError(f"The training could not be started: {error.strerror}.", "Check the disk.") from error
        self._timer.start()

    def cancel(self) -> None:
        """Stop the process; what it has learned stays in its folder."""
        if self._process is not None:
            self.was_cancelled = True
            self._process.terminate()

    def let_go(self) -> None:
        """The window closes: the process goes on alone."""
        self._timer.stop()
        if self._process is not None and self._process.poll() is None:
            # Nobody will ask for its end any more: without this Python warns of a process that it has lost.
            self._process.returncode = 0
        self._process = None

    def _look(self) -> None:
        process = self._process
        code = None if process is None else process.poll()
        found = read_standing(self.wish.folder, self.output)
        if found != self.standing:
            self.standing = found
            self.changed.emit()
        if process is not None and code is not None:
            self._timer.stop()
            self._process = None
            self.ended.emit(code)


def _column(path: Path, name: str) -> Points:
    """(minutes, value) of a log; a line that is still being written is left out."""
    if not path.is_file():
        return ()
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                found.append((float(row["minutes"]), float(row[name])))
            except (KeyError, TypeError, ValueError):
                continue
    return tuple(found)


def _last_line(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LAST_BYTES))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
