"""A run of :class:`~annotator.train.base.BaseTrainer`: stages, saved states, log, validation, the best weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError, UserError
from annotator.engine.devices import memory_errors
from annotator.engine.sam2.nano import NanoConfig, save_nano
from annotator.engine.weights import sha256_of
from annotator.files.atomic import export_errors
from annotator.train.base import BaseTrainer
from annotator.train.data.pixels import RAM_BYTES, MappedPixels, PixelSource, RamPixels
from annotator.train.data.scenes import SET_NAME
from annotator.train.data.stream import WindowStream
from annotator.train.data.windows import TrainingImage, most_drawn_first, read_coco_sets
from annotator.train.run.run import Entry, RunRecord, read_state, run_steps
from annotator.train.settings import TrainSettings
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
    """Where a run writes: weights, and a state that it goes on from, with the rest of its record beside it."""

    out: Path
    state: Path

    @property
    def record(self) -> RunRecord:
        return RunRecord(self.state)


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
    start: Callable[[BaseTrainer], None] | None = None,
) -> Path:
    """Train until the settings' time is over; goes on from the state when there is one, to the bit on one machine.

    Args:
        report: called with a :class:`Progress` every 25 steps and a :class:`Validated` after each validation.
        validate: judges the averaged weights now and then. With it the best ones are exported, else the last ones.
        reading: of the images; None reads them in this process.
        teacher: see :class:`BaseTrainer`.
        start: gives a new run its first weights; a run that goes on has its own.

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
    is_new = not files.state.is_file()
    if not is_new:
        state = read_state(files.state)
        kept_seed = state["settings"].get("seed", settings.seed)
        trainer.load_state(state, with_generators=kept_seed == settings.seed)
    elif start is not None:
        start(trainer)
    files.record.begin(trainer.step, is_new=is_new)
    run = Run(trainer, files.out, validate, readers=reading.readers)
    with memory_errors("Close other programs, name fewer windows a step in --stages, or take --device cpu."):
        run_steps(
            run.entries(),
            files.record,
            state=lambda: state_of(trainer, sets=sets),
            state_seconds=settings.state_minutes * 60,
            started_at_s=trainer.seconds,
            report=report,
        )
    return files.out


class Run:
    """The steps of one run, stage after stage, and the weights that it exports."""

    def __init__(self, trainer: BaseTrainer, out: Path, validate: Validate | None, *, readers: int = 0) -> None:
        self._trainer, self._out, self._validate, self._readers = trainer, out, validate, readers
        self._last_validation = self._last_export = trainer.seconds
        self._validated_step = -1

    def entries(self) -> Generator[Entry[Progress | Validated], None, None]:
        """Make the steps until the time is over; then the last validation, or the last weights."""
        while self._trainer.share_done < 1.0:
            yield from self.stage()
            yield self._entry(keeps_state=True)
        if self._validate is None:
            export(self._trainer, self._out)
        elif self._validated_step != self._trainer.step:
            yield self._judged(self._validate)

    def stage(self) -> Generator[Entry[Progress | Validated], None, None]:
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
                    means = sums / (trainer.step - last_logged)  # a stage need not begin at a multiple of LOG_STEPS
                    yield self._logged(means, waited / wall)
                    sums, waited, since, last_logged = np.zeros(3), 0.0, time.monotonic(), trainer.step
                else:
                    yield self._entry()
                if self._validate is None and trainer.seconds - self._last_export > settings.export_minutes * 60:
                    export(trainer, self._out)
                    self._last_export = trainer.seconds
                if self._validate and trainer.seconds - self._last_validation > settings.validate_minutes * 60:
                    yield self._judged(self._validate)
                    since, waited = time.monotonic(), 0.0
        finally:
            stream.stop()

    def _entry(self, **more: Any) -> Entry[Progress | Validated]:
        return Entry(self._trainer.step, self._trainer.seconds, **more)

    def _logged(self, means: npt.NDArray[np.float64], data_wait_share: float) -> Entry[Progress | Validated]:
        trainer = self._trainer
        loss, first, last = means.tolist()
        line = Progress(trainer.step, trainer.seconds / 60, loss, first, last, data_wait_share, trainer.learning_rate())
        return self._entry(row=asdict(line), events=(line,))

    def _judged(self, validate: Validate) -> Entry[Progress | Validated]:
        """Validate the averaged weights; keep them when they are the best so far, by the same figures."""
        trainer = self._trainer
        figures = validate(trainer.ema, trainer.config)
        names = sorted(figures)
        is_best = figures["mean"] > trainer.best_score or trainer.judged_by not in ([], names)
        trainer.judged_by = names
        if is_best:
            trainer.best_score = figures["mean"]
            export(trainer, self._out)
        self._last_validation, self._validated_step = trainer.seconds, trainer.step
        event = Validated(trainer.step, trainer.seconds / 60, figures, is_best)
        # The state holds the best score, which must not fall back.
        return self._entry(figures=figures, events=(event,), keeps_state=True)


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
                f"{brief(root)} is not a readable COCO set ({error.strerror}).", "Expected annotations.json + images/."
            ) from error
    return tuple(sorted(found))


def state_of(trainer: BaseTrainer, *, sets: SetDigests = ()) -> dict[str, Any]:
    """A run's state as it is kept; ``sets`` are of :func:`set_digests`."""
    return {**trainer.state(), "sets": [list(one) for one in sets]}


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
    if trainer.origin:
        metadata["origin"] = trainer.origin
    if trainer.settings.teacher_sha256:
        metadata["teacher"] = trainer.settings.teacher_sha256
    with export_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        save_nano(trainer.ema, out, config=trainer.config, metadata=metadata)
