"""``annotator train-adapter``: sharper masks for one domain, from accepted masks, without touching the base."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotator.domain.adapter import AdapterInfo
    from annotator.engine.adapted_decoder import Adapter
    from annotator.engine.prompt_adapter import AdapterConfig
    from annotator.engine.sam2_backend import Sam2Segmenter
    from annotator.engine.zoom import ZoomSegmenter
    from annotator.train.adapter_data import Source, Split
    from annotator.train.adapter_gate import GateResult
    from annotator.train.adapter_run import EpochDone, RunFolder, StepDone

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
    parser.add_argument("--patience", type=int, default=6, help="epochs without a better validation (default 6)")
    parser.add_argument("--held-back", type=float, default=0.2, help="share of the images to judge on (default 0.2)")
    parser.add_argument("--max-images", type=int, help="train on so many images only; judged on the same ones")
    parser.add_argument("--gate-objects", type=int, default=60, help="held-back objects that are judged (default 60)")
    parser.add_argument("--gate-clicks", type=int, default=10, help="most clicks per object there (default 10)")
    parser.add_argument(
        "--test", type=Path, nargs="+", default=[], metavar="SET", help="more sets to compare base and adapter on"
    )
    parser.add_argument("--without", choices=list(ABLATIONS), action="append", default=[], help="leave a part out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--work", type=Path, help="folder for embeddings, state, log and curves; a run goes on from it")
    parser.add_argument("--out", type=Path, help="also write the adapter here (.safetensors), whatever the gate says")
    parser.add_argument("--force", action="store_true", help="install it even when it does not beat its base")
    parser.add_argument("--no-install", action="store_true", help="train and judge only")


def run(args: argparse.Namespace) -> int:
    """Train, judge, install when it is better. 0: installed (or --no-install), 1: the gate said no.

    Raises:
        UserError: a source, model, device, state or output cannot be used.
    """
    import torch

    from annotator.commands.output import check_output
    from annotator.engine.adapter_files import installed_path
    from annotator.engine.load import load_segmenter
    from annotator.train.adapter_data import read_source, split

    _check(args)
    if args.out is not None:
        check_output(args.out)
    installed_path(args.name)  # refuses a name that is none, before the work
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    sources = [read_source(path) for path in args.sources]
    parts = split(sources, held_back=args.held_back, max_images=args.max_images, seed=args.seed)
    tests = [read_source(path) for path in args.test]
    segmenter = load_segmenter(args.model, device=args.device, config=args.config, progress=print)
    print(parts.describe())
    folder = _folder(args)
    adapter = _train(args, segmenter, sources, parts, folder)
    return _judge_and_install(args, segmenter, adapter, parts, tests, folder)


def _check(args: argparse.Namespace) -> None:
    from annotator.domain.errors import UserError

    counts = ("epochs", "windows", "batch", "accumulate", "patience", "gate_objects", "lr")
    optional = [value for value in (args.minutes, args.max_images) if value is not None]
    numbers = [getattr(args, name) for name in counts] + optional
    if not all(number > 0 for number in numbers) or not 0 < args.held_back < 1 or args.gate_clicks < 5:
        raise UserError(
            "These numbers make no training.",
            "All of them are above 0, --held-back is below 1, --gate-clicks is 5 or more.",
        )


def _folder(args: argparse.Namespace) -> RunFolder:
    import platformdirs

    from annotator.train.adapter_run import RunFolder

    return RunFolder(args.work or platformdirs.user_cache_path("annotator") / "train-adapter" / args.name)


def _train(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    sources: Sequence[Source],
    parts: Split,
    folder: RunFolder,
) -> Adapter:
    """Encode, train, and write the candidate with the best weights."""
    from annotator.engine.adapter_files import load_adapter, save_adapter
    from annotator.engine.prompt_adapter import AdapterConfig
    from annotator.train.adapter import AdapterSettings, AdapterTrainer
    from annotator.train.adapter_run import run_adapter_training, run_key

    base = _plain(segmenter)
    data = (base.info.sha256, base.info.dtype, *(s.digest for s in sources), args.held_back, args.max_images, args.seed)
    channels = int(base.model.sam_mask_decoder.transformer_dim)  # type: ignore[union-attr,arg-type]
    config = replace(AdapterConfig(channels), **{ABLATIONS[part]: False for part in args.without})
    settings = AdapterSettings(
        epochs=args.epochs,
        minutes=args.minutes,
        batch=args.batch,
        accumulate=args.accumulate,
        learning_rate=args.lr,
        patience=args.patience,
        seed=args.seed,
    )
    windows, validation = _windows(args, base, parts, folder, data)
    trainer = AdapterTrainer(base, windows, settings=settings, config=config)
    print(f"{len(windows)} windows to learn from, {len(validation)} to stop by; all is kept in {folder.path}")
    bar = _Bar()
    try:
        run_adapter_training(
            trainer, validation, folder, key=run_key(data, config, settings, len(windows)), report=bar.show
        )
    finally:
        bar.close()
    trainer.network.load_state_dict(trainer.best)
    save_adapter(trainer.network, _card(args, base, config, parts, trainer.best_epoch), folder.candidate)
    return load_adapter(folder.candidate, base=base.info, device=base.device)


def _windows(
    args: argparse.Namespace, base: Sam2Segmenter, parts: Split, folder: RunFolder, data: Sequence[object]
) -> tuple[Any, Any]:
    """Encoded windows to train on, and to stop by (of other images, or other windows of the same few images)."""
    from tqdm import tqdm

    from annotator.train.adapter_cache import WindowCache
    from annotator.train.adapter_data import training_images

    found = []
    aside = max(16, args.windows // 8)
    for name, objects, count in (
        ("train", parts.train, args.windows),
        ("stop", parts.validation or parts.train, aside),
    ):
        images = training_images(objects, args.name)
        seed = args.seed if name == "train" else args.seed + 1_000_003
        place = folder.windows(name, *map(str, data))
        cache = WindowCache(place, base, images, count=count, seed=seed)
        with tqdm(desc=f"encoding ({name})", unit="window", leave=False, disable=None) as bar:

            def advance(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            cache.fill(advance)
        found.append(cache)
    return found[0], found[1]


class _Bar:
    """Progress of a run in the terminal."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._write = tqdm.write
        self._bar = tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed} {postfix}", leave=False, disable=None)

    def show(self, line: StepDone | EpochDone) -> None:
        from annotator.train.adapter_run import StepDone

        if isinstance(line, StepDone):
            self._bar.n = round(100 * line.share)
            self._bar.set_postfix_str(f"epoch {line.epoch} step {line.step} loss {line.loss:.3f}")
            return
        f = line.figures
        self._write(
            f"epoch {line.epoch}, {line.minutes:.1f} min: loss {line.losses['loss']:.3f}; validation box "
            f"IoU {f['box']:.3f} bIoU {f['box_biou']:.3f}, click IoU {f['click_1']:.3f} bIoU {f['click_1_biou']:.3f}"
            f"{', the best so far' if line.is_best else ''}"
        )

    def close(self) -> None:
        self._bar.close()


def _judge_and_install(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    adapter: Adapter,
    parts: Split,
    tests: Sequence[Source],
    folder: RunFolder,
) -> int:
    from annotator.engine.adapter_files import install, save_adapter
    from annotator.io.atomic import export_errors, write_atomic

    gate = _judged(args, segmenter, adapter, parts.held_back, "held-back images")
    tables = [gate.markdown("held-back images")]
    print(f"\n{tables[0]}\n")
    found = {"held back": gate.to_json()}
    for source in tests:
        result = _judged(args, segmenter, adapter, source.objects, source.name)
        tables.append(result.markdown(source.name))
        found[source.name] = result.to_json()
        print(f"{tables[-1]}\n")
    info = replace(adapter.info, figures=gate.figures())
    save_adapter(adapter.network, info, folder.candidate)
    card = card_text(info, tables)
    with export_errors(folder.gate_json):
        write_atomic(folder.gate_json, json.dumps(found, indent=1).encode())
        write_atomic(folder.gate_table, card.encode())
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
    target = install(folder.candidate, args.name)
    write_atomic(target.with_suffix(".md"), card.encode())
    print(f"installed {target}")
    return 0


def _judged(
    args: argparse.Namespace, segmenter: Sam2Segmenter | ZoomSegmenter, adapter: Adapter, objects: Any, name: str
) -> GateResult:
    from tqdm import tqdm

    from annotator.train.adapter_gate import judge

    with tqdm(desc=f"judging on {name}", unit="object", leave=False, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return judge(
            segmenter,
            adapter,
            objects,
            clicks=args.gate_clicks,
            max_objects=args.gate_objects,
            seed=args.seed,
            progress=advance,
        )


def verdict(gate: GateResult) -> str:
    """What the gate says, in a sentence."""
    from annotator.train.adapter_gate import DECIDING

    row = gate.row(DECIDING)
    said = "better than" if gate.is_better else "not better than"
    doubt = "" if gate.is_certain else "; the interval holds zero, so this may be chance"
    return (
        f"The adapter is {said} its base: boundary IoU {row.base.mean:.3f} -> {row.adapter.mean:.3f} "
        f"({row.difference.mean:+.3f}, 95 % interval {row.difference.low:+.3f} to {row.difference.high:+.3f}{doubt})."
    )


def card_text(info: AdapterInfo, tables: Sequence[str]) -> str:
    """The adapter's card, Markdown."""
    facts = [
        ("For", info.domain),
        ("Base", f"{info.base_name} (SHA-256 {info.base_sha256})"),
        ("Data", info.data),
        ("Epochs", f"{info.epochs:g}"),
        ("Date", info.date),
        ("Licence", info.licence or "not stated"),
    ]
    return (
        f"# Adapter: {info.name}\n\n" + "".join(f"- {n}: {v}\n" for n, v in facts) + "\n" + "\n\n".join(tables) + "\n"
    )


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


def _plain(segmenter: Sam2Segmenter | ZoomSegmenter) -> Sam2Segmenter:
    """The segmenter without zoom-in."""
    from annotator.engine.sam2_backend import Sam2Segmenter

    base = segmenter if isinstance(segmenter, Sam2Segmenter) else segmenter.base
    assert isinstance(base, Sam2Segmenter)
    return base
