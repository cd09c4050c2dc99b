"""Fits the weights that rate the answers to a click, and those that tell how good the chosen one is
(:class:`annotator.domain.answering.hypotheses.RatingWeights`, ``EXPECTATION``).

For every object: the standard first click, all answers of the zoom search, and their true IoU. Ordinary least squares
with a small ridge. Run it on training sets, never on the sets that judge:

    python -m annotator.studies.rating_fit --model nano-3.safetensors --out nano-3.safetensors SETS...

With ``--out`` the file of an embedded model is written again with its own weights of rating in it (the model's weights
stay to the bit), unless they choose worse than those that it has: then it keeps these.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.calibration_text import CALIBRATION_KEY, calibration_text
from annotator.domain.answering.clicks import next_click
from annotator.domain.answering.hypotheses import FITTED, Calibration, RatingWeights, features
from annotator.domain.errors import ModelError
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.statistics import spearman
from annotator.engine.load import load_segmenter, weights_file
from annotator.engine.sam2.nano import say_in_nano
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.evaluate.objects import read_evaluation_set
from annotator.io.images.reading import load_image

FloatArray = npt.NDArray[np.float64]
RIDGE = 1e-3


def samples(
    segmenter: ZoomSegmenter, roots: Sequence[Path], *, per_set: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Features (n x 7) and true IoU (n) of the answers to one object's first click, object by object."""
    for root in roots:
        images_dir = root / "images" if (root / "images").is_dir() else root
        chosen = read_evaluation_set(root / "annotations.json", images_dir).subset(per_set, seed=0)
        for image, items in groupby(chosen, key=lambda item: item.image):
            loaded = load_image(image.path, frame=image.frame)
            embedding = segmenter.encode(loaded.rgb, loaded.image_key)
            for item in items:
                target = item.mask()
                truth = target.full()
                click = next_click(np.zeros_like(truth), truth)
                if click is None:
                    continue
                found = segmenter.hypotheses(embedding, Prompts((PointPrompt(click.x, click.y),)))
                if found:
                    yield features(found), np.array([target.iou(h.candidate.mask) for h in found])


def fit(data: Sequence[tuple[FloatArray, FloatArray]]) -> RatingWeights:
    """Least-squares weights; the cost of a contradicted click stays what it is.

    Raises:
        ValueError: no samples.
    """
    if not data:
        raise ValueError("there is nothing to fit")
    rows, truth = np.concatenate([x for x, _ in data]), np.concatenate([y for _, y in data])
    solved = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(len(FITTED)), rows.T @ truth)
    return replace(RatingWeights(), **{name: round(float(v), 2) for name, v in zip(FITTED, solved, strict=True)})


def fit_expectation(
    data: Sequence[tuple[FloatArray, FloatArray]], ratings: RatingWeights | None = None
) -> RatingWeights:
    """Least-squares weights for the answers that these ratings choose (None: the usual ones), one of each object.

    The square of the predicted IoU is left out: what is expected should never fall where the model hopes for more.

    Raises:
        ValueError: no samples.
    """
    if not data:
        raise ValueError("there is nothing to fit")
    rating = _vector(ratings or RatingWeights())
    chosen = [int((rows @ rating).argmax()) for rows, _ in data]
    names = [name for name in FITTED if name != "predicted_squared"]
    columns = [FITTED.index(name) for name in names]
    rows = np.array([x[i, columns] for (x, _), i in zip(data, chosen, strict=True)])
    truth = np.array([y[i] for (_, y), i in zip(data, chosen, strict=True)])
    solved = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(len(names)), rows.T @ truth)
    values = {name: round(float(v), 2) for name, v in zip(names, solved, strict=True)}
    return replace(RatingWeights(), predicted_squared=0.0, **values)


def expectation_rank(
    data: Sequence[tuple[FloatArray, FloatArray]], weights: RatingWeights, ratings: RatingWeights | None = None
) -> float:
    """Spearman's rank correlation of what is expected of the chosen answers with their true IoU, over the objects."""
    rating, vector = _vector(ratings or RatingWeights()), _vector(weights)
    chosen = [int((rows @ rating).argmax()) for rows, _ in data]
    expected = [float(x[i] @ vector) for (x, _), i in zip(data, chosen, strict=True)]
    return spearman(expected, [float(y[i]) for (_, y), i in zip(data, chosen, strict=True)])


def chosen_iou(data: Sequence[tuple[FloatArray, FloatArray]], weights: RatingWeights) -> float:
    """Mean true IoU of the answers that the weights would show."""
    vector = _vector(weights)
    return float(np.mean([y[int((x @ vector).argmax())] for x, y in data]))


def calibrate(data: Sequence[tuple[FloatArray, FloatArray]], present: Calibration) -> tuple[Calibration, list[str]]:
    """What fits the data, and what it is worth, in lines. Ratings that choose worse than the present ones on objects
    that they were not fitted to are left out.

    Raises:
        ValueError: fewer than two objects.
    """
    halves = data[::2], data[1::2]
    held_back = float(np.mean([chosen_iou(b, fit(a)) for a, b in (halves, halves[::-1])]))
    now = chosen_iou(data, present.ratings)
    fitted = fit(data)
    ratings = fitted if held_back > now else present.ratings
    expectation = fit_expectation(data, ratings)
    rows, truth = np.concatenate([x for x, _ in data]), np.concatenate([y for _, y in data])
    ranks = [expectation_rank(b, fit_expectation(a, ratings), ratings) for a, b in (halves, halves[::-1])]
    return Calibration(ratings, expectation), [
        f"ratings: {fitted}",
        f"{len(data)} objects; IoU of the answer shown: {now:.3f} with the present weights, {held_back:.3f} with these "
        f"(fitted on the other half), {np.mean([y.max() for _, y in data]):.3f} at best; rank correlation with the "
        f"true IoU {spearman((rows @ _vector(fitted)).tolist(), truth.tolist()):.3f} (predicted IoU alone "
        f"{spearman(rows[:, 1].tolist(), truth.tolist()):.3f})",
        "these ratings are taken" if ratings is fitted else "the present ratings stay",
        f"expectation: {expectation}",
        "rank correlation of what is expected of the answers shown with their true IoU: "
        f"{expectation_rank(data, present.expectation, ratings):.3f} with the present weights, {np.mean(ranks):.3f} "
        "with these (fitted on the other half)",
    ]


def _vector(weights: RatingWeights) -> FloatArray:
    return np.array([getattr(weights, name) for name in FITTED], np.float64)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, print the weights and what they are worth, and write them into the model's file if that is asked for."""
    parser = argparse.ArgumentParser(description="fit the weights that rate the answers to a click")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--per-set", type=int, default=20)
    parser.add_argument("--out", type=Path, help="the model's file with these weights in it; may be the same file")
    args = parser.parse_args(argv)
    segmenter = load_segmenter(args.model, zoom=True)
    if not isinstance(segmenter, ZoomSegmenter):
        raise ModelError("This model has no zoom-in to rate.")
    found, lines = calibrate(list(samples(segmenter, args.sets, per_set=args.per_set)), segmenter.calibration)
    print("\n".join(lines))
    if args.out is not None:
        say_in_nano(weights_file(args.model).path, args.out, {CALIBRATION_KEY: calibration_text(found)})
        print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
