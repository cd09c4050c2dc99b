"""``annotator train-adapter --fine-tune-decoder``: what an adapter is compared with, a decoder trained as a whole."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from annotator.commands.train.run import (
    card_markdown,
    data_key,
    encoded_windows,
    judged,
    plain,
    settings_of,
    train_with_bar,
    verdict,
)

if TYPE_CHECKING:
    from annotator.engine.sam2.segmenter import Sam2Segmenter
    from annotator.engine.zoom.segmenter import ZoomSegmenter
    from annotator.studies.decoder_tuning import DecoderTrainer
    from annotator.train.data.sources import Source, Split
    from annotator.train.run.adapter_run import RunFolder
    from annotator.train.steps.ranks import Ranks

CANDIDATE = "fine-tuned decoder"


def check(args: argparse.Namespace) -> None:
    """See that the options go together, and that the output would not take the place of the base.

    Raises:
        UserError: they do not, or it would; or there is no such model.
    """
    from annotator.domain.errors import UserError
    from annotator.engine.load import weights_file
    from annotator.studies.tuned_files import check_tuned_path

    if args.out is None:
        raise UserError(
            "A fine-tuned decoder is a model of its own and is never installed.", "Say with --out where to write it."
        )
    if args.without or args.force:
        raise UserError("--without and --force are for adapters.", "Leave them out, or leave --fine-tune-decoder out.")
    check_tuned_path(weights_file(args.model, config=args.config), args.out)


def train(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    sources: Sequence[Source],
    parts: Split,
    folder: RunFolder,
    ranks: Ranks,
) -> DecoderTrainer:
    """Encode and train; the trainer's ``best`` holds the weights.

    Raises:
        UserError: an image or state cannot be used.
    """
    from annotator.studies.decoder_tuning import DecoderTrainer
    from annotator.train.run.adapter_run import run_key

    base = plain(segmenter)
    data = data_key(args, base, sources, parts)
    settings = settings_of(args, ranks)
    key = run_key(data, CANDIDATE, settings, args.windows)
    windows, validation = encoded_windows(args, base, parts, folder, data, key=key, ranks=ranks)
    trainer = DecoderTrainer(base, windows, settings=settings, ranks=ranks)
    train_with_bar(trainer, validation, folder, key=key)
    return trainer


def write_and_judge(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    trainer: DecoderTrainer,
    parts: Split,
    tests: Sequence[Source],
    folder: RunFolder,
) -> int:
    """Write the model with the best weights to ``--out`` and compare it with its base; exit code 0.

    Raises:
        UserError: an image or output cannot be used.
    """
    import torch

    from annotator.engine.load import load_sam2_segmenter, weights_file
    from annotator.engine.zoom.segmenter import ZoomSegmenter
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.studies.decoder_tuning import weights_digest
    from annotator.train.run.gate import Contestant

    base = plain(segmenter)
    _write(args, base, parts, trainer)
    tuned = load_sam2_segmenter(
        str(args.out),
        device=base.device.type,
        config=weights_file(args.model, config=args.config).config,
        dtype=getattr(torch, base.info.dtype),
        zoom=isinstance(segmenter, ZoomSegmenter),
    )
    weights = f"{base.info.sha256} {weights_digest(trainer.best)}"
    contestants = (Contestant(segmenter), Contestant(tuned, weights=weights))
    judgement = judged(args, contestants, parts, tests, folder, candidate=CANDIDATE)
    card = _card(args, base, parts, trainer.best_epoch, judgement.tables)
    judgement.write(folder, card)
    with export_errors(args.out):
        write_atomic(args.out.with_suffix(".md"), card.encode())
    print(verdict(judgement.gate))
    return 0


def _write(args: argparse.Namespace, base: Sam2Segmenter, parts: Split, trainer: DecoderTrainer) -> None:
    from annotator.engine.load import weights_file
    from annotator.files.atomic import export_errors
    from annotator.studies.tuned_files import save_tuned

    metadata = {
        "fine_tuned_from": f"{base.info.name} {base.info.sha256}",
        "fine_tuned_on": parts.describe(),
        "fine_tuned_epochs": str(trainer.best_epoch),
        "licence": args.licence or "not stated",
        "date": _today(),
    }
    with export_errors(args.out):
        save_tuned(trainer.best, args.out, base=weights_file(args.model, config=args.config), metadata=metadata)
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")


def _card(args: argparse.Namespace, base: Sam2Segmenter, parts: Split, epochs: int, tables: Sequence[str]) -> str:
    facts = [
        ("For", args.domain or ", ".join(path.resolve().stem for path in args.sources)),
        ("Base", f"{base.info.name} (SHA-256 {base.info.sha256}); its mask decoder was trained further, as a whole"),
        ("Data", parts.describe()),
        ("Epochs", str(epochs)),
        ("Date", _today()),
        ("Licence", args.licence or "not stated"),
    ]
    return card_markdown(f"Fine-tuned decoder: {args.name}", facts, tables)


def _today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()
