"""Training an adapter from the open project: a process of its own, followed through the files that it writes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.domain.adapter import DECIDING
from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.files.children import child_environment
from annotator.files.private import make_private_folder
from annotator.jobs.training_record import Outcome, RunRecord, Wish, held, new_record, settle, write_record

POLL_MS = 500
_LAST_BYTES = 4000
UNKNOWN_CODE = 1
"""Of a process that another window started: what it wrote shows whether it did well."""
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. Curves are (minutes, value); ``rows`` the gate's, once it has judged.

    ``encoded`` counts the pieces of images that are ready to learn from.
    """

    loss: Points = ()
    validation: Points = ()
    line: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()
    encoded: int = 0
    is_judging: bool = False

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
        sum(1 for _ in folder.glob("windows/*/*.safetensors")),
        (folder / "candidate.safetensors").is_file() and not rows,
    )


class TrainingRun(QObject):
    """One run. It goes on when the window is closed, and another window can follow it; a run in the same folder goes
    on from its files."""

    changed = Signal()
    ended = Signal(int)
    """The process's exit code; 0 when there are figures."""

    def __init__(self, wish: Wish, parent: QObject | None = None, *, command: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self.wish = wish
        self.standing = Standing()
        self._command = list(command or wish.command())
        self._record = RunRecord(wish, 0, 0.0)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_running = False
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
    def card(self) -> Path:
        return self.wish.folder / "gate.md"

    @property
    def is_running(self) -> bool:
        return self._is_running

    @property
    def outcome(self) -> Outcome:
        return self._record.outcome

    @property
    def has_result(self) -> bool:
        """Whether there are figures that the person has not decided on."""
        return not self._is_running and bool(self.standing.rows) and self.outcome is Outcome.OPEN

    def start(self) -> None:
        """Start the process.

        Raises:
            UserError: its folder cannot be written, or a process is at work there.
        """
        folder = self.wish.folder
        try:
            make_private_folder(folder)
            with held(folder) as descriptors:
                # Figures of an earlier run must not pass for this one's.
                for path in (folder / "gate.json", self.candidate):
                    path.unlink(missing_ok=True)
                with self.output.open("wb") as output:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env=child_environment(PYTHONUNBUFFERED="1"),
                        cwd=folder,
                        start_new_session=True,
                        pass_fds=descriptors,
                    )
            self._record = new_record(self.wish, self._process.pid)
            write_record(self._record)
        except BlockingIOError as error:
            raise UserError(f"{brief(self.wish.name)} is being trained already.", "Wait for it, or stop it.") from error
        except OSError as error:
            raise UserError(f"The training could not be started: {error.strerror}.", "Check the disk.") from error
        self._is_running = True
        self._timer.start()

    def follow(self, record: RunRecord) -> None:
        """Take up a run that another window started; it may be over."""
        self._record = record
        self._is_running = record.is_alive
        self.standing = read_standing(self.wish.folder, self.output)
        if self._is_running:
            self._timer.start()

    def cancel(self) -> None:
        """Stop the process; what it has learned stays in its folder."""
        if not self._is_running:
            return
        self._settle(Outcome.STOPPED)
        if self._process is not None:
            self._process.terminate()
        elif self._record.pid and self._record.is_alive:
            os.kill(self._record.pid, signal.SIGTERM)

    def decide(self, outcome: Outcome) -> None:
        """The person has installed or discarded the result, which frees its files: call it beside the GUI thread.

        Raises:
            UserError: the folder cannot be written.
        """
        self._settle(outcome)

    def give_up(self) -> None:
        """It ended without a result, and that was reported."""
        if self.outcome is Outcome.OPEN:
            self._settle(Outcome.FAILED)

    def let_go(self) -> None:
        """The window closes: the process goes on alone."""
        self._timer.stop()
        if self._process is not None and self._process.poll() is None:
            # Nobody will ask for its end any more: without this Python warns of a process that it has lost.
            self._process.returncode = 0
        self._process, self._is_running = None, False

    def _look(self) -> None:
        code = self._exit_code()
        found = read_standing(self.wish.folder, self.output)
        if code == UNKNOWN_CODE and self._process is None and found.rows:
            code = 0
        if found != self.standing:
            self.standing = found
            self.changed.emit()
        if code is not None:
            self._timer.stop()
            self._process, self._is_running = None, False
            self.ended.emit(code)

    def _exit_code(self) -> int | None:
        """None while it runs."""
        if self._process is not None:
            return self._process.poll()
        return None if self._record.is_alive else UNKNOWN_CODE

    def _settle(self, outcome: Outcome) -> None:
        self._record = replace(self._record, outcome=outcome)
        try:
            settle(self._record, outcome)
        except OSError as error:
            raise UserError(
                f"{brief(self.wish.folder)} cannot be written: {error.strerror}.", "Check the disk."
            ) from error


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
