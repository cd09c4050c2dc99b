"""``annotator evaluate --dataset hqseg44k``: the table of HQ-SAM and PA-SAM, with this model in it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.adapter_option import load_named_adapter
from annotator.commands.evaluate import finish, how_to_go_on, make_segmenter, state_of
from annotator.commands.output import check_output
from annotator.domain.errors import UserError

if TYPE_CHECKING:
    from annotator.evaluate.hqseg44k import HqResult, PairResult

_LEFT_OUT_SHOWN = 5


def run(args: argparse.Namespace) -> int:
    """Evaluate what is there of the four sets; print the papers' table with this model's rows.

    Raises:
        UserError: the folders, model, adapter, an image or an output cannot be used.
    """
    from annotator.evaluate.hqseg44k import read_pairs
    from annotator.evaluate.hqseg44k_table import PUBLISHED, table

    check_options(args)
    if args.json is not None:
        check_output(args.json)
    read_pairs(args.root)  # before a large model is loaded
    state_path = state_of(args)
    try:
        result = _evaluate(args, state_path)
    except KeyboardInterrupt:
        print(f"\nannotator: {how_to_go_on(state_path)}", file=sys.stderr)
        raise
    for line in result.left_out[:_LEFT_OUT_SHOWN]:
        print(f"left out: {line}", file=sys.stderr)
    if (more := len(result.left_out) - _LEFT_OUT_SHOWN) > 0:
        print(f"left out: {more} more (--json names them all)", file=sys.stderr)
    print(table(result))
    if args.max_objects is not None:
        print(f"A part of the sets only: at most {args.max_objects} images of each.")
    published = [asdict(row) for row in PUBLISHED]
    finish(args, state_path, json.dumps({**result.to_json(), "published": published}, indent=1))
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Refuse what belongs to COCO sets alone.

    Raises:
        UserError
    """
    if args.root is None:
        raise UserError("--dataset hqseg44k needs --root DIR.", "DIR holds DIS5K and thin_object_detection.")
    given = {"--coco": args.coco, "--images": args.images, "--clicks": args.clicks, "--degrade": args.degrade}
    wrong = [name for name, value in given.items() if value is not None]
    if args.jitter:
        wrong.append("--jitter")
    if wrong:
        raise UserError(f"{', '.join(wrong)}: not with --dataset hqseg44k.", "It is the true box, once per image.")


def _evaluate(args: argparse.Namespace, state_path: Path | None) -> HqResult:
    from annotator.commands.job_bar import run_with_bar
    from annotator.evaluate.hqseg44k import evaluate_hqseg44k
    from annotator.jobs.job import Job

    segmenter: Any = make_segmenter(args)
    adapter = None if args.adapter is None else load_named_adapter(args.adapter, segmenter)

    def work(job: Job) -> HqResult:
        def advance(done: int, total: int, newest: PairResult) -> None:
            adapted = "" if newest.adapter_biou is None else f" > {newest.adapter_biou:.2f}"
            job.note(f"{newest.set_name} IoU {newest.iou:.2f}, bIoU {newest.biou:.2f}{adapted}")
            job.progress(done, total)

        return evaluate_hqseg44k(
            segmenter,
            args.root,
            adapter=adapter,
            max_objects=args.max_objects,
            seed=args.seed,
            progress=advance,
            state_path=state_path,
        )

    return run_with_bar(Job("hqseg44k", unit="image"), work, stays=True, is_named=True)
