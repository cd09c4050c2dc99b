"""Do later clicks help? IoU after every few clicks, and how far it falls on the way, from results of ``evaluate``.

    python -m annotator.studies.click_curve nano-3.json nano-2.json

Only objects that all results have are counted, so that the lines can be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotator.domain.errors import ImportFormatError
from annotator.evaluate.compare import Evaluation, read_evaluation

SHOWN = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
"""Clicks."""
LOST = 0.05
"""An object that ends this far below its best has lost what a person had."""

FloatArray = npt.NDArray[np.float64]


def curves_of(evaluation: Evaluation, others: Sequence[Evaluation] = ()) -> dict[str, FloatArray]:
    """By set, IoU of every object (rows, of all results) after every click (columns)."""
    found = {}
    for name, items in evaluation.sets.items():
        shared = [number for number in items if all(number in other.sets.get(name, {}) for other in others)]
        if shared:
            found[name] = np.array([items[number]["iou"][: evaluation.clicks] for number in shared], np.float64)
    return found


def falls(curves: FloatArray) -> float:
    """The sum of all steps down, a mean over objects: 0 where no click ever makes a mask worse."""
    return float(-np.minimum(np.diff(curves, axis=1), 0).sum(axis=1).mean()) if curves.size else 0.0


def lost(curves: FloatArray) -> float:
    """The share of objects that end more than ``LOST`` below the best that they were."""
    return float((curves.max(axis=1) - curves[:, -1] > LOST).mean()) if curves.size else 0.0


def table(evaluations: Sequence[Evaluation], *, per_set: Sequence[str] = ()) -> str:
    """Markdown: a line for each result, over all objects (every set counts the same), then for each of some sets.

    Raises:
        ImportFormatError: the results share no objects.
    """
    clicks = [n for n in SHOWN if n <= min(evaluation.clicks for evaluation in evaluations)]
    lines = [
        f"| clicks | {' | '.join(map(str, clicks))} | falls | end {LOST} below |",
        "|" + "---|" * (len(clicks) + 3),
    ]
    every = [curves_of(one, [other for other in evaluations if other is not one]) for one in evaluations]
    if not any(every):
        raise ImportFormatError("These results share no objects.", "Evaluate the same sets with the same seed.")
    for name in ("", *per_set):
        for evaluation, by_set in zip(evaluations, every, strict=True):
            chosen = [curves for one, curves in by_set.items() if name in ("", one)]
            if not chosen:
                continue
            means = np.mean([curves.mean(axis=0) for curves in chosen], axis=0)
            cells = [f"{means[n - 1]:.3f}" for n in clicks]
            cells += [f"{np.mean([falls(c) for c in chosen]):.3f}", f"{np.mean([lost(c) for c in chosen]):.0%}"]
            lines.append(f"| {evaluation.model}{', ' if name else ''}{name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of the results that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="JSON of annotator evaluate")
    parser.add_argument("--sets", nargs="*", default=[], help="sets with lines of their own")
    args = parser.parse_args(argv)
    print(table([read_evaluation(path) for path in args.results], per_set=args.sets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
