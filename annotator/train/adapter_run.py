"""A run of a :class:`~annotator.train.adapter.PromptedTrainer`: states, log, curves, early stop, the best weights."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from annotator.domain.errors import UserError
from annotator.train.adapter_losses import LossParts
from annotator.train.curves import draw_curves
from annotator.train.prompted import PromptedTrainer, Windows
from annotator.train.run_log import append_row, cut_log

STATE_SECONDS = 60.0
READ_ERRORS = (
    OSError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
    LookupError,
    ValueError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run writes: its state, logs and curves, the candidate, and what the gate said."""

    path: Path

    @property
    def state(self) -> Path:
        return self.path / "run.state"

    @property
    def log(self) -> Path:
        return self.path / "run.csv"

    @property
    def validation_log(self) -> Path:
        return self.path / "run.validation.csv"

    @property
    def curves(self) -> Path:
        return self.path / "run.png"

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


Report = Callable[[StepDone | EpochDone], None]


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
        UserError: the folder holds the state of another run, or a damaged one.
    """
    cv2.setNumThreads(1)
    folder.path.mkdir(parents=True, exist_ok=True)
    ranks = trainer.ranks
    base = _load(trainer, folder, key)
    ranks.wait()  # the first one must not write what another is still to read
    if ranks.is_first:
        base = _begin(trainer, validation, folder, key, base)
    parts: list[LossParts] = []
    saved = trainer.seconds
    while trainer.share_done < 1.0 and not trainer.is_exhausted:
        started = time.monotonic()
        found = trainer.train_step()
        trainer.seconds += time.monotonic() - started
        is_epoch = trainer.step % trainer.steps_per_epoch == 0
        if ranks.is_first:
            parts += found
            report(_step_done(trainer, float(parts[-1].total)))
            if is_epoch or trainer.share_done >= 1.0:
                report(_end_epoch(trainer, validation, folder, parts))
                parts = []
            if not parts or trainer.seconds - saved > STATE_SECONDS:
                _save(trainer, folder, key, base or {})
                saved = trainer.seconds
        # Time and validation are the first one's: all have to end, and change their rate, at the same step.
        trainer.seconds, best_epoch = ranks.told([trainer.seconds, float(trainer.best_epoch)])
        trainer.best_epoch = int(best_epoch)
    if ranks.is_first:
        draw_curves(folder.log, folder.validation_log, folder.curves)
    return base or {}


def _begin(
    trainer: PromptedTrainer[Any],
    validation: Windows,
    folder: RunFolder,
    key: str,
    base: dict[str, float] | None,
) -> dict[str, float]:
    """Logs that end where the run stands; a new run's first line and state. Returns the base's figures."""
    for log in (folder.log, folder.validation_log):
        cut_log(log, trainer.step)
    if base is None:
        base = trainer.validate(validation)  # nothing has moved yet: these are the base's figures
        append_row(folder.validation_log, {"step": 0, "minutes": 0.0, **base})
        _save(trainer, folder, key, base)
    return base


def _step_done(trainer: PromptedTrainer[Any], loss: float) -> StepDone:
    return StepDone(trainer.share_done, trainer.step, trainer.epoch, trainer.seconds / 60, loss)


def _end_epoch(
    trainer: PromptedTrainer[Any], validation: Windows, folder: RunFolder, parts: Sequence[LossParts]
) -> EpochDone:
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
    append_row(folder.log, row)
    append_row(folder.validation_log, {"step": trainer.step, "minutes": minutes, **figures})
    draw_curves(folder.log, folder.validation_log, folder.curves)
    return EpochDone(trainer.epoch, minutes, losses, figures, is_best)


def _save(trainer: PromptedTrainer[Any], folder: RunFolder, key: str, base: Mapping[str, float]) -> None:
    """Write the state, whole or not at all."""
    part = folder.state.with_name(folder.state.name + ".part")
    torch.save({**trainer.state(), "key": key, "base": dict(base)}, part)
    os.replace(part, folder.state)


def _load(trainer: PromptedTrainer[Any], folder: RunFolder, key: str) -> dict[str, float] | None:
    """Take up the folder's state, if there is one; the base's figures that it holds."""
    if not folder.state.exists():
        return None
    advice = "Delete that folder, or name another one with --work."
    try:
        state: Any = torch.load(folder.state, map_location=trainer.device, weights_only=True)
        kept = state["key"]
        base = {str(name): float(value) for name, value in state["base"].items()}
        if kept == key:
            trainer.load_state(state)
    except READ_ERRORS as error:
        raise UserError(f"{folder.state} is damaged, or not the state of an adapter's training.", advice) from error
    if kept != key:
        raise UserError(f"{folder.path} holds another run (other data, model or settings).", advice)
    return base
