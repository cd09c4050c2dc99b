"""How much of annotated images "segment everything" proposes, and how many proposals that takes.

    python -m annotator.studies.everything_study DEV --model nano-3 --images 3
    python -m annotator.studies.everything_study DEV --model nano-3 --set pred_iou_thresh=0.3

*Recall* is the share of objects that some proposal overlaps enough with; *shown* is what the window shows before
anybody moves a slider. Not every object of these images is annotated, so that precision is a lower bound.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.asking import proposals_of
from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError
from annotator.domain.ports.engine import AnswersEverything, Segmenter
from annotator.domain.proposals.remembered import FIRST_LIMITS
from annotator.domain.proposals.table import KeptProposal, ProposalTable
from annotator.engine.load import load_segmenter
from annotator.studies.like_study import scenes

SETS = (
    "dsb2018_nuclei",
    "mushrooms",
    "embryos",
    "granular_material",
    "bottles",
    "kuih_cakes",
    "snack_packets",
    "aerial_buildings",
    "coco_permissive",
    "coco_scenes",
)
HIT_IOUS = (0.5, 0.75)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What one image gave.

    Attributes:
        best: of each annotated object the largest IoU with a proposal; shown_best: with one that is shown at first.
        hits: how many of those shown are an object of their own.
        rows: n x 3, of every proposal the predicted IoU, stability, and IoU with the object that it fits best.
    """

    best: FloatArray
    shown_best: FloatArray
    hits: int
    shown: int
    rows: FloatArray
    seconds: float


def answered(segmenter: Segmenter, scene: Any, settings: EverythingSettings) -> Answered:
    """Ask for everything in one image.

    Raises:
        ModelError: the model is not asked for everything.
    """
    if not isinstance(segmenter, AnswersEverything):
        raise ModelError(f"{brief(segmenter.info.name)} cannot be asked for everything.", "Name another model.")
    started = time.process_time()
    embedding = segmenter.encode(scene.image.rgb, scene.image.image_key)
    found = proposals_of(segmenter.everything(embedding, scene.image.rgb, settings))
    seconds = time.process_time() - started
    overlaps = np.array([[p.mask.iou(one) for one in scene.masks] for p in found]).reshape(len(found), -1)
    at = [one - 1 for one in shown_at_first(found)]
    return Answered(
        overlaps.max(0, initial=0.0),
        overlaps[at].max(0, initial=0.0),
        hits_of(overlaps[at]),
        len(at),
        np.array([(p.predicted_iou, p.stability_score, best) for p, best in zip(found, overlaps.max(1), strict=True)]),
        seconds,
    )


def shown_at_first(found: Sequence[Proposal]) -> tuple[int, ...]:
    """What the window shows before anybody has moved a slider: places from 1, the best first."""
    rows = [
        KeptProposal(at + 1, p.mask.tight(), b"", p.predicted_iou) for at, p in enumerate(found) if not p.mask.is_empty
    ]
    return ProposalTable(rows).shown(FIRST_LIMITS)


def hits_of(overlaps: FloatArray) -> int:
    """Of proposals x objects, the best first: how many proposals take an object of their own."""
    free, hits = overlaps.copy(), 0
    for row in range(len(free)):
        best = int(free[row].argmax()) if free.shape[1] else -1
        if best >= 0 and free[row, best] >= HIT_IOUS[0]:
            hits += 1
            free[:, best] = 0.0
    return hits


def figures(images: Sequence[Answered]) -> dict[str, float]:
    """The row of a set."""
    best, shown = (np.concatenate([getattr(one, name) for one in images]) for name in ("best", "shown_best"))
    row: dict[str, float] = {"images": len(images), "objects": len(best)}
    row |= {f"recall{100 * iou:.0f}": round(float((best >= iou).mean()), 3) for iou in HIT_IOUS}
    row["proposals"] = round(float(np.mean([len(one.rows) for one in images])), 1)
    row["shown_recall50"] = round(float((shown >= HIT_IOUS[0]).mean()), 3)
    row["shown_precision50"] = round(sum(one.hits for one in images) / max(sum(one.shown for one in images), 1), 3)
    row["shown"] = round(float(np.mean([one.shown for one in images])), 1)
    row["seconds"] = round(float(np.mean([one.seconds for one in images])), 1)
    return row


def changed(settings: EverythingSettings, texts: Sequence[str]) -> EverythingSettings:
    """With ``NAME=VALUE`` in place of what suits the model.

    Raises:
        UserError: no such setting, or no such value.
    """
    kinds: dict[str, Any] = {field.name: type(field.default) for field in dataclasses.fields(EverythingSettings)}
    values: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            values[name] = kinds[name](json.loads(value))
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{text} is no setting.", f"Known: {', '.join(kinds)}.") from error
    return dataclasses.replace(settings, **values).checked()


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, print a row for each set, write them."""
    parser = argparse.ArgumentParser(description='figures of "segment everything"')
    parser.add_argument("data", type=Path, help="a folder of image sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET")
    parser.add_argument("--model")
    parser.add_argument("--images", type=int, default=3, help="of each set")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting")
    parser.add_argument("--out", type=Path, help="the table, and every proposal's figures, as JSON")
    args = parser.parse_args(argv)
    segmenter = load_segmenter(args.model)
    suits = getattr(segmenter, "everything_settings", EverythingSettings())
    settings = changed(suits, args.set)
    table: dict[str, dict[str, float]] = {}
    rows: dict[str, list[list[list[float]]]] = {}
    for name in args.sets:
        images = [answered(segmenter, scene, settings) for scene in scenes(args.data / name, "", args.images)]
        table[name] = figures(images)
        rows[name] = [one.rows.round(4).tolist() for one in images]
        print(name, table[name], flush=True)
    table["mean"] = {key: round(float(np.mean([row[key] for row in table.values()])), 3) for key in table[args.sets[0]]}
    print("mean", table["mean"])
    if args.out is not None:
        args.out.write_text(json.dumps({"table": table, "proposals": rows}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
