"""``annotator train-adapter``: sharper masks for one domain, from accepted masks, without touching the base."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.priority import give_way
from annotator.commands.train.run import (
    data_key,
    encoded_windows,
    folder_of,
    judged,
    only_run,
    plain,
    settings_of,
    tell_shared_images,
    train_with_bar,
    verdict,
)
from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from annotator.domain.adapter import AdapterInfo
    from annotator.engine.sam2.adapted_decoder import Adapter
    from annotator.engine.sam2.adapter_network import AdapterConfig
    from annotator.engine.sam2.segmenter import Sam2Segmenter
    from annotator.engine.zoom.segmenter import ZoomSegmenter
    from annotator.train.adapter import AdapterTrainer
    from annotator.train.data.sources import Source, Split
    from annotator.train.run.adapter_run import RunFolder
    from annotator.train.steps.ranks import Ranks

ABLATIONS = {"guide": "uses_guide", "tokens": "uses_tokens", "points": "uses_points"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help="projects (.annot or their folder) or COCO sets (annotations.json + images)",
    )
    parser.add_argument("--name", required=True, help="what the adapter is called, e.g. nuclei")
    parser.add_argument("--domain", default="", help="what it is for, in words (default: the sources' names)")
    parser.add_argument("--licence", default="", help="of the adapter, for its card: that of your data permitting")
    parser.add_argument("--model", metavar="NAME|PATH", help="the base (default: the best model present)")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best)")
    parser.add_argument("--epochs", type=int, default=21, help="passes over the windows (default 21, the paper's)")
    parser.add_argument(
        "--minutes", type=float, help="most minutes of training; the schedule fits into what ends first"
    )
    parser.add_argument("--windows", type=int, default=400, help="training windows that are encoded (default 400)")
    parser.add_argument("--batch", type=int, default=8, help="windows per pass (default 8)")
    parser.add_argument("--accumulate", type=int, default=1, help="passes per optimiser step (default 1)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate (default 0.001)")
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better validation (default 10)")
    parser.add_argument("--held-back", type=float, default=0.2, help="share of the images to judge on (default 0.2)")
    parser.add_argument(
        "--max-images", type=int, help="train on so many images, all sources together; judged on the same"
    )
    parser.add_argument("--gate-objects", type=int, default=60, help="held-back objects that are judged (default 60)")
    parser.add_argument("--gate-clicks", type=int, default=10, help="most clicks per object there (default 10)")
    parser.add_argument(
        "--test", type=Path, nargs="+", default=[], metavar="SET", help="more sets to compare base and adapter on"
    )
    parser.add_argument("--without", choices=list(ABLATIONS), action="append", default=[], help="leave a part out")
    parser.add_argument(
        "--fine-tune-decoder",
        action="store_true",
        help="to compare: train the whole mask decoder instead, and write a complete model to --out",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--give-way", action="store_true", help="let other programs have the processor first")
    parser.add_argument("--work", type=Path, help="folder for embeddings, state, log and curves; a run goes on from it")
    parser.add_argument("--out", type=Path, help="also write the adapter here (.safetensors), whatever the gate says")
    parser.add_argument("--force", action="store_true", help="install it even when it does not beat its base")
    parser.add_argument("--no-install", action="store_true", help="train and judge only")


def run(args: argparse.Namespace) -> int:
    """Train, judge, install when it is better. 0: installed (or not to be installed), 1: the gate said no.

    Raises:
        UserError: a source, model, device, state or output cannot be used.
    """
    import torch

    from annotator.commands.train import fine_tuning
    from annotator.engine.sam2.adapter_files import installed_path
    from annotator.train.data.sources import read_source, split

    _check(args)
    if args.give_way:
        give_way()
    if args.out is not None:
        _check_out(args)
    if args.fine_tune_decoder:
        fine_tuning.check(args)
    installed_path(args.name)  # refuses a name that is none, before the work
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    sources = [read_source(path) for path in args.sources]
    parts = split(sources, held_back=args.held_back, max_images=args.max_images, seed=args.seed)
    tests = [read_source(path) for path in args.test]
    folder = folder_of(args, f"{args.name}.decoder" if args.fine_tune_decoder else args.name)
    with only_run(folder):
        return _train_and_judge(args, sources, parts, tests, folder)


def _train_and_judge(
    args: argparse.Namespace, sources: Sequence[Source], parts: Split, tests: Sequence[Source], folder: RunFolder
) -> int:
    from annotator.commands.train import fine_tuning
    from annotator.train.steps.ranks import joined

    with joined(args.device) as ranks:
        segmenter = _load(args, ranks)
        if ranks.is_first:
            print(parts.describe())
            tell_shared_images(parts, tests)
        if args.fine_tune_decoder:
            tuned = fine_tuning.train(args, segmenter, sources, parts, folder, ranks)
        else:
            trained = _train(args, segmenter, sources, parts, folder, ranks)
    if not ranks.is_first:
        return 0  # the first one judges
    if args.fine_tune_decoder:
        return fine_tuning.write_and_judge(args, segmenter, tuned, parts, tests, folder)
    adapter = _candidate(args, plain(segmenter), trained, parts, folder)
    return _judge_and_install(args, segmenter, adapter, parts, tests, folder)


def _check_out(args: argparse.Namespace) -> None:
    """See that the file can be written, and takes the place of nothing that is read."""
    from annotator.commands.output import check_output
    from annotator.domain.errors import UserError
    from annotator.engine.sam2.adapter_files import SUFFIX

    read = [*args.sources, *args.test]
    check_output(args.out, sources=(*read, *(path / "annotations.json" for path in read)))
    if args.fine_tune_decoder:
        return  # of the base's format, and not the base itself: checked there
    check_output(args.out, sources=(args.model,))
    if args.out.suffix != SUFFIX:
        raise UserError(f"{brief(args.out.name)} is not named like an adapter.", f"Name a file that ends in {SUFFIX}.")


def _load(args: argparse.Namespace, ranks: Ranks) -> Sam2Segmenter | ZoomSegmenter:
    """The base. The precision is the first process's choice: it is part of what names the encoded windows."""
    import torch

    from annotator.engine.load import load_sam2_segmenter

    def load(dtype: torch.dtype | None, say: Callable[[str], None] | None) -> Sam2Segmenter | ZoomSegmenter:
        return load_sam2_segmenter(args.model, device=args.device, config=args.config, dtype=dtype, progress=say)

    if ranks.is_first:
        segmenter = load(None, print)
        ranks.told([float(segmenter.info.dtype == "bfloat16")])
        return segmenter
    (is_half,) = ranks.told([0.0])
    return load(torch.bfloat16 if is_half else torch.float32, None)


def _check(args: argparse.Namespace) -> None:
    from annotator.domain.errors import UserError

    counts = ("epochs", "windows", "batch", "accumulate", "patience", "gate_objects", "lr")
    optional = [value for value in (args.minutes, args.max_images) if value is not None]
    numbers = [getattr(args, name) for name in counts] + optional
    is_good = all(number > 0 for number in numbers) and args.seed >= 0 and math.isfinite(args.lr)
    if not is_good or not 0 < args.held_back < 1 or args.gate_clicks < 5:
        raise UserError(
            "These numbers make no training.",
            "All of them are above 0, --seed is 0 or more, --held-back is below 1, --gate-clicks is 5 or more.",
        )


def _train(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    sources: Sequence[Source],
    parts: Split,
    folder: RunFolder,
    ranks: Ranks,
) -> AdapterTrainer:
    """Encode and train; the trainer's ``best`` holds the weights."""
    from annotator.engine.sam2.adapter_network import AdapterConfig
    from annotator.train.adapter import AdapterTrainer
    from annotator.train.run.adapter_run import run_key

    base = plain(segmenter)
    data = data_key(args, base, sources, parts)
    channels = int(base.model.sam_mask_decoder.transformer_dim)  # type: ignore[union-attr,arg-type]
    config = replace(AdapterConfig(channels), **{ABLATIONS[part]: False for part in args.without})
    settings = settings_of(args, ranks)
    key = run_key(data, config, settings, args.windows)
    windows, validation = encoded_windows(args, base, parts, folder, data, key=key, ranks=ranks)
    trainer = AdapterTrainer(base, windows, settings=settings, config=config, ranks=ranks)
    train_with_bar(trainer, validation, folder, key=key)
    return trainer


def _candidate(
    args: argparse.Namespace, base: Sam2Segmenter, trainer: AdapterTrainer, parts: Split, folder: RunFolder
) -> Adapter:
    """The adapter with the best weights, written and read again."""
    from annotator.engine.sam2.adapter_files import load_adapter, save_adapter
    from annotator.files.atomic import export_errors

    config = trainer.network.config
    trainer.network.load_state_dict(trainer.best)
    with export_errors(folder.candidate):
        save_adapter(trainer.network, _card(args, base, config, parts, trainer.best_epoch), folder.candidate)
    return load_adapter(folder.candidate, base=base.info, device=base.device)


def _judge_and_install(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    adapter: Adapter,
    parts: Split,
    tests: Sequence[Source],
    folder: RunFolder,
) -> int:
    from annotator.engine.sam2.adapter_files import card_text, install, save_adapter
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.train.run.gate import Contestant

    contestants = (Contestant(segmenter), Contestant(segmenter, adapter))
    judgement = judged(args, contestants, parts, tests, folder, candidate="adapter")
    gate = judgement.gate
    info = replace(adapter.info, figures=gate.figures())
    with export_errors(folder.candidate):
        save_adapter(adapter.network, info, folder.candidate)
    card = card_text(info, judgement.tables)
    judgement.write(folder, card)
    if args.out is not None:
        with export_errors(args.out):
            write_atomic(args.out, folder.candidate.read_bytes())
            write_atomic(args.out.with_suffix(".md"), card.encode())
        print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    print(verdict(gate))
    if args.no_install:
        return 0
    if not gate.is_better and not args.force:
        print("It is not installed. Train longer or on more images; --force installs it all the same.")
        return 1
    target = install(folder.candidate, args.name, card=card)
    print(f"installed {target}")
    return 0


def _card(
    args: argparse.Namespace, base: Sam2Segmenter, config: AdapterConfig, parts: Split, epoch: int
) -> AdapterInfo:
    from dataclasses import asdict
    from datetime import UTC, datetime

    from annotator.domain.adapter import AdapterInfo

    return AdapterInfo(
        name=args.name,
        domain=args.domain or ", ".join(path.resolve().stem for path in args.sources),
        base_name=base.info.name,
        base_sha256=base.info.sha256,
        config=asdict(config),
        data=parts.describe(),
        epochs=epoch,
        date=datetime.now(UTC).date().isoformat(),
        licence=args.licence,
    )
