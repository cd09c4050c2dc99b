"""How well "find all like this" finds the objects of annotated images, from one or a few examples of each.

Examples are drawn at random among the objects of an image (or of another image of the set); the others are to be
found. With ``--fit`` the weights of the rating are fitted as well, which is for training sets alone:

    python -m annotator.studies.like_study DEV --examples 1 --out like.json
    python -m annotator.studies.like_study TRAIN --fit
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError
from annotator.domain.likeness.rating import WEIGHTS, Answers
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE, Examples, LikeQuestion
from annotator.engine.like import LikeRun, LikeSearch
from annotator.engine.load import load_segmenter
from annotator.evaluate.detections import Found, at_threshold, average_precision, matched, precision_of_first
from annotator.io.formats.coco.parse import decode_segmentation
from annotator.io.images.reading import LoadedImage, load_image

FloatArray = npt.NDArray[np.float64]
SETS: dict[str, tuple[str, int]] = {
    "dsb2018_nuclei": ("", 5),
    "mushrooms": ("", 3),
    "embryos": ("", 4),
    "fruits_nuts": ("", 2),
    "building_facades": ("window", 4),
    "granular_material": ("", 4),
    "bottles": ("", 5),
}
"""Of each set: the label of the objects that are alike (empty: all), and how many images are looked at."""
LEAST_OBJECTS = 4
RIDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image of a set, and its objects."""

    name: str
    image: LoadedImage
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One search: all that the model answered, what it should have found, and what that cost."""

    answers: Answers
    truth: tuple[Mask, ...]
    seconds: float
    seeds: int

    def found(self, weights: Sequence[float] = WEIGHTS) -> Found:
        if not len(self.answers):
            nothing = matched((), (), self.truth)
            return replace(nothing, seconds=self.seconds, seeds=self.seeds)
        stay, scores = self.answers.rated(weights)
        found = matched([self.answers.items[at].mask for at in stay], scores, self.truth)
        return replace(found, seconds=self.seconds, seeds=self.seeds)


def scenes(root: Path, label: str, count: int) -> Iterator[Scene]:
    """Images of a set with some objects, drawn at random, always the same ones."""
    data = json.loads((root / "annotations.json").read_text("utf-8"))
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in data["annotations"]:
        if not label or row.get("source_label") == label:
            rows[row["image_id"]].append(row)
    images = [image for image in data["images"] if len(rows[image["id"]]) >= LEAST_OBJECTS]
    np.random.default_rng(0).shuffle(images)
    for image in images[:count]:
        loaded = load_image(root / image["file_name"])
        size = {"width": loaded.width, "height": loaded.height}
        masks = [decode_segmentation(row["segmentation"], **size)[0] for row in rows[image["id"]]]
        yield Scene(image["file_name"], loaded, tuple(mask for mask in masks if not mask.is_empty))


def chosen(masks: Sequence[Mask], count: int, seed: int) -> list[int]:
    """Which objects are the examples."""
    return [int(at) for at in np.random.default_rng(seed).permutation(len(masks))[:count]]


class Trials:
    """Searches with one model."""

    def __init__(self, segmenter: Segmenter) -> None:
        search = getattr(segmenter, "likeness", None)
        if not isinstance(search, LikeSearch):
            raise ModelError(
                f"{brief(segmenter.info.name)} cannot look for objects like examples.", "Name another model."
            )
        self._segmenter, self._search = segmenter, search

    def one(self, scene: Scene, examples: Sequence[int], source: Scene | None = None) -> Trial:
        """Search an image, by examples of its own or of another one."""
        image, shown = scene.image, scene if source is None else source
        masks = tuple(shown.masks[at] for at in examples)
        question = LikeQuestion((Examples(shown.image.rgb, shown.image.image_key, masks),))
        embedding = self._segmenter.encode(image.rgb, image.image_key)
        started = time.process_time()
        run: LikeRun = self._search.run()
        seeds = 0
        for step in self._search.steps_of(run, embedding, image.rgb, image.image_key, question, ()):
            seeds = step.total
        seconds = time.process_time() - started
        rest = [m for at, m in enumerate(scene.masks) if source is not None or at not in examples]
        return Trial(run.answers, tuple(rest), seconds, seeds)


def trials_of(
    trials: Trials, root: Path, label: str, count: int, *, examples: int, seed: int, is_other: bool
) -> Iterator[Trial]:
    """Of one set. With ``is_other`` the examples are of the first image, and the next three are searched."""
    found = list(scenes(root, label, count))
    if is_other:
        for scene in found[1:4]:
            yield trials.one(scene, chosen(found[0].masks, examples, seed), found[0])
        return
    for scene in found:
        yield trials.one(scene, chosen(scene.masks, examples, seed))


def best_ious(trial: Trial) -> FloatArray:
    """Of every answer, with the object that it overlaps most with."""
    return np.array([max((a.mask.iou(one) for one in trial.truth), default=0.0) for a in trial.answers.items])


def fit(by_set: Sequence[Sequence[Trial]]) -> tuple[float, ...]:
    """Least-squares weights of the rating; every set and every image in it counts alike."""
    count = len(WEIGHTS)
    normal, target = np.zeros((count, count)), np.zeros(count)
    for trials in by_set:
        for trial in trials:
            if len(trial.answers):
                rows, truth = trial.answers.features(), best_ious(trial)
                weight = 1 / (len(rows) * len(trials))
                normal, target = normal + weight * rows.T @ rows, target + weight * rows.T @ truth
    solved = np.linalg.solve(normal + RIDGE * np.eye(count), target)
    return tuple(round(float(value), 2) for value in solved)


def figures(found: Sequence[Found]) -> dict[str, float]:
    """The row of a set."""
    precision, recall = at_threshold(found, LEAST_LIKE_SCORE)
    return {
        "images": len(found),
        "objects": sum(one.objects for one in found),
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "ap50": round(average_precision(found), 3),
        "first10": round(precision_of_first(found), 3),
        "seconds": round(float(np.median([one.seconds for one in found])), 1),
        "seeds": round(float(np.mean([one.seeds for one in found])), 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Search, print a row for each set, write them."""
    parser = argparse.ArgumentParser(description="figures of the search for objects like examples")
    parser.add_argument("data", type=Path, help="a folder of image sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET")
    parser.add_argument("--model")
    parser.add_argument("--examples", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=0, help="at most so many of a set")
    parser.add_argument("--other-image", action="store_true", help="the examples are of another image")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the rating, too")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    trials = Trials(load_segmenter(args.model))
    table: dict[str, dict[str, float]] = {}
    kept: list[list[Trial]] = []
    for name in args.sets:
        label, count = SETS.get(name, ("", 4))
        count = min(count, args.images) if args.images else count
        choice = {"examples": args.examples, "seed": args.seed, "is_other": args.other_image}
        done = list(trials_of(trials, args.data / name, label, count, **choice))
        if not done:
            raise UserError(f"{args.data / name} has no image with {LEAST_OBJECTS} such objects.")
        table[name] = figures([trial.found() for trial in done])
        print(name, table[name], flush=True)
        if args.fit:
            kept.append(done)
    table["mean"] = {key: round(float(np.mean([row[key] for row in table.values()])), 3) for key in table[args.sets[0]]}
    print("mean", table["mean"])
    if args.fit:
        weights = fit(kept)
        print("weights", weights)
        print("mean ap50", np.mean([average_precision([t.found(weights) for t in done]) for done in kept]).round(3))
    if args.out is not None:
        args.out.write_text(json.dumps(table, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
