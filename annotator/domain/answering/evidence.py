"""What there is to see of the answers to one click, beyond what the linear ratings weigh.

A network of a few units reads it (:mod:`annotator.domain.answering.rating_network`) and says which of the answers the
person means. Everything is counted on the low-resolution logits and on boxes and overlaps that are there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.hypotheses import FITTED, Calibration, Hypothesis, Judged, features, is_cut, judge
from annotator.domain.prompt import PointPrompt

FloatArray = npt.NDArray[np.float64]

_LOGITS = (
    "sure_share",
    "mean_inside",
    "highest",
    "at_click",
    "click_to_mean",
    "sharpness",
    "roughness",
    "log_click_depth",
    "click_depth_share",
    "thickness",
)
_BOXES = (
    "log_area",
    "log_piece_share",
    "fill",
    "elongation",
    "piece_share",
    "log_piece",
    "is_cut",
    "image_edges",
    "click_off_centre",
    "click_from_edge",
    "click_inside",
)
_OTHERS = (
    "nearest_elsewhere",
    "alike_elsewhere",
    "alike",
    "mean_overlap",
    "lies_in_others",
    "holds_others",
    "log_area_to_mean",
    "area_rank",
    "predicted_rank",
    "agreement_rank",
    "predicted_to_best",
    "stability_to_best",
    "agreement_to_best",
    "predicted_in_piece",
    "place_in_piece",
    "count",
)
_TO_BEST = ("rating", "rating_to_best", "rating_rank", "overlap_with_best", "log_area_to_best")
SEEN = (*FITTED[1:], *_LOGITS, *_BOXES, *_OTHERS)
"""The columns of :func:`seen`."""
EVIDENCE = (*SEEN, *_TO_BEST)
"""The columns of :func:`evidence`."""
ALIKE_IOU = 0.8


def judge_click(
    hypotheses: Sequence[Hypothesis], points: Sequence[PointPrompt], overlaps: FloatArray, calibration: Calibration
) -> Judged:
    """As :func:`annotator.domain.answering.hypotheses.judge`; where the model has a network and there is one positive
    click, with what that adds to the ratings."""
    judged = judge(hypotheses, points, overlaps, calibration)
    if calibration.network is None or len(points) != 1 or not points[0].is_positive:
        return judged
    found = evidence(seen(hypotheses, points[0], overlaps), judged.ratings, overlaps)
    return replace(judged, ratings=judged.ratings + calibration.network(found))


def seen(hypotheses: Sequence[Hypothesis], click: PointPrompt, overlaps: FloatArray) -> FloatArray:
    """What does not depend on the ratings: n x len(``SEEN``), all of it about -10 to 10.

    Args:
        hypotheses: at least one, of one model (logits of one shape).
        click: the positive click that they answer, in image pixels.
        overlaps: n x n, see :func:`annotator.domain.answering.hypotheses.pairwise_iou`.
    """
    rows = features(hypotheses, overlaps)
    return np.hstack(
        [rows[:, 1:], _logits(hypotheses, click), _boxes(hypotheses, click), _others(hypotheses, rows, overlaps)]
    )


def evidence(known: FloatArray, ratings: FloatArray, overlaps: FloatArray) -> FloatArray:
    """Everything, n x len(``EVIDENCE``).

    Args:
        known: of :func:`seen`.
        ratings: n, the linear ones (:func:`annotator.domain.answering.hypotheses.rate`).
        overlaps: as there.
    """
    log_area = known[:, SEEN.index("log_area")]
    best = int(ratings.argmax())
    to_best = (ratings, ratings - ratings[best], _ranks(ratings), overlaps[best], log_area - log_area[best])
    return np.column_stack([known, *to_best])


def _logits(hypotheses: Sequence[Hypothesis], click: PointPrompt) -> FloatArray:
    logits = np.stack([h.candidate.logits for h in hypotheses])
    n, height, width = logits.shape
    inside = logits > 0
    cells = np.maximum(np.count_nonzero(inside, axis=(1, 2)), 1)
    mean = (logits * inside).sum((1, 2)) / cells
    sure = np.count_nonzero(logits > 3.0, axis=(1, 2)) / np.maximum(np.count_nonzero(logits > -3.0, axis=(1, 2)), 1)
    highest = logits.max((1, 2))
    down, across = inside[:, 1:] != inside[:, :-1], inside[:, :, 1:] != inside[:, :, :-1]
    edges = np.maximum(np.count_nonzero(down, axis=(1, 2)) + np.count_nonzero(across, axis=(1, 2)), 1)
    steps = (np.abs(np.diff(logits, axis=1)) * down).sum((1, 2)) + (np.abs(np.diff(logits, axis=2)) * across).sum(
        (1, 2)
    )
    at = np.zeros(n)
    depth = np.zeros((n, 2))
    for i, region in enumerate(h.region for h in hypotheses):
        column = min(max(int((click.x - region.x0) * width / region.width), 0), width - 1)
        row = min(max(int((click.y - region.y0) * height / region.height), 0), height - 1)
        at[i] = logits[i, row, column]
        padded = np.zeros((height + 2, width + 2), np.uint8)
        padded[1:-1, 1:-1] = inside[i]
        depths = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
        depth[i] = depths[row + 1, column + 1], depths.max()
    return np.column_stack(
        [
            sure,
            mean / 8,
            highest / 16,
            at / 8,
            (at - mean) / 8,
            steps / edges / 8,
            edges / np.sqrt(cells) / 4,
            np.log1p(depth[:, 0]),
            depth[:, 0] / np.maximum(depth[:, 1], 1e-6),
            depth[:, 1] / np.sqrt(cells),
        ]
    )


def _boxes(hypotheses: Sequence[Hypothesis], click: PointPrompt) -> FloatArray:
    rows = []
    for mask, region in ((h.candidate.mask, h.region) for h in hypotheses):
        x, y, w, h = mask.bbox_xywh
        edges = (x <= 0) + (y <= 0) + (x + w >= mask.width) + (y + h >= mask.height)
        off = max(abs(click.x - x - w / 2) / w, abs(click.y - y - h / 2) / h)
        near = min(click.x - x, x + w - click.x, click.y - y, y + h - click.y) / max(w, h)
        rows.append(
            (
                mask.area / (mask.width * mask.height),
                mask.area / (region.width * region.height),
                mask.area / (w * h),
                w / h,
                max(w, h) / max(region.width, region.height),
                max(region.width, region.height) / max(mask.width, mask.height),
                is_cut(mask, region),
                edges / 2,
                min(max(off, 0.0), 1.0),
                min(max(near, -0.5), 0.5),
                mask.contains(click.x, click.y),
            )
        )
    found = np.array(rows, np.float64)
    logarithmic = [0, 1, 3, 5]
    found[:, logarithmic] = np.log(found[:, logarithmic])
    found[:, 3] = np.abs(found[:, 3])
    return found


def _others(hypotheses: Sequence[Hypothesis], rows: FloatArray, overlaps: FloatArray) -> FloatArray:
    n = len(hypotheses)
    regions = [h.region for h in hypotheses]
    places: dict[object, int] = {}
    piece = np.array([places.setdefault(region, len(places)) for region in regions])
    elsewhere = piece[:, None] != piece[None]
    apart = ~np.eye(n, dtype=np.bool_)
    area = np.array([float(h.candidate.mask.area) for h in hypotheses])
    shared = overlaps * (area[:, None] + area) / (1 + overlaps)
    lies_in = shared / area[:, None]
    log_area = np.log(area)
    predicted, stability, agreement = (rows[:, FITTED.index(name)] for name in ("predicted", "stability", "agreement"))
    trust = np.maximum(predicted, 0.0)
    total = max(float(trust.sum()), 1e-6)
    others, outside = max(n - 1, 1), np.maximum(elsewhere.sum(1), 1)
    same = ~elsewhere
    best_in_piece = np.where(same, predicted, -np.inf).max(1)
    place = (same & (log_area[:, None] > log_area)).sum(1) / np.maximum(same.sum(1) - 1, 1)
    return np.column_stack(
        [
            (overlaps * elsewhere).max(1),
            ((overlaps > ALIKE_IOU) & elsewhere).sum(1) / outside,
            ((overlaps > ALIKE_IOU) & apart).sum(1) / others,
            (overlaps * apart).sum(1) / others,
            (lies_in * apart) @ trust / total,
            (lies_in.T * apart) @ trust / total,
            log_area - log_area @ trust / total,
            _ranks(log_area),
            _ranks(predicted),
            _ranks(agreement),
            predicted - predicted.max(),
            stability - stability.max(),
            agreement - agreement.max(),
            predicted - best_in_piece,
            place,
            np.full(n, n / 12),
        ]
    )


def _ranks(values: FloatArray) -> FloatArray:
    """From 0 for the least to 1 for the largest."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values) - 1, 1)
