"""How good a search is: objects that are found, with scores, against those that are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

HIT_IOU = 0.5
FIRST = 10
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found in one image, the best first.

    Attributes:
        scores: n; hits: n, whether each is an object of its own; objects: how many there were to find.
        seconds: of processor time; seeds: places that were asked.
    """

    scores: FloatArray
    hits: npt.NDArray[np.bool_]
    objects: int
    seconds: float = 0.0
    seeds: int = 0


def matched(masks: Sequence[Mask], scores: Sequence[float], truth: Sequence[Mask]) -> Found:
    """Each, the best first, takes the object that it overlaps most with, from ``HIT_IOU`` on."""
    free = list(truth)
    hits = []
    order = np.argsort(-np.array(scores), kind="stable").tolist()
    for at in order:
        overlaps = [masks[at].iou(one) for one in free]
        best = int(np.argmax(overlaps)) if overlaps else -1
        hits.append(best >= 0 and overlaps[best] >= HIT_IOU)
        if hits[-1]:
            free.pop(best)
    return Found(np.array([scores[at] for at in order], np.float64), np.array(hits, np.bool_), len(truth))


def at_threshold(found: Sequence[Found], least: float) -> tuple[float, float]:
    """Precision and recall over all images of what scores ``least`` or more."""
    hits = sum(int(one.hits[one.scores >= least].sum()) for one in found)
    shown = sum(int((one.scores >= least).sum()) for one in found)
    return hits / max(shown, 1), hits / max(sum(one.objects for one in found), 1)


def average_precision(found: Sequence[Found]) -> float:
    """Of all images together, interpolated at 101 recalls as COCO does."""
    scores, hits = (np.concatenate([getattr(one, name) for one in found]) for name in ("scores", "hits"))
    total = sum(one.objects for one in found)
    if not len(scores) or not total:
        return 0.0
    hits = hits[np.argsort(-scores, kind="stable")]
    right = np.cumsum(hits)
    precision = np.maximum.accumulate((right / np.arange(1, len(hits) + 1))[::-1])[::-1]
    recall = right / total
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(precision, 0.0)[places].mean())


def precision_of_first(found: Sequence[Found], count: int = FIRST) -> float:
    """Of the best ones of every image."""
    firsts = [one.hits[:count] for one in found if len(one.hits)]
    return float(np.concatenate(firsts).mean()) if firsts else 0.0
