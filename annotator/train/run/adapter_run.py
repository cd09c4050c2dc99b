"""A run of a :class:`~annotator.train.adapter.PromptedTrainer`: states, log, curves, early stop, the best weights."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from annotator.domain.errors import DivergedError, UserError
from annotator.engine.devices import memory_errors
from annotator.files.atomic import export_errors
from annotator.train.prompted import PromptedTrainer, Windows
from annotator.train.run.run import Entry, RunRecord, read_state, readable_state, run_steps
from annotator.train.steps.adapter_losses import LossParts
from annotator.train.steps.ranks import ALONE, Ranks

STATE_SECONDS = 60.0
_ADVICE = "Delete that folder, or name another one with --work."


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run writes: its state, logs and curves, the candidate, and what the gate said.

    Attributes:
        is_own: it is in the program's cache, named by nobody: a run that is over makes room for the next one.
    """

    path: Path
    is_own: bool = False

    @property
    def state(self) -> Path:
        return self.path / "run.state"

    @property
    def record(self) -> RunRecord:
        return RunRecord(self.state)

    @property
    def candidate(self) -> Path:
        return self.path / "candidate.safetensors"

    @property
    def gate_state(self) -> Path:
        """What a gate that is under way has found so far."""
        return self.path / "gate.state"

    @property
    def gate_json(self) -> Path:
        return self.path / "gate.json"

    @property
    def gate_table(self) -> Path:
        return self.path / "gate.md"

    def windows(self, *parts: str) -> Path:
        """The folder of encoded windows that these words decide."""
        return self.path / "windows" / run_key(*parts)[:16]

    def clear(self) -> None:
        """Take away all that a run has written, but not the encoded windows."""
        for path in (*self.record.files, self.candidate, self.gate_state, self.gate_json, self.gate_table):
            path.unlink(missing_ok=True)

    def keep_windows(self, kept: Collection[Path]) -> None:
        """Take away the encoded windows of other data: folders that :meth:`windows` names, and nothing else.

        A person may have put the folder on another disk, or have a file manager that leaves its own files everywhere.
        """
        windows = self.path / "windows"
        if windows.is_symlink() or not windows.is_dir():
            return
        for path in windows.iterdir():
            is_ours = _WINDOWS_NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
            if is_ours and path not in kept:
                shutil.rmtree(path, ignore_errors=True)  # another training may be at it; what stays costs space alone


@dataclass(frozen=True, slots=True)
class StepDone:
    """After every step; ``share`` of the run is done, 0..1."""

    share: float
    step: int
    epoch: int
    minutes: float
    loss: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """After every epoch: mean losses, and validation figures where there are windows for it."""

    epoch: int
    minutes: float
    losses: Mapping[str, float]
    figures: Mapping[str, float]
    is_best: bool


_WINDOWS_NAME = re.compile("[0-9a-f]{16}")
Report = Callable[[StepDone | EpochDone], None]


class AnotherRunError(UserError):
    """The folder holds a run of other data, another model or other settings.

    Attributes:
        is_over: whether that run has come to its end.
    """

    def __init__(self, folder: RunFolder, *, is_over: bool) -> None:
        self.is_over = is_over
        if is_over:
            super().__init__(f"{folder.path} holds another run (other data, model, settings or version).", _ADVICE)
            return
        super().__init__(
            f"{folder.path} holds another run (other data, model, settings or version) that has not come to its end.",
            "Name another folder with --work to keep it, or delete that one to begin anew.",
        )


def run_key(*parts: object) -> str:
    """A name for everything that decides a run."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def run_adapter_training(
    trainer: PromptedTrainer[Any], validation: Windows, folder: RunFolder, *, key: str, report: Report
) -> dict[str, float]:
    """Train until the schedule ends or validation stops improving; goes on from the folder's state.

    Args:
        validation: windows that are not trained on.
        key: of :func:`run_key`; a state with another one is refused.

    With several processes the first one alone validates, writes and reports, and alone has the result.

    Returns:
        The frozen base's validation figures. The trainer's ``best`` holds the weights.

    Raises:
        UserError: the folder holds the state of another run, or a damaged one, or cannot be written.
        DivergedError: the loss is not finite; the state is deleted.
        DeviceMemoryError: what was learnt until then is kept, for the same command.
    """
    batch, passes = max(1, trainer.settings.batch // 2), 2 * trainer.settings.accumulate
    advice = (
        "Close other programs and start the same training again: it goes on from what it has learnt. On the command"
        f" line, --batch {batch} --accumulate {passes} (with another --work) or --device cpu need less memory."
    )
    cv2.setNumThreads(1)
    try:
        with memory_errors(advice):
            return _run(trainer, validation, folder, key, report)
    except DivergedError:
        if trainer.ranks.is_first:
            folder.state.unlink(missing_ok=True)  # going on from it would end there again
        raise


def _run(
    trainer: PromptedTrainer[Any], validation: Windows, folder: RunFolder, key: str, report: Report
) -> dict[str, float]:
    ranks = trainer.ranks
    base = _load(trainer, folder, key)
    ranks.wait()  # the first one must not write what another is still to read
    if not ranks.is_first:
        for _ in _entries(trainer, validation, []):
            pass
        return base or {}
    is_new = base is None
    folder.record.begin(trainer.step, is_new=is_new)
    figures = trainer.validate(validation) if base is None else base  # nothing has moved yet: they are the base's
    first: list[Entry[StepDone | EpochDone]] = []
    if is_new:
        first.append(Entry(0, 0.0, figures=figures, keeps_state=True))
    run_steps(
        _entries(trainer, validation, first),
        folder.record,
        state=lambda: _state_of(trainer, key, figures),
        state_seconds=STATE_SECONDS,
        started_at_s=trainer.seconds,
        report=report,
    )
    return figures


def _entries(
    trainer: PromptedTrainer[Any], validation: Windows, first: Sequence[Entry[StepDone | EpochDone]]
) -> Generator[Entry[StepDone | EpochDone], None, None]:
    """Make the steps, after ``first``; only the first process of several has entries."""
    yield from first
    ranks = trainer.ranks
    parts: list[LossParts] = []
    while trainer.share_done < 1.0 and not trainer.is_exhausted:
        started = time.monotonic()
        found = trainer.train_step()
        trainer.seconds += time.monotonic() - started
        is_epoch = trainer.step % trainer.steps_per_epoch == 0
        if ranks.is_first:
            parts += found
            yield Entry(trainer.step, trainer.seconds, events=(_step_done(trainer, float(parts[-1].total)),))
            if is_epoch or trainer.share_done >= 1.0:
                yield _epoch_done(trainer, validation, parts)
                parts = []
        # Time and validation are the first one's: all have to end, and change their rate, at the same step.
        trainer.seconds, best_epoch = ranks.told([trainer.seconds, float(trainer.best_epoch)])
        trainer.best_epoch = int(best_epoch)


def _step_done(trainer: PromptedTrainer[Any], loss: float) -> StepDone:
    return StepDone(trainer.share_done, trainer.step, trainer.epoch, trainer.seconds / 60, loss)


def _epoch_done(
    trainer: PromptedTrainer[Any], validation: Windows, parts: Sequence[LossParts]
) -> Entry[StepDone | EpochDone]:
    started = time.monotonic()
    figures = trainer.validate(validation)
    is_best = trainer.keep_if_best(figures["mean"], error=figures["error"])
    trainer.seconds += time.monotonic() - started
    losses = {
        "loss": float(np.mean([float(p.total) for p in parts])),
        "loss_mask": float(np.mean([p.mask for p in parts])),
        "loss_maps": float(np.mean([p.maps for p in parts])),
        "loss_uncertainty": float(np.mean([p.uncertainty for p in parts])),
        "iou_last": float(np.mean([p.iou for p in parts])),
    }
    minutes = trainer.seconds / 60
    row = {"step": trainer.step, "minutes": minutes, **losses, "learning_rate": trainer.learning_rate()}
    event = EpochDone(trainer.epoch, minutes, losses, figures, is_best)
    return Entry(trainer.step, trainer.seconds, row=row, figures=figures, events=(event,), keeps_state=True)


def _state_of(trainer: PromptedTrainer[Any], key: str, base: Mapping[str, float]) -> dict[str, Any]:
    is_over = trainer.share_done >= 1.0 or trainer.is_exhausted
    return {**trainer.state(), "key": key, "base": dict(base), "is_over": is_over}


def make_room(folder: RunFolder, key: str, *, windows: Collection[Path], ranks: Ranks = ALONE) -> None:
    """See that a run can begin, or go on, in the folder, before the long work.

    In a folder of the program's own a run of another key that is over is cleared away, and so are encoded windows that
    this run does not use; in a folder that a person has named nothing is deleted.

    Args:
        windows: the folders of encoded windows that the run will use.

    Raises:
        UserError: the folder holds the state of another run, or a damaged one, or cannot be used.
    """
    is_other = False
    try:
        _check_key(folder, key)
    except AnotherRunError as error:
        if not folder.is_own or not error.is_over:
            raise
        is_other = True
    ranks.wait()  # all have read what the first one may now take away
    if ranks.is_first and folder.is_own:
        with export_errors(folder.path):
            if is_other:
                folder.clear()
            folder.keep_windows(windows)
    ranks.wait()


def _check_key(folder: RunFolder, key: str) -> dict[str, Any] | None:
    """The folder's state, if there is one.

    Raises:
        AnotherRunError: it is that of another run. UserError: it is damaged.
    """
    if not folder.state.exists():
        return None
    with readable_state(folder.state, advice=_ADVICE):
        state = read_state(folder.state)
        # Of runs before this was kept: judging began when the training was over.
        kept, is_over = state["key"], bool(state.get("is_over", folder.gate_json.is_file()))
    if kept != key:
        raise AnotherRunError(folder, is_over=is_over)
    return state


def _load(trainer: PromptedTrainer[Any], folder: RunFolder, key: str) -> dict[str, float] | None:
    """Take up the folder's state, if there is one; the base's figures that it holds."""
    state = _check_key(folder, key)
    if state is None:
        return None
    with readable_state(folder.state, advice=_ADVICE):
        base = {str(name): float(value) for name, value in state["base"].items()}
        trainer.load_state(state)
    return base
