"""``annotator train-base``: train the embedded model on COCO sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.train.base import Stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sets", nargs="+", type=Path, help="folders with annotations.json (RLE masks) and images/")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.safetensors)")
    parser.add_argument("--state", type=Path, help="resumable state (default: OUT with .state); continued when present")
    parser.add_argument("--minutes", type=float, default=90.0, help="length of the run (default 90)")
    parser.add_argument(
        "--stages",
        default="0.4:160:16,0.35:256:12,0.25:320:10",
        help="share of the time : window side in pixels : windows per step, one after the other (default %(default)s)",
    )
    parser.add_argument("--objects", type=int, default=2, help="objects per window at most (default 2)")
    parser.add_argument("--size", type=int, default=320, help="the model's input side in pixels (default 320)")
    parser.add_argument("--channels", type=int, default=128, help="decoder width (default 128)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default 0.001)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=None, help="cpu or cuda (default: cuda when there is one)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's own choice)")


def parse_stages(text: str) -> tuple[Stage, ...]:
    """``share:side:batch`` triples with commas between them.

    Raises:
        UserError: not that form, or a side that is no multiple of 32.
    """
    from annotator.domain.errors import UserError
    from annotator.train.base import Stage

    stages = []
    for part in text.split(","):
        try:
            share, side, batch = part.split(":")
            stage = Stage(float(share), int(side), int(batch))
        except ValueError as error:
            raise UserError(f"--stages: {part!r} is not share:side:batch.", "Example: 0.6:160:16,0.4:320:10") from error
        if stage.share <= 0 or stage.side_px < 64 or stage.side_px % 32 or stage.batch < 2:
            raise UserError(f"--stages: {part!r} needs a share above 0, a side that 32 divides, 2 windows or more.")
        stages.append(stage)
    return tuple(stages)


def run(args: argparse.Namespace) -> int:
    import torch
    from tqdm import tqdm

    from annotator.engine.nano import NanoConfig
    from annotator.train.base import Progress, TrainSettings, run_training

    if args.threads > 0:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    settings = TrainSettings(
        minutes=args.minutes,
        stages=parse_stages(args.stages),
        objects_per_window=args.objects,
        learning_rate=args.lr,
        seed=args.seed,
    )
    config = NanoConfig(image_size=args.size, channels=args.channels)
    bar = tqdm(total=args.minutes, unit="min", bar_format="{l_bar}{bar}| {n:.1f}/{total:.0f} min {postfix}")

    def report(line: Progress) -> None:
        bar.n = min(line.minutes, args.minutes)
        bar.set_postfix_str(
            f"step {line.step} loss {line.loss:.3f} IoU first {line.iou_first:.3f} last {line.iou_last:.3f} "
            f"data wait {line.data_wait_share:.0%}"
        )

    out = run_training(
        roots=args.sets,
        out=args.out,
        state_path=args.state or args.out.with_suffix(".state"),
        settings=settings,
        config=config,
        device=device,
        report=report,
    )
    bar.close()
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
