"""Which of several answers to the same clicks is most likely the object that the person means.

A click says where an object is, not how large it is. So it is asked in pieces of several sizes round the click, and
each answer is rated: by the model's own predicted IoU, by its stability (both as in SAM, Kirillov et al., ICCV 2023),
by how well the answers from other pieces agree with it, and by the clicks that it explains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.rating_network import RatingNetwork
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.domain.prompt import PointPrompt

SAMPLES = 64
"""Overlaps are counted on about this many rows and columns: a rating needs no more."""
SAME_IOU = 0.8
"""Two answers that overlap more than this are one to a person who looks for another."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A candidate (not empty, in image pixels) and the piece of the image that it was found in."""

    candidate: Candidate
    region: Region


@dataclass(frozen=True, slots=True)
class RatingWeights:
    """A linear model of how good an answer is, fitted on training images (docs/studies/nano-log.md).

    Attributes:
        predicted, predicted_squared, stability: of what the model says about the answer.
        agreement: of the mean IoU with the answers from other pieces, each counted by its own predicted IoU.
        log_size: of the natural logarithm of the answer's longer side as a share of the image's.
        small: of how far below ``SMALL`` the answer's longer side is, as a share of its piece's.
        contradiction: of each click on the wrong side of the answer's outline (not fitted: the clicks are right).
        cut: of an answer that ends at the edge of its piece (not fitted: the rest of it is known to be missing).
    """

    constant: float = 0.17
    predicted: float = -0.53
    predicted_squared: float = 0.79
    stability: float = 0.25
    agreement: float = 1.19
    log_size: float = 0.08
    small: float = 0.05
    contradiction: float = -0.4
    cut: float = -0.1


SMALL = 0.15


FITTED = ("constant", "predicted", "predicted_squared", "stability", "agreement", "log_size", "small")
"""The weights that are fitted, in the order of :func:`features`' columns."""


EXPECTATION = RatingWeights(
    constant=0.10,
    predicted=0.17,
    predicted_squared=0.0,
    stability=0.70,
    agreement=0.20,
    log_size=0.05,
    small=-2.31,
)
"""The same model, fitted to the true IoU of the answers that are shown, one of each object: see :class:`Judged`."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the answers of one model are weighed; every model's own, since each means another thing by its numbers.

    Attributes:
        ratings: between the answers to one click.
        expectation: of the answer that is shown, between objects.
        network: added to the ratings of the answers to a single click, of models that have one
            (:mod:`annotator.domain.answering.evidence`).
    """

    ratings: RatingWeights = RatingWeights()
    expectation: RatingWeights = EXPECTATION
    network: RatingNetwork | None = None


USUAL = Calibration()
"""For models that bring none of their own; fitted for ``nano``."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What there is to say about answers to the same clicks, each n float64.

    Two questions, for which other things count. Between the answers to one click, agreement between the pieces tells
    which object is meant. Between objects, stability tells how good the answer that was chosen is.

    Attributes:
        ratings: higher for a better answer, for comparing these answers with each other.
        expected_iou: of each answer if it is the one that is shown, 0..1, for comparing objects with each other.
    """

    ratings: npt.NDArray[np.float64]
    expected_iou: npt.NDArray[np.float64]


def features(
    hypotheses: Sequence[Hypothesis], overlaps: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """What a rating is made of: n x 7, columns as in ``FITTED``. ``overlaps``: see :func:`pairwise_iou`."""
    trust = np.array([max(0.0, h.candidate.predicted_iou) for h in hypotheses])
    if overlaps is None:
        overlaps = pairwise_iou([h.candidate.mask for h in hypotheses])
    regions = [h.region for h in hypotheses]
    rows = np.zeros((len(hypotheses), len(FITTED)))
    for i, (candidate, region) in enumerate((h.candidate, h.region) for h in hypotheses):
        counted = trust * np.array([other != region for other in regions])
        agreement = float(counted @ overlaps[i]) / max(float(counted.sum()), 1e-6)
        mask, predicted = candidate.mask, candidate.predicted_iou
        longer = max(mask.bits.shape)
        size, share = longer / max(mask.width, mask.height), longer / max(region.width, region.height)
        small = max(0.0, SMALL - share)
        rows[i] = (1.0, predicted, predicted**2, candidate.stability, agreement, math.log(size), small)
    return rows


def rate(
    hypotheses: Sequence[Hypothesis],
    points: Sequence[PointPrompt],
    weights: RatingWeights | None = None,
    overlaps: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Higher for a better answer, less for every click that it contradicts; ``overlaps``: see :func:`pairwise_iou`."""
    return weighed(features(hypotheses, overlaps), faults(hypotheses, points), weights or RatingWeights())


def judge(
    hypotheses: Sequence[Hypothesis],
    points: Sequence[PointPrompt],
    overlaps: npt.NDArray[np.float64] | None = None,
    calibration: Calibration = USUAL,
) -> Judged:
    """The ratings, and what may be expected of each answer."""
    rows, wrong = features(hypotheses, overlaps), faults(hypotheses, points)
    ratings, expected = (weighed(rows, wrong, w) for w in (calibration.ratings, calibration.expectation))
    return Judged(ratings, np.clip(expected, 0.0, 1.0))


def faults(hypotheses: Sequence[Hypothesis], points: Sequence[PointPrompt]) -> npt.NDArray[np.float64]:
    """Clicks that each answer contradicts, and whether it is cut: n x 2."""
    wrong = [sum(h.candidate.mask.contains(p.x, p.y) != p.is_positive for p in points) for h in hypotheses]
    cut = [is_cut(h.candidate.mask, h.region) for h in hypotheses]
    return np.array([wrong, cut], np.float64).T


def weighed(
    rows: npt.NDArray[np.float64], faults: npt.NDArray[np.float64], weights: RatingWeights
) -> npt.NDArray[np.float64]:
    fitted = np.array([getattr(weights, name) for name in FITTED])
    minus = np.array([weights.contradiction, weights.cut])
    return np.asarray(rows @ fitted + faults @ minus, np.float64)


def is_cut(mask: Mask, region: Region) -> bool:
    """Whether a mask that was found in a piece ends at an edge of it that is not an edge of the image."""
    x, y, w, h = mask.bbox_xywh
    return w > 0 and (
        (region.x0 > 0 and x <= region.x0)
        or (region.y0 > 0 and y <= region.y0)
        or (region.x1 < mask.width and x + w >= region.x1)
        or (region.y1 < mask.height and y + h >= region.y1)
    )


def alternatives(hypotheses: Sequence[Hypothesis], ratings: npt.NDArray[np.float64], count: int) -> list[int]:
    """The indices of the best ``count`` answers that differ from each other, best first; fewer when there are none."""
    taken: list[int] = []
    for index in np.argsort(-ratings, kind="stable").tolist():
        mask = hypotheses[index].candidate.mask
        if all(sampled_iou(mask, hypotheses[other].candidate.mask) <= SAME_IOU for other in taken):
            taken.append(index)
            if len(taken) == count:
                break
    return taken


def pairwise_iou(masks: Sequence[Mask], known: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """n x n, about the IoU of every pair (see ``SAMPLES``), 1 on the diagonal.

    Args:
        known: m x m, this function's answer for the first m of the masks.
    """
    overlaps = np.eye(len(masks))
    count = 0 if known is None else known.shape[0]
    if known is not None:
        overlaps[:count, :count] = known
    for i in range(count, len(masks)):
        for j in range(i):
            overlaps[i, j] = overlaps[j, i] = sampled_iou(masks[i], masks[j])
    return overlaps


def sampled_iou(a: Mask, b: Mask) -> float:
    """About the IoU of two tight masks of one image; exact when they overlap in fewer than 128 rows and columns."""
    both = sampled_intersection(a, b)
    return min(1.0, both / max(1.0, a.area + b.area - both))


def sampled_intersection(a: Mask, b: Mask) -> float:
    """About the pixels that two tight masks of one image share; exact where :func:`sampled_iou` is."""
    x0, y0 = max(a.x, b.x), max(a.y, b.y)
    x1 = min(a.x + a.bits.shape[1], b.x + b.bits.shape[1])
    y1 = min(a.y + a.bits.shape[0], b.y + b.bits.shape[0])
    if x1 <= x0 or y1 <= y0:
        return 0.0
    step = max(1, min(x1 - x0, y1 - y0) // SAMPLES)
    first = a.bits[y0 - a.y : y1 - a.y : step, x0 - a.x : x1 - a.x : step]
    second = b.bits[y0 - b.y : y1 - b.y : step, x0 - b.x : x1 - b.x : step]
    share = np.count_nonzero(first & second) / first.size
    return float(share * (x1 - x0) * (y1 - y0))
