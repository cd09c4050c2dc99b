"""What every training on cached embeddings shows and does in the terminal: windows, progress, the gate's table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotator.engine.sam2_backend import Sam2Segmenter
    from annotator.engine.zoom import ZoomSegmenter
    from annotator.train.adapter_data import Source, Split
    from annotator.train.adapter_gate import Contestant, GateResult
    from annotator.train.adapter_run import EpochDone, RunFolder, StepDone
    from annotator.train.prompted import AdapterSettings, PromptedTrainer, Windows
    from annotator.train.ranks import Ranks


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


def data_key(args: argparse.Namespace, base: Sam2Segmenter, sources: Sequence[Source]) -> tuple[object, ...]:
    """All that decides the encoded windows."""
    digests = [source.digest for source in sources]
    return (base.info.sha256, base.info.dtype, *digests, args.held_back, args.max_images, args.seed)


def folder_of(args: argparse.Namespace, name: str) -> RunFolder:
    """Where the run's files are: ``--work``, or a folder of that name in the program's cache."""
    import platformdirs

    from annotator.train.adapter_run import RunFolder

    return RunFolder(args.work or platformdirs.user_cache_path("annotator") / "train-adapter" / name)


def encoded_windows(
    args: argparse.Namespace,
    base: Sam2Segmenter,
    parts: Split,
    folder: RunFolder,
    data: Sequence[object],
    *,
    ranks: Ranks,
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
        with tqdm(desc=f"encoding ({name})", unit="window", leave=False, disable=ranks.no_bar) as bar:

            def advance(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            cache.fill(advance, ranks=ranks)
        found.append(cache)
    return found[0], found[1]


def train_with_bar(trainer: PromptedTrainer[Any], validation: Windows, folder: RunFolder, *, key: str) -> None:
    """Train to the end; the first process shows how it goes."""
    from annotator.train.adapter_run import run_adapter_training

    if not trainer.ranks.is_first:
        run_adapter_training(trainer, validation, folder, key=key, report=lambda _line: None)
        return
    together = f", {trainer.ranks.count} processes" if trainer.ranks.count > 1 else ""
    count = f"{len(trainer.windows)} windows to learn from, {len(validation)} to stop by"
    print(f"{count}{together}; all is kept in {folder.path}")
    bar = Bar()
    try:
        run_adapter_training(trainer, validation, folder, key=key, report=bar.show)
    finally:
        bar.close()


class Bar:
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
            f"IoU {f['box']:.3f} bIoU {f['box_biou']:.3f}, 1 click {f['click_1']:.3f} {f['click_1_biou']:.3f}, "
            f"5 clicks {f['click_5']:.3f} {f['click_5_biou']:.3f}"
            f"{', kept' if line.is_best else ''}"
        )

    def close(self) -> None:
        self._bar.close()


def judged(
    args: argparse.Namespace,
    contestants: tuple[Contestant, Contestant],
    objects: Any,
    name: str,
    *,
    candidate: str,
    folder: RunFolder,
) -> GateResult:
    """Base and candidate on the objects of a set, with a bar; goes on where a kill cut it off."""
    from tqdm import tqdm

    from annotator.train.adapter_gate import judge

    with tqdm(desc=f"judging on {name}", unit="object", leave=False, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return judge(
            *contestants,
            objects,
            name=candidate,
            clicks=args.gate_clicks,
            max_objects=args.gate_objects,
            seed=args.seed,
            progress=advance,
            state_path=folder.gate_state,
        )


def verdict(gate: GateResult) -> str:
    """What the gate says, in a sentence."""
    from annotator.train.adapter_gate import DECIDING

    row = gate.row(DECIDING)
    said = "better than" if gate.is_better else "not better than"
    doubt = "" if gate.is_certain else "; the interval holds zero, so this may be chance"
    return (
        f"The {gate.candidate} is {said} its base: boundary IoU {row.base.mean:.3f} -> {row.adapter.mean:.3f} "
        f"({row.difference.mean:+.3f}, 95 % interval {row.difference.low:+.3f} to {row.difference.high:+.3f}{doubt})."
    )


def card_markdown(title: str, facts: Sequence[tuple[str, str]], tables: Sequence[str]) -> str:
    """A card: a title, facts, and the gate's tables."""
    lines = "".join(f"- {name}: {value}\n" for name, value in facts)
    return f"# {title}\n\n{lines}\n" + "\n\n".join(tables) + "\n"


def plain(segmenter: Sam2Segmenter | ZoomSegmenter) -> Sam2Segmenter:
    """The segmenter without zoom-in."""
    from annotator.engine.sam2_backend import Sam2Segmenter

    base = segmenter if isinstance(segmenter, Sam2Segmenter) else segmenter.base
    assert isinstance(base, Sam2Segmenter)
    return base
