"""What every training on cached embeddings shows and does in the terminal: windows, progress, the gate's table."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from annotator.engine.sam2.segmenter import Sam2Segmenter
    from annotator.engine.zoom.segmenter import ZoomSegmenter
    from annotator.evaluate.objects import EvaluationObject
    from annotator.jobs.job import Job
    from annotator.train.data.encoded import WindowCache
    from annotator.train.data.sources import Source, Split
    from annotator.train.prompted import AdapterSettings, PromptedTrainer, Windows
    from annotator.train.run.adapter_run import EpochDone, RunFolder, StepDone
    from annotator.train.run.gate import Contestant, GateResult
    from annotator.train.steps.ranks import Ranks

_log = logging.getLogger(__name__)

FEW_IMAGES = 10
"""Below this an interval over images is too narrow to be relied upon."""


def settings_of(args: argparse.Namespace, ranks: Ranks) -> AdapterSettings:
    """The options as a run's settings; every process makes ``--accumulate`` passes of a step."""
    from annotator.train.prompted import AdapterSettings

    return AdapterSettings(
        epochs=args.epochs,
        minutes=args.minutes,
        batch=args.batch,
        accumulate=args.accumulate * ranks.count,
        learning_rate=args.lr,
        patience=args.patience,
        seed=args.seed,
    )


def data_key(
    args: argparse.Namespace, base: Sam2Segmenter, sources: Sequence[Source], parts: Split
) -> tuple[object, ...]:
    """All that decides the encoded windows.

    Raises:
        ImportFormatError: an image is not there any more.
    """
    digests = [source.training_digest() for source in sources]
    chosen = (args.held_back, args.max_images, args.seed, parts.learned_digest())
    return (base.info.sha256, base.info.dtype, *digests, *chosen)


def folder_of(args: argparse.Namespace, name: str) -> RunFolder:
    """Where the run's files are: ``--work``, or a folder of that name in the program's cache; it is there afterwards.

    Raises:
        ExportError: it is no folder, or cannot be written.
    """
    from annotator.commands.output import check_output
    from annotator.domain.errors import ExportError
    from annotator.files.atomic import export_errors
    from annotator.files.places import training_dir
    from annotator.files.private import make_private_folder
    from annotator.train.run.adapter_run import RunFolder

    own = training_dir()
    path: Path = args.work or own / name
    if path.exists() and not path.is_dir():
        raise ExportError(f"{brief(path)} is not a folder.", "Name a folder with --work.")
    with export_errors(path):
        make_private_folder(path, is_own=args.work is None)
    # The window names its folders with --work; they lie in the cache, too.
    folder = RunFolder(path, is_own=path.resolve().is_relative_to(own.resolve()))
    check_output(folder.state)
    return folder


@contextmanager
def only_run(folder: RunFolder) -> Iterator[None]:
    """No other training writes into the folder meanwhile; two would overwrite each other's state and windows.

    Raises:
        UserError: another one is at work in it.
    """
    from annotator.domain.errors import UserError
    from annotator.io.project.lock import ProjectLock, describe_owner

    if int(os.environ.get("RANK") or 0) > 0:
        yield  # one of several processes of a run that the first of them locks
        return
    try:
        lock = ProjectLock.acquire(folder.state)
    except OSError as error:
        _log.warning("%s cannot be locked: %s", folder.path, error)
        yield
        return
    if lock is None:
        raise UserError(
            f"Another training is at work in {brief(folder.path)}: {describe_owner(folder.state)}.",
            "Wait for its end, stop it, or name another folder with --work.",
        )
    try:
        yield
    finally:
        lock.release()


def encoded_windows(
    args: argparse.Namespace,
    base: Sam2Segmenter,
    parts: Split,
    folder: RunFolder,
    data: Sequence[object],
    *,
    key: str,
    ranks: Ranks,
) -> tuple[Any, Any]:
    """Encoded windows to train on, and to stop by (of other images, or other windows of the same few images).

    Args:
        key: of the run; a folder that holds another one is refused before anything is encoded.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.jobs.job import Job
    from annotator.train.data.encoded import WindowCache
    from annotator.train.data.sources import training_images
    from annotator.train.run.adapter_run import make_room

    places = {name: folder.windows(name, *map(str, data)) for name in ("train", "stop")}
    make_room(folder, key, windows=list(places.values()), ranks=ranks)
    found = []
    aside = max(16, args.windows // 8)
    for name, objects, count in (
        ("train", parts.train, args.windows),
        ("stop", parts.validation or parts.train, aside),
    ):
        images = training_images(objects, args.name)
        seed = args.seed if name == "train" else args.seed + 1_000_003
        cache = WindowCache(places[name], base, images, count=count, seed=seed)
        if ranks.is_first:
            encode = partial(_encode, cache, ranks)
            run_with_bar(Job(f"encoding ({name})", unit="window"), encode, is_named=True)
        else:
            cache.fill(lambda _done, _all: None, ranks=ranks)
        found.append(cache)
    return found[0], found[1]


def _encode(cache: WindowCache, ranks: Ranks, job: Job) -> None:
    cache.fill(job.progress, ranks=ranks)


def tell_shared_images(parts: Split, tests: Sequence[Source]) -> None:
    """Say which test sets hold images that are learned from: what they show is too good."""
    learned = {item.image.path.resolve() for item in (*parts.train, *parts.validation)}
    for test in tests:
        count = len({item.image.path.resolve() for item in test.objects} & learned)
        if count:
            images = "one image" if count == 1 else f"{count} images"
            print(f"Caution: {images} of the test set {test.name} are also learned from; its figures will be too good.")


def train_with_bar(trainer: PromptedTrainer[Any], validation: Windows, folder: RunFolder, *, key: str) -> None:
    """Train to the end; the first process shows how it goes."""
    from annotator.commands.job_bar import run_with_bar
    from annotator.jobs.job import Job
    from annotator.train.run.adapter_run import run_adapter_training

    if not trainer.ranks.is_first:
        run_adapter_training(trainer, validation, folder, key=key, report=lambda _line: None)
        return
    together = f", {trainer.ranks.count} processes" if trainer.ranks.count > 1 else ""
    count = f"{len(trainer.windows)} windows to learn from, {len(validation)} to stop by"
    print(f"{count}{together}; all is kept in {folder.path}")
    run_with_bar(
        Job("Training", unit="%"),
        lambda job: run_adapter_training(trainer, validation, folder, key=key, report=partial(show, job)),
        tells=True,
    )


def show(job: Job, line: StepDone | EpochDone) -> None:
    """Take a line of the run over into its job."""
    from annotator.train.run.adapter_run import StepDone

    if isinstance(line, StepDone):
        job.note(f"epoch {line.epoch} step {line.step} loss {line.loss:.3f}")
        job.progress(round(100 * line.share), 100)
        return
    f = line.figures
    job.log(
        f"epoch {line.epoch}, {line.minutes:.1f} min: loss {line.losses['loss']:.3f}; validation box "
        f"IoU {f['box']:.3f} bIoU {f['box_biou']:.3f}, 1 click {f['click_1']:.3f} {f['click_1_biou']:.3f}, "
        f"5 clicks {f['click_5']:.3f} {f['click_5_biou']:.3f}"
        f"{', kept' if line.is_best else ''}"
    )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says: on the held-back images, and the tables and figures of all sets, those first."""

    gate: GateResult
    tables: tuple[str, ...]
    figures: Mapping[str, Any]

    def write(self, folder: RunFolder, card: str) -> None:
        """Keep figures and card with the run; what the gate had found so far is no longer needed.

        Raises:
            UserError: the folder cannot be written.
        """
        from annotator.files.atomic import export_errors, write_atomic

        with export_errors(folder.gate_json):
            write_atomic(folder.gate_json, json.dumps(self.figures, indent=1).encode())
            write_atomic(folder.gate_table, card.encode())
        folder.gate_state.unlink(missing_ok=True)  # all is said; a gate that is asked for again begins anew


def judged(
    args: argparse.Namespace,
    contestants: tuple[Contestant, Contestant],
    parts: Split,
    tests: Sequence[Source],
    folder: RunFolder,
    *,
    candidate: str,
) -> Judgement:
    """Base and candidate on the held-back images and on every other set; the tables are printed."""
    places = [("held back", "held-back images", parts.held_back), *((t.name, t.name, t.objects) for t in tests)]
    results, tables, figures = [], [], {}
    for key, title, objects in places:
        results.append(_judged_on(args, contestants, objects, title, candidate=candidate, folder=folder))
        tables.append(results[-1].markdown(title))
        figures[key] = results[-1].to_json()
        print(f"\n{tables[-1]}")
    print()
    return Judgement(results[0], tuple(tables), figures)


def _judged_on(
    args: argparse.Namespace,
    contestants: tuple[Contestant, Contestant],
    objects: Sequence[EvaluationObject],
    name: str,
    *,
    candidate: str,
    folder: RunFolder,
) -> GateResult:
    """One set, with a bar; goes on where a kill cut it off."""
    from annotator.commands.job_bar import run_with_bar
    from annotator.jobs.job import Job
    from annotator.train.run.gate import judge

    def work(job: Job) -> GateResult:
        return judge(
            *contestants,
            objects,
            name=candidate,
            clicks=args.gate_clicks,
            max_objects=args.gate_objects,
            seed=args.seed,
            progress=job.progress,
            state_path=folder.gate_state,
        )

    return run_with_bar(Job(f"judging on {name}", unit="object"), work, is_named=True)


def verdict(gate: GateResult) -> str:
    """What the gate says, in a sentence."""
    from annotator.domain.adapter import DECIDING

    row = gate.row(DECIDING)
    said = "better than" if gate.is_better else "not better than"
    difference = f"{row.difference.mean:+.3f}"
    if gate.has_intervals:
        difference += f", 95 % interval {row.difference.low:+.3f} to {row.difference.high:+.3f}"
        if not gate.is_certain:
            difference += "; the interval holds zero, so this may be chance"
    few = ""
    if gate.images < FEW_IMAGES:
        counted = "one image" if gate.images == 1 else f"{gate.images} images"
        few = f" That is a first impression, from {counted}: label more to know."
    return (
        f"The {gate.candidate} is {said} its base: boundary IoU {row.base.mean:.3f} -> {row.adapter.mean:.3f} "
        f"({difference}).{few}"
    )


def card_markdown(title: str, facts: Sequence[tuple[str, str]], tables: Sequence[str]) -> str:
    """A card: a title, facts, and the gate's tables."""
    lines = "".join(f"- {name}: {value}\n" for name, value in facts)
    return f"# {title}\n\n{lines}\n" + "\n\n".join(tables) + "\n"


def plain(segmenter: Sam2Segmenter | ZoomSegmenter) -> Sam2Segmenter:
    """The segmenter without zoom-in."""
    from annotator.engine.sam2.segmenter import Sam2Segmenter

    base = segmenter if isinstance(segmenter, Sam2Segmenter) else segmenter.base
    assert isinstance(base, Sam2Segmenter)
    return base
