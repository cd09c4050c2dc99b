"""One run of a training, whatever is trained: its steps, and what they leave on the disk.

Beside the state lie a log of the steps, one of the validations, and their curves. A run that was killed goes on from
its state; the lines of the steps that the kill took back are cut from the logs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.engine.torch_files import TORCH_LOAD_ERRORS
from annotator.files.atomic import export_errors
from annotator.train.run.curves import draw_curves
from annotator.train.run.log import append_row, cut_log
from annotator.train.run.state_file import write_state

_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True)
class Entry(Generic[_Event]):
    """What a step, or a validation after it, brought.

    Attributes:
        step, seconds: where the run stands.
        row: a line of the log, by column.
        figures: of a validation, by name.
        events: what is reported, once all of this is on the disk.
        keeps_state: the state is written now; without it, when the last one is old enough.
    """

    step: int
    seconds: float
    row: Mapping[str, float] | None = None
    figures: Mapping[str, float] | None = None
    events: tuple[_Event, ...] = ()
    keeps_state: bool = False


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The files of a run, beside its state."""

    state: Path

    @property
    def log(self) -> Path:
        return self.state.with_suffix(".csv")

    @property
    def validation_log(self) -> Path:
        return self.state.with_suffix(".validation.csv")

    @property
    def curves(self) -> Path:
        return self.state.with_suffix(".png")

    @property
    def files(self) -> tuple[Path, ...]:
        return self.state, self.log, self.validation_log, self.curves

    def begin(self, step: int, *, is_new: bool) -> None:
        """Make the folder, and let the logs end where the run stands.

        Raises:
            ExportError: they cannot be written.
        """
        with export_errors(self.state):
            self.state.parent.mkdir(parents=True, exist_ok=True)
            for log in (self.log, self.validation_log):
                if is_new:
                    log.unlink(missing_ok=True)  # of a run that has left no state
        for log in (self.log, self.validation_log):
            cut_log(log, step)

    def add(self, entry: Entry[Any]) -> None:
        """Write an entry's lines, and draw the curves again after a validation.

        Raises:
            ExportError: they cannot be written.
        """
        if entry.row is not None:
            append_row(self.log, entry.row)
        if entry.figures is not None:
            line = {"step": entry.step, "minutes": entry.seconds / 60, **entry.figures}
            append_row(self.validation_log, line)
            self.draw()

    def draw(self) -> None:
        draw_curves(self.log, self.validation_log, self.curves)

    def keep(self, state: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all.

        Raises:
            ExportError: it cannot be written; the one before is untouched.
        """
        write_state(state, self.state)


def run_steps(
    entries: Generator[Entry[_Event], None, None],
    record: RunRecord,
    *,
    state: Callable[[], Mapping[str, Any]],
    state_seconds: float,
    started_at_s: float,
    report: Callable[[_Event], None],
) -> None:
    """Let a training make its steps, and keep what they bring.

    Args:
        entries: makes the next steps when it is asked for the next entry; closed at the end, also after an error.
        state: of the training as it stands; written at least every ``state_seconds`` of training.
        started_at_s: seconds that the training has lasted already.

    Raises:
        ExportError: a file cannot be written.
    """
    kept_at_s = started_at_s
    with closing(entries):
        for entry in entries:
            record.add(entry)
            if entry.keeps_state or entry.seconds - kept_at_s > state_seconds:
                record.keep(state())
                kept_at_s = entry.seconds
            for event in entry.events:
                report(event)
    record.draw()


@contextmanager
def readable_state(path: Path, *, advice: str) -> Iterator[None]:
    """What is done in the block reads the state of a run.

    Raises:
        UserError: it could not be read.
    """
    try:
        yield
    except TORCH_LOAD_ERRORS as error:
        raise UserError(f"{brief(path)} is damaged, or not the state of a training.", advice) from error


def read_state(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """A state as it was written; plain data and tensors in main memory.

    Args:
        mapped: read tensors when they are looked at.

    Raises:
        TORCH_LOAD_ERRORS: for :func:`readable_state`.
    """
    found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return dict(found)
