"""Fits what chooses between the answers to a click, and what tells how good the chosen one is: the linear weights
(:class:`annotator.domain.answering.hypotheses.RatingWeights`), and the network that is added to the first.

For every object: the standard first click and another one, all answers of the zoom search, and their true IoU. The
linear weights come from ordinary least squares with a small ridge, the network from
:mod:`annotator.studies.rating_network_fit`. Run it on training sets, never on the sets that judge:

    python -m annotator.studies.rating_fit SETS... --model nano-3.safetensors --out nano-3.safetensors \\
        --workers 2 --evidence clicks.npz

``--evidence`` keeps what was collected; without SETS the fit is done again from there. With ``--out`` the file of an
embedded model is written again with its own weights of rating in it (the model's weights stay to the bit). Ratings and
a network that choose worse than what there is, on images that they were not fitted to, are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.calibration_text import CALIBRATION_KEY, calibration_text
from annotator.domain.answering.hypotheses import FITTED, Calibration, RatingWeights, weighed
from annotator.domain.answering.rating_network import RatingNetwork
from annotator.domain.statistics import spearman
from annotator.engine.load import weights_file
from annotator.engine.sam2.nano import say_in_nano
from annotator.engine.sam2.rating_tensors import COLUMNS_KEY, columns_text, rating_tensors
from annotator.studies.rating_evidence import AnsweredClick, collect_all, read_clicks, write_clicks, zooming
from annotator.studies.rating_network_fit import (
    USUAL_RECIPE,
    NetworkRecipe,
    chosen_by,
    fit_network,
    left_out_iou,
    mean_of_sets,
    shown_iou,
)

FloatArray = npt.NDArray[np.float64]
RIDGE = 1e-3
LEAST_GAIN = 0.003
"""A network that gains less than this of IoU on images that were left out is not worth its place."""


def fit(clicks: Sequence[AnsweredClick]) -> RatingWeights:
    """Least-squares weights; the cost of a contradicted click stays what it is.

    Raises:
        ValueError: no clicks.
    """
    if not clicks:
        raise ValueError("there is nothing to fit")
    rows, truth = np.concatenate([c.features for c in clicks]), np.concatenate([c.truth for c in clicks])
    solved = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(len(FITTED)), rows.T @ truth)
    return replace(RatingWeights(), **{name: round(float(v), 2) for name, v in zip(FITTED, solved, strict=True)})


def fit_expectation(clicks: Sequence[AnsweredClick], chosen: Sequence[int]) -> RatingWeights:
    """Least-squares weights for the answers that are chosen, one of each click.

    The square of the predicted IoU is left out: what is expected should never fall where the model hopes for more.

    Raises:
        ValueError: no clicks.
    """
    if not clicks:
        raise ValueError("there is nothing to fit")
    names = [name for name in FITTED if name != "predicted_squared"]
    columns = [FITTED.index(name) for name in names]
    rows = np.array([c.features[i, columns] for c, i in zip(clicks, chosen, strict=True)])
    truth = np.array([c.truth[i] for c, i in zip(clicks, chosen, strict=True)])
    solved = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(len(names)), rows.T @ truth)
    values = {name: round(float(v), 2) for name, v in zip(names, solved, strict=True)}
    return replace(RatingWeights(), predicted_squared=0.0, **values)


def expectation_rank(clicks: Sequence[AnsweredClick], chosen: Sequence[int], weights: RatingWeights) -> float:
    """Spearman's rank correlation of what is expected of the chosen answers with their true IoU, over the clicks."""
    expected = [
        float(np.clip(weighed(c.features, c.faults, weights)[i], 0.0, 1.0)) for c, i in zip(clicks, chosen, strict=True)
    ]
    return spearman(expected, [float(c.truth[i]) for c, i in zip(clicks, chosen, strict=True)])


def calibrate(
    clicks: Sequence[AnsweredClick], present: Calibration, recipe: NetworkRecipe | None = USUAL_RECIPE
) -> tuple[Calibration, list[str]]:
    """What fits the clicks, and what it is worth, in lines. What chooses worse than the present, on clicks that it was
    not fitted to, is left out.

    Args:
        recipe: of the network; None leaves it out.

    Raises:
        ValueError: fewer than two clicks.
    """
    halves = clicks[::2], clicks[1::2]
    held_back = float(np.mean([mean_of_sets(shown_iou(b, fit(a), None)) for a, b in (halves, halves[::-1])]))
    now = float(np.mean([mean_of_sets(shown_iou(half, present.ratings, None)) for half in halves]))
    fitted = fit(clicks)
    ratings = fitted if held_back > now else present.ratings
    rows, truth = np.concatenate([c.features for c in clicks]), np.concatenate([c.truth for c in clicks])
    lines = [
        f"ratings: {fitted}",
        f"{len(clicks)} clicks; IoU of the answer shown, mean of sets: {now:.4f} with the present weights, "
        f"{held_back:.4f} with these (fitted on the other half), "
        f"{mean_of_sets(_best_iou(clicks)):.4f} at best; rank correlation with the true IoU "
        f"{spearman((rows @ _vector(fitted)).tolist(), truth.tolist()):.3f} (predicted IoU alone "
        f"{spearman(rows[:, 1].tolist(), truth.tolist()):.3f})",
        "these ratings are taken" if ratings is fitted else "the present ratings stay",
    ]
    network = None
    if recipe is not None:
        network, said = _worthwhile(clicks, ratings, recipe)
        lines += said
    chosen = [chosen_by(click, ratings, network) for click in clicks]
    expectation = fit_expectation(clicks, chosen)
    ranks = [
        expectation_rank(clicks[b], chosen[b], fit_expectation(clicks[a], chosen[a]))
        for a, b in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2)))
    ]
    lines += [
        f"expectation: {expectation}",
        "rank correlation of what is expected of the answers shown with their true IoU: "
        f"{expectation_rank(clicks, chosen, present.expectation):.3f} with the present weights, {np.mean(ranks):.3f} "
        "with these (fitted on the other half)",
    ]
    return Calibration(ratings, expectation, network), lines


def _worthwhile(
    clicks: Sequence[AnsweredClick], ratings: RatingWeights, recipe: NetworkRecipe
) -> tuple[RatingNetwork | None, list[str]]:
    """A network that chooses better than the linear ratings alone on images that were left out, or None."""
    plain, with_network = (mean_of_sets(found) for found in left_out_iou(clicks, ratings, recipe))
    line = (
        f"network: IoU of the answer shown on images that were left out {plain:.4f} without it, {with_network:.4f} "
        "with it"
    )
    if with_network - plain >= LEAST_GAIN:
        return fit_network(clicks, ratings, recipe), [line, "the network is taken"]
    return None, [line, "there is no network"]


def compared(clicks: Sequence[AnsweredClick], before: Calibration, after: Calibration) -> list[str]:
    """IoU of the answers shown, by set, for the protocol's click and for others."""
    lines = []
    for name, some in (
        ("deepest point", [c for c in clicks if c.is_deepest]),
        ("elsewhere", [c for c in clicks if not c.is_deepest]),
    ):
        one, two = (shown_iou(some, it.ratings, it.network) for it in (before, after))
        lines += [f"{of_set}, {name}: {one[of_set]:.3f} to {two[of_set]:.3f}" for of_set in one]
        lines.append(f"mean of sets, {name}: {mean_of_sets(one):.4f} to {mean_of_sets(two):.4f}")
    chosen = [[chosen_by(click, it.ratings, it.network) for click in clicks] for it in (before, after)]
    ranks = [expectation_rank(clicks, which, it.expectation) for which, it in zip(chosen, (before, after), strict=True)]
    return [*lines, f"rank correlation of what is expected: {ranks[0]:.3f} to {ranks[1]:.3f}"]


def _best_iou(clicks: Sequence[AnsweredClick]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for click in clicks:
        found.setdefault(click.of_set, []).append(float(click.truth.max()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _vector(weights: RatingWeights) -> FloatArray:
    return np.array([getattr(weights, name) for name in FITTED], np.float64)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, print the weights and what they are worth, and write them into the model's file if that is asked for."""
    parser = argparse.ArgumentParser(description="fit what rates the answers to a click")
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--per-set", type=int, default=40, help="objects, two clicks each")
    parser.add_argument(
        "--evidence", type=Path, help="a file (.npz) that keeps what was collected, or without SETS has it"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that collect, of one thread each")
    parser.add_argument("--no-network", action="store_true", help="fit the linear weights alone")
    parser.add_argument("--check", nargs="+", type=Path, default=[], help="sets to say what it is worth on")
    parser.add_argument("--check-per-set", type=int, default=20)
    parser.add_argument("--out", type=Path, help="the model's file with these weights in it; may be the same file")
    args = parser.parse_args(argv)
    if not args.sets and args.evidence is None:
        parser.error("sets to click in, or a file of evidence, are needed")
    present = zooming(args.model).calibration
    if args.sets:
        clicks = collect_all(args.model, args.sets, per_set=args.per_set, workers=args.workers)
        if args.evidence is not None:
            write_clicks(args.evidence, clicks)
    else:
        clicks = read_clicks(args.evidence)
    found, lines = calibrate(clicks, present, None if args.no_network else USUAL_RECIPE)
    print("\n".join(lines), flush=True)
    if args.out is not None:
        network = found.network
        said = {CALIBRATION_KEY: calibration_text(found), COLUMNS_KEY: "" if network is None else columns_text()}
        rating = {} if network is None else rating_tensors(network)
        say_in_nano(weights_file(args.model).path, args.out, said, rating)
        print(f"wrote {args.out}", flush=True)
    if args.check:
        judged = collect_all(args.model, args.check, per_set=args.check_per_set, workers=args.workers)
        print("\n".join(compared(judged, present, found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
