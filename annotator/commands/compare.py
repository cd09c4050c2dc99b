"""``annotator compare``: two evaluations side by side, object by object."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ours", type=Path, help="a JSON of annotator evaluate")
    parser.add_argument("other", type=Path, nargs="?", help="another one, over the same objects")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table here, too")


def run(args: argparse.Namespace) -> int:
    """Print a Markdown table; say on which sets the other is better.

    Raises:
        UserError: a file is no evaluation, or the two share no objects, or few.
    """
    from annotator.commands.output import check_output
    from annotator.evaluate.compare import calibration, compare, markdown, mean_noc, read_evaluation
    from annotator.files.atomic import export_errors, write_atomic

    ours = read_evaluation(args.ours)
    other = read_evaluation(args.other) if args.other else None
    rows = compare(ours, other)
    text = markdown(rows, ours=ours.model, other=other.model if other else None)
    for evaluation in (ours, other):
        if evaluation is not None:
            clicks = {percent: mean_noc(evaluation, percent / 100) for percent in (80, 85, 90)}
            shown = {t: f"{found}" if rows[-1].has_intervals else f"{found.mean:.3f}" for t, found in clicks.items()}
            counts = ", ".join(f"NoC@{percent} {words}" for percent, words in shown.items())
            text += f"\n\n{evaluation.model}, clicks needed (cap {evaluation.clicks}): {counts}"
    if predicted := calibration(ours):
        found = ", ".join(f"{name} {value:.2f}" for name, value in predicted.items())
        text += f"\n\n{ours.model}, rank correlation of predicted and true IoU: {found}"
    lost = [f"{row.set_name} ({row.measure})" for row in rows if row.is_beaten]
    if other is not None:
        text += f"\n\n{other.model} is better on: {', '.join(lost) or 'nothing'}."
    print(text)
    if args.out is not None:
        check_output(args.out, sources=(args.ours, args.other))
        with export_errors(args.out):
            write_atomic(args.out, (text + "\n").encode())
    return 0
