"""``annotator train-base``: train the embedded model on COCO sets."""

from __future__ import annotations

import argparse
import math
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.train.base_recipe import RECIPE_FIELDS, check_state, parse_factors, parse_recipe, parse_stages
from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from torch import nn

    from annotator.engine.sam2.nano import NanoConfig
    from annotator.jobs.job import Job
    from annotator.train.run.base_run import Progress, Validated
    from annotator.train.run.validation import Validation
    from annotator.train.settings import TrainSettings
    from annotator.train.start import Start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sets", nargs="*", type=Path, help="folders with annotations.json (RLE masks) and images/")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.safetensors)")
    parser.add_argument("--state", type=Path, help="resumable state (default: OUT with .state); continued when present")
    parser.add_argument("--minutes", type=float, default=90.0, help="length of the run (default 90)")
    parser.add_argument(
        "--stages",
        default="0.4:160:16,0.35:256:12,0.25:320:10",
        help="share of the time : window side in pixels : windows per step, one after the other (default %(default)s)",
    )
    parser.add_argument(
        "--validate", nargs="+", type=Path, default=[], metavar="SET", help="sets to validate on; the best is kept"
    )
    parser.add_argument("--validate-minutes", type=float, default=10.0, help="how often (default 10)")
    parser.add_argument("--validate-objects", type=int, default=6, help="objects of each set (default 6)")
    parser.add_argument(
        "--synthetic",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the windows that are scenes drawn from code (default 0; with 1 no sets are needed)",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder for decoded images, shared by runs")
    parser.add_argument("--cache-gb", type=float, default=3.0, help="size of decoded images kept (default 3)")
    parser.add_argument("--readers", type=int, default=0, help="processes that read images (default 0: a thread)")
    parser.add_argument("--objects", type=int, default=2, help="objects per window at most (default 2)")
    parser.add_argument("--size", type=int, default=320, help="the model's input side in pixels (default 320)")
    parser.add_argument("--channels", type=int, default=128, help="decoder width (default 128)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default 0.001)")
    parser.add_argument("--teacher", type=Path, metavar="MODEL", help="embedded model whose answers are learned, too")
    parser.add_argument(
        "--start", type=Path, metavar="MODEL", help="embedded model whose weights a new run begins with"
    )
    parser.add_argument(
        "--imagenet",
        action="store_true",
        help="a new run begins with ImageNet's weights for its trunk (lite0 or lite2; they are a package of their own)",
    )
    parser.add_argument(
        "--more",
        action="append",
        default=[],
        metavar="SET=FACTOR",
        help="draw a set so many times as often, as often as needed",
    )
    parser.add_argument(
        "--change-recipe", action="store_true", help="go on from a state with other numbers than it was trained with"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other number of the recipe or of the model's shape, as often as needed: "
        + ", ".join(RECIPE_FIELDS)
        + "; lists have commas between their numbers",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=None, help="cpu or cuda (default: cuda when there is one)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")


def read_teacher(path: Path, config: NanoConfig) -> tuple[nn.Module, NanoConfig]:
    """An embedded model to learn from.

    Raises:
        ModelError: the file is no embedded model, or one of another input side.
    """
    from annotator.domain.errors import ModelError
    from annotator.engine.sam2.nano import load_nano

    model, of_teacher, _ = load_nano(path)
    if of_teacher.image_size != config.image_size:
        raise ModelError(
            f"{brief(path.name)} sees {of_teacher.image_size} pixels, the model to train {config.image_size}.",
            "Give the same --size, or another --teacher.",
        )
    return model, of_teacher


def _check(args: argparse.Namespace) -> None:
    from annotator.domain.errors import UserError

    numbers = (args.minutes, args.objects, args.validate_minutes, args.validate_objects)
    is_good = all(number > 0 for number in numbers) and args.seed >= 0 and 0 < args.lr < math.inf
    if not is_good or args.size < 64 or args.size % 32 or args.channels < 32 or args.channels % 32:
        raise UserError(
            "These numbers make no training.",
            "Minutes, objects and --lr are above 0, --seed is 0 or more, --size is a multiple of 32 from 64 on,"
            " --channels one from 32 on.",
        )
    if not 0 <= args.cache_gb < 1e6 or not 0 <= args.readers <= 64:
        raise UserError("--cache-gb is a size from 0 on, and --readers a number from 0 to 64.")
    if not 0 <= args.synthetic <= 1:
        raise UserError(f"--synthetic is a share from 0 to 1, not {args.synthetic}.")
    if not args.sets and args.synthetic < 1:
        raise UserError("There is nothing to train on.", "Name sets, or draw scenes alone with --synthetic 1.")


def _recipe(args: argparse.Namespace) -> tuple[TrainSettings, NanoConfig]:
    """The options as a training's settings and a model's shape.

    Raises:
        UserError: an option is none, or there is no such teacher.
    """
    from annotator.domain.errors import ModelError
    from annotator.engine.sam2.nano import NanoConfig
    from annotator.engine.weights import sha256_of
    from annotator.train.settings import TrainSettings

    settings = TrainSettings(
        minutes=args.minutes,
        stages=parse_stages(args.stages),
        objects_per_window=args.objects,
        learning_rate=args.lr,
        seed=args.seed,
        validate_minutes=args.validate_minutes,
        synthetic_share=args.synthetic,
        set_factors=parse_factors(args.more),
    )
    of_settings = {field.name for field in fields(settings)}
    own = parse_recipe(args.set)
    settings = replace(settings, **{name: value for name, value in own.items() if name in of_settings})
    if args.teacher is not None:
        if not args.teacher.is_file():
            raise ModelError(f"There is no model file {args.teacher}.", "Check --teacher.")
        settings = replace(settings, teacher_sha256=sha256_of(args.teacher))
    shape = {name: value for name, value in own.items() if name not in of_settings}
    return settings, replace(NanoConfig(image_size=args.size, channels=args.channels), **shape)


def show(job: Job, minutes: float, line: Progress | Validated) -> None:
    """Take a line of the run, which lasts so many minutes, over into its job."""
    from annotator.train.run.base_run import Validated

    if isinstance(line, Validated):
        figures = ", ".join(f"{name} {line.figures[name]:.3f}" for name in ("mean", "box", "click_1", "click_3"))
        job.log(f"{line.minutes:.0f} min: validation {figures}{', the best so far' if line.is_best else ''}")
        return
    job.note(
        f"{line.minutes:.1f} of {minutes:.0f} min, step {line.step} loss {line.loss:.3f} "
        f"IoU first {line.iou_first:.3f} last {line.iou_last:.3f} data wait {line.data_wait_share:.0%}"
    )
    job.progress(min(100, round(100 * line.minutes / minutes)), 100)


def run(args: argparse.Namespace) -> int:
    """Train until the time is over.

    Raises:
        UserError: a set, device, state or output cannot be used.
    """
    import torch

    from annotator.commands.job_bar import run_with_bar
    from annotator.engine.devices import pick_device
    from annotator.jobs.job import Job
    from annotator.train.run.base_run import Reading, RunFiles, run_training

    _check(args)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    settings, config = _recipe(args)
    _check_place(args.out, sources=(args.teacher, args.start, *annotations_of(*args.sets, *args.validate)))
    files = RunFiles(args.out, args.state or args.out.with_suffix(".state"))
    _check_place(files.state)
    teacher = None if args.teacher is None else read_teacher(args.teacher, config)
    start = _start(args, config, settings, files.state)
    validate, reading = _validation(args), Reading(args.cache, int(args.cache_gb * (1 << 30)), args.readers)

    def work(job: Job) -> Path:
        return run_training(
            roots=args.sets,
            files=files,
            settings=settings,
            config=config,
            device=device,
            report=partial(show, job, args.minutes),
            validate=validate,
            reading=reading,
            teacher=teacher,
            start=start,
        )

    try:
        out = run_with_bar(Job("Training", unit="%"), work, stays=True, tells=True)
    except KeyboardInterrupt:
        _tell_kept(files.state, settings)
        raise
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _start(args: argparse.Namespace, config: NanoConfig, settings: TrainSettings, state: Path) -> Start | None:
    """What a new run begins with, if it is not random numbers; one that goes on begins with its state.

    Raises:
        UserError: the state is another run's, or --imagenet with a trunk that has no such weights.
        ModelError: a file cannot be used, or is missing.
    """
    from annotator.domain.errors import UserError
    from annotator.engine.sam2.lite_trunk import LITES
    from annotator.engine.sam2.nano import load_nano
    from annotator.train.run.base_run import set_digests
    from annotator.train.start import Start, imagenet_file

    if state.exists():
        check_state(state, config, settings, set_digests(args.sets), is_changed=args.change_recipe)
        return None
    if args.imagenet and config.trunk not in LITES:
        raise UserError(
            f"There are no ImageNet weights for the trunk {config.trunk}.",
            "Add --set trunk=lite0, or leave --imagenet out.",
        )
    if args.start is None and not args.imagenet:
        return None
    imagenet = imagenet_file(config.trunk) if args.imagenet else None
    if args.start is None:
        return Start(imagenet=imagenet)
    return Start(load_nano(args.start)[:2], imagenet, donor_name=args.start.stem)


def _validation(args: argparse.Namespace) -> Validation | None:
    """What judges the model now and then, if there are sets for it; they were read once."""
    from annotator.train.run.validation import Validation

    if not args.validate:
        return None
    found = Validation(args.validate, per_set=args.validate_objects)
    found.check()
    return found


def annotations_of(*roots: Path) -> list[Path]:
    return [root / "annotations.json" for root in roots]


def _check_place(path: Path, *, sources: tuple[Path | None, ...] = ()) -> None:
    """See that a file can be written there, and is none of those that are read; its folder is made."""
    from annotator.commands.output import check_output
    from annotator.files.atomic import export_errors

    if not path.parent.exists():
        with export_errors(path):
            path.parent.mkdir(parents=True)
    check_output(path, sources=sources)


def _tell_kept(state: Path, settings: TrainSettings) -> None:
    """What is left of a run that was stopped."""
    import sys

    often = f"the state is written every {settings.state_minutes:g} minutes"
    if state.exists():
        text = f"{state} holds the training so far ({often}): the same command goes on from there."
    else:
        text = f"nothing of this training is kept: {often}, and it was stopped before."
    print(f"annotator: {text}", file=sys.stderr)
