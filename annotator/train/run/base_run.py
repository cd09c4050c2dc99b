"""A run of :class:`~annotator.train.base.BaseTrainer`: stages, saved states, log, validation, the best weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from annotator.domain.errors import ImportFormatError, UserError
from annotator.engine.devices import memory_errors
from annotator.engine.sam2.nano import NanoConfig, save_nano
from annotator.engine.weights import sha256_of
from annotator.files.atomic import export_errors
from annotator.train.base import BaseTrainer, TrainSettings
from annotator.train.data.pixels import RAM_BYTES, MappedPixels, PixelSource, RamPixels
from annotator.train.data.scenes import SET_NAME
from annotator.train.data.stream import WindowStream
from annotator.train.data.windows import TrainingImage, most_drawn_first, read_coco_sets
from annotator.train.run.curves import draw_curves
from annotator.train.run.log import append_row, cut_log
from annotator.train.run.state_file import write_state
from annotator.train.steps.divergence import check_weights

LOG_STEPS = 25
SetDigests = tuple[tuple[str, str], ...]

Validate = Callable[[nn.Module, NanoConfig], Mapping[str, float]]
"""Figures of a model, higher is better; the key "mean" decides which weights are kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the log: means over the steps since the last one."""

    step: int
    minutes: float
    loss: float
    iou_first: float
    iou_last: float
    data_wait_share: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Validated:
    """What a validation said."""

    step: int
    minutes: float
    figures: Mapping[str, float]
    is_best: bool


Report = Callable[[Progress | Validated], None]


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where a run writes: weights, resumable state, and beside the state the logs and the curves."""

    out: Path
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


@dataclass(frozen=True, slots=True)
class Reading:
    """How the images come in; none of it changes what is trained.

    Attributes:
        cache_dir: folder of decoded images, shared by processes and runs; None keeps them in this process's memory.
        cache_bytes: what the folder, or the memory, may hold.
        readers: processes that draw windows; 0 draws them in a thread.
    """

    cache_dir: Path | None = None
    cache_bytes: int = RAM_BYTES
    readers: int = 0

    def pixels(self, images: list[TrainingImage]) -> PixelSource:
        """What decodes and keeps these images.

        Raises:
            UserError: the folder cannot be used.
        """
        if self.cache_dir is None:
            return RamPixels(self.cache_bytes).share(self.readers)
        try:
            return MappedPixels.prepare(self.cache_dir, most_drawn_first(images), limit_bytes=self.cache_bytes)
        except OSError as error:
            raise UserError(f"{self.cache_dir} cannot hold a cache: {error.strerror}.", "Name a folder.") from error


def run_training(
    *,
    roots: list[Path],
    files: RunFiles,
    settings: TrainSettings,
    config: NanoConfig,
    device: torch.device,
    report: Report,
    validate: Validate | None = None,
    reading: Reading | None = None,
    teacher: tuple[nn.Module, NanoConfig] | None = None,
) -> Path:
    """Train until the settings' time is over; goes on from the state when there is one, to the bit on one machine.

    Args:
        report: called with a :class:`Progress` every 25 steps and a :class:`Validated` after each validation.
        validate: judges the averaged weights now and then. With it the best ones are exported, else the last ones.
        reading: of the images; None reads them in this process.
        teacher: see :class:`BaseTrainer`.

    Returns:
        The exported averaged weights.

    Raises:
        UserError: a set or the cache's folder cannot be used, or a file cannot be written.
        DivergedError: the loss is not finite; nothing is exported, and the state on the disk stays as it was.
        DeviceMemoryError: the state on the disk stays as it was.
    """
    cv2.setNumThreads(1)
    reading = reading or Reading()
    sets = set_digests(roots)
    images = read_coco_sets(roots) if roots else []
    trainer = BaseTrainer(
        config=config,
        settings=settings,
        images=images,
        device=device,
        pixels=reading.pixels(images),
        teacher=teacher,
    )
    with export_errors(files.state):
        files.state.parent.mkdir(parents=True, exist_ok=True)
    if files.state.is_file():
        trainer.load_state(torch.load(files.state, map_location="cpu", weights_only=True))
    for log in (files.log, files.validation_log):
        cut_log(log, trainer.step)
    run = Run(trainer, files, report, validate, readers=reading.readers, sets=sets)
    with memory_errors("Close other programs, name fewer windows a step in --stages, or take --device cpu."):
        while trainer.share_done < 1.0:
            run.phase()
        run.finish()
    return files.out


class Run:
    """The loop of one run."""

    def __init__(
        self,
        trainer: BaseTrainer,
        files: RunFiles,
        report: Report,
        validate: Validate | None,
        *,
        readers: int = 0,
        sets: SetDigests = (),
    ) -> None:
        self._trainer, self._files, self._report, self._validate = trainer, files, report, validate
        self._readers, self._sets = readers, sets
        self._last_validation = trainer.seconds
        self._validated_step = -1

    def phase(self) -> None:
        """Windows of one size until the time is up or the next stage begins."""
        trainer, settings, stage = self._trainer, self._trainer.settings, self._trainer.stage
        sampler = trainer.sampler(stage)
        stream = WindowStream(
            sampler,
            count=stage.batch,
            seed=settings.seed,
            first_step=trainer.step,
            asked=trainer.asked.all(),
            readers=self._readers,
        )
        last_state = last_export = trainer.seconds
        sums, waited, since, last_logged = np.zeros(3), 0.0, time.monotonic(), trainer.step
        trainer.model.train()
        try:
            while trainer.share_done < 1.0 and trainer.stage == stage:
                started = time.monotonic()
                windows = stream.next()
                waited += time.monotonic() - started
                sums += trainer.train_step(windows)
                trainer.asked.push(sampler.set_weights(trainer.iou_by_set))
                stream.ask(trainer.asked.all()[-1])
                trainer.seconds += time.monotonic() - started
                if trainer.step % LOG_STEPS == 0:
                    wall = time.monotonic() - since
                    means = sums / (trainer.step - last_logged)  # a phase need not begin at a multiple of LOG_STEPS
                    self._log(means, waited / wall)
                    sums, waited, since, last_logged = np.zeros(3), 0.0, time.monotonic(), trainer.step
                if trainer.seconds - last_state > settings.state_minutes * 60:
                    save_state(trainer, self._files.state, sets=self._sets)
                    last_state = trainer.seconds
                if self._validate is None and trainer.seconds - last_export > settings.export_minutes * 60:
                    export(trainer, self._files.out)
                    last_export = trainer.seconds
                if self._validate and trainer.seconds - self._last_validation > settings.validate_minutes * 60:
                    self._judge(self._validate)
                    since, waited = time.monotonic(), 0.0
        finally:
            stream.stop()
        save_state(trainer, self._files.state, sets=self._sets)

    def finish(self) -> None:
        """The last validation, or the last weights; and the curves."""
        if self._validate is None:
            export(self._trainer, self._files.out)
        elif self._validated_step != self._trainer.step:
            self._judge(self._validate)
        draw_curves(self._files.log, self._files.validation_log, self._files.curves)

    def _log(self, means: npt.NDArray[np.float64], data_wait_share: float) -> None:
        trainer = self._trainer
        loss, first, last = means.tolist()
        line = Progress(trainer.step, trainer.seconds / 60, loss, first, last, data_wait_share, trainer.learning_rate())
        append_row(self._files.log, asdict(line))
        self._report(line)

    def _judge(self, validate: Validate) -> None:
        """Validate the averaged weights; keep them when they are the best so far."""
        trainer = self._trainer
        figures = validate(trainer.ema, trainer.config)
        is_best = figures["mean"] > trainer.best_score
        if is_best:
            trainer.best_score = figures["mean"]
            export(trainer, self._files.out)
        self._last_validation, self._validated_step = trainer.seconds, trainer.step
        append_row(self._files.validation_log, {"step": trainer.step, "minutes": trainer.seconds / 60, **figures})
        draw_curves(self._files.log, self._files.validation_log, self._files.curves)
        save_state(trainer, self._files.state, sets=self._sets)  # it holds the best score, which must not fall back
        self._report(Validated(trainer.step, trainer.seconds / 60, figures, is_best))


def set_digests(roots: Sequence[Path]) -> SetDigests:
    """Name and SHA-256 of the annotations of every set, in order: what a run's state keeps to know them again.

    Raises:
        ImportFormatError: a set's annotations cannot be read.
    """
    found = []
    for root in roots:
        try:
            found.append((root.resolve().name, sha256_of(root / "annotations.json")))
        except OSError as error:
            raise ImportFormatError(
                f"{root} is not a readable COCO set ({error.strerror}).", "Expected annotations.json + images/."
            ) from error
    return tuple(sorted(found))


def save_state(trainer: BaseTrainer, path: Path, *, sets: SetDigests = ()) -> None:
    """Write the run's state, whole or not at all.

    Args:
        sets: of :func:`set_digests`.

    Raises:
        ExportError: it cannot be written.
    """
    write_state({**trainer.state(), "sets": [list(one) for one in sets]}, path)


def export(trainer: BaseTrainer, out: Path) -> None:
    """Write the averaged weights.

    Raises:
        DivergedError: they are not finite. ExportError: they cannot be written.
    """
    check_weights(trainer.ema.state_dict())
    sets = sorted({image.set_name for image in trainer.images})
    if trainer.settings.synthetic_share > 0 or not sets:
        sets.append(SET_NAME)
    metadata = {
        "dense_prompt": trainer.config.dense_prompt,
        "steps": str(trainer.step),
        "minutes": f"{trainer.seconds / 60:.1f}",
        "device": trainer.device.type,
        "seed": str(trainer.settings.seed),
        "sets": ",".join(sets),
        "licence": "Apache-2.0",
        "date": datetime.now(UTC).date().isoformat(),
    }
    if trainer.settings.teacher_sha256:
        metadata["teacher"] = trainer.settings.teacher_sha256
    with export_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        save_nano(trainer.ema, out, config=trainer.config, metadata=metadata)
