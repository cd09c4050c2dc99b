"""How likely an answer of the model is an object like the examples, and which answers are the same object."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.hypotheses import sampled_iou
from annotator.domain.likeness.appearance import FloatArray
from annotator.domain.likeness.seeds import Seed
from annotator.domain.mask import Mask
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE

MOST_TIMES_LARGER = 8.0
"""An answer that is so much larger or smaller than the examples is none."""
SAME_IOU = 0.3
INSIDE_SHARE = 0.7
KNOWN_SHARE = 0.5
GAP, MOVED = (0.35, 0.45), (0.3, 0.5)
LEAST_HOPEFUL, MOST_CERTAIN = 0.15, 1.2
FEWEST_FOR_A_GAP = 4
FAR = 10.0
"""Beyond any score."""
FEWEST_EXAMPLES = 3
"""Of the image that is searched. With one what is right and what is not lie nearer to each other, and a gap between
them costs objects; with those of other images it was not tried."""
_ALIKE_AREAS = 2.5
_WIDEST_RING = 0.15
"""Over the examples' longer side."""

FEATURES = (
    "constant", "predicted", "predicted_squared", "stability", "heat", "contrast", "cosine", "log_size",
    "log_size_squared", "agreement", "own_agreement", "seeds_inside", "larger",
)  # fmt: skip
WEIGHTS = (0.17, -1.17, 1.23, 0.20, -0.06, 0.33, 0.24, -0.17, 0.04, 0.15, 0.12, 0.09, 0.07)
"""Of a linear model of the IoU with an object like the examples, in the order of ``FEATURES``."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One mask that the model gave for a seed.

    Attributes:
        mask: tight, in the image.
        predicted_iou, stability: 0..1, of the model.
        heat_inside, heat_around: means of the heat map in it and in a ring round it.
        cosine: of its pooled features with those of the examples, -1..1.
        log_size: natural logarithm of its area over the examples'.
        seed: the place of its seed in the list.
        vector: its pooled features, standardised by its image.
    """

    mask: Mask
    predicted_iou: float
    stability: float
    heat_inside: float
    heat_around: float
    cosine: float
    log_size: float
    seed: int
    vector: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


class Answers:
    """All that was answered so far in one image, with how they lie on each other. For one thread.

    Args:
        seeds: those that are asked, in the order of their places.
        known: objects that are there: what they cover is left out.
        examples: how many there are of this image.
    """

    def __init__(self, seeds: Sequence[Seed], known: Sequence[Mask] = (), examples: int = 1) -> None:
        self._seeds = list(seeds)
        self._segments = _segments(self._seeds)
        self._known, self._examples = tuple(known), examples
        self.items: list[Answer] = []
        self._boxes = np.zeros((0, 4), np.int64)
        self._areas = np.zeros(0, np.int64)
        self._relations: list[list[float]] = []
        """Of each: the best IoU with an answer of another seed, of its own seed, and how many segments lie inside."""

    def __len__(self) -> int:
        return len(self.items)

    def add(self, answer: Answer) -> bool:
        """Whether it is worth anything: what known objects cover is not."""
        mask = answer.mask
        if mask.is_empty or any(_share_of_smaller(mask, other) >= KNOWN_SHARE for other in self._known):
            return False
        box, area = _box_of(mask), mask.area
        own = [0.0, 0.0, float(self._segments_inside(answer))]
        boxes = self._boxes
        meets = (boxes[:, :2] < box[2:]).all(1) & (boxes[:, 2:] > box[:2]).all(1)
        alike = (self._areas < _ALIKE_AREAS * area) & (self._areas > area / _ALIKE_AREAS)
        for at in np.flatnonzero(meets & alike).tolist():
            other = self.items[at]
            overlap = sampled_iou(mask, other.mask)
            which = 1 if other.seed == answer.seed else 0
            own[which] = max(own[which], overlap)
            self._relations[at][which] = max(self._relations[at][which], overlap)
        self.items.append(answer)
        self._relations.append(own)
        self._boxes = np.concatenate([boxes, box[None]])
        self._areas = np.append(self._areas, area)
        return True

    def change(self, seen: Callable[[Answer], Answer], more_seeds: Sequence[Seed]) -> None:
        """All of them seen anew, and further seeds that are asked."""
        self._seeds += more_seeds
        self._segments = _segments(self._seeds)
        self.items = [seen(one) for one in self.items]
        for own, one in zip(self._relations, self.items, strict=True):
            own[2] = float(self._segments_inside(one))

    def features(self) -> npt.NDArray[np.float64]:
        """n x 13, columns as in ``FEATURES``."""
        rows = np.zeros((len(self.items), len(FEATURES)))
        for row, a, (agreement, own, inside) in zip(rows, self.items, self._relations, strict=True):
            size = min(abs(a.log_size), 2.0)
            row[:] = (
                *(1.0, a.predicted_iou, a.predicted_iou**2, a.stability, min(a.heat_inside, 2.0)),
                *(a.heat_inside - a.heat_around, a.cosine, size, a.log_size**2),
                *(agreement, own, math.log1p(inside), max(0.0, a.log_size)),
            )
        return rows

    def scores(self, weights: Sequence[float] = WEIGHTS) -> npt.NDArray[np.float64]:
        """n, about 0..1: the IoU that may be expected with an object like the examples."""
        return np.asarray(self.features() @ np.array(weights), np.float64)

    def survivors(self, scores: npt.NDArray[np.float64]) -> list[int]:
        """Which of them are different objects, the best first: no other that is better lies on or in them."""
        kept: list[int] = []
        for at in np.argsort(-scores, kind="stable").tolist():
            mask, box = self.items[at].mask, self._boxes[at]
            others = self._boxes[kept]
            near = np.flatnonzero((others[:, :2] < box[2:]).all(1) & (others[:, 2:] > box[:2]).all(1))
            if not any(_is_same(mask, self.items[kept[one]].mask) for one in near.tolist()):
                kept.append(at)
        return kept

    def rated(self, weights: Sequence[float] = WEIGHTS) -> tuple[list[int], list[float]]:
        """The survivors, the best first, and their scores as they are shown: see :func:`at_the_gap`."""
        scores = self.scores(weights)
        stay = self.survivors(scores)
        shown = at_the_gap(scores[stay]) if self._examples >= FEWEST_EXAMPLES else scores[stay]
        return stay, shown.tolist()

    def _segments_inside(self, answer: Answer) -> int:
        """How many segments other than its own have their middle in it; a group has several."""
        mask = answer.mask
        inside = [at for at, x, y in self._segments if mask.contains(x, y)]
        is_segment = any(at == answer.seed for at, _, _ in self._segments)
        return max(0, len([at for at in inside if at != answer.seed]) - (0 if is_segment else 1))


def at_the_gap(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores of n different objects of one image, so that ``LEAST_LIKE_SCORE`` lies in the gap between what is like the
    examples and what is not.

    Where the gap is, within ``GAP``, says Otsu's threshold (1979) of all that is not hopeless: between ``MOVED`` scores
    are stretched and pressed, so that their order stays; others are as they were. Too few tell nothing.
    """
    values = np.sort(np.clip(scores[scores > LEAST_HOPEFUL], 0, MOST_CERTAIN))
    if len(values) < FEWEST_FOR_A_GAP:
        return scores
    below = np.arange(1, len(values))
    above = len(values) - below
    sums = np.cumsum(values)
    apart = (sums[-1] - sums[:-1]) / above - sums[:-1] / below
    at = int((below * above * apart**2).argmax())
    gap = float(np.clip((values[at] + values[at + 1]) / 2, *GAP))
    return np.asarray(
        np.interp(scores, [-FAR, MOVED[0], gap, MOVED[1], FAR], [-FAR, MOVED[0], LEAST_LIKE_SCORE, MOVED[1], FAR])
    )


def heat_of(mask: Mask, heat: FloatArray, side_px: float) -> tuple[float, float]:
    """Means of the heat map in a mask, and in a ring round it.

    Args:
        heat: of the whole image, at any resolution.
        side_px: of the examples, in image pixels.
    """
    rows, columns = heat.shape
    sx, sy = columns / mask.width, rows / mask.height
    reach = max(2, int(_WIDEST_RING * side_px * max(sx, sy)))
    x, y, w, h = mask.bbox_xywh
    x0, y0 = max(0, int(x * sx) - reach), max(0, int(y * sy) - reach)
    x1, y1 = min(columns, math.ceil((x + w) * sx) + reach), min(rows, math.ceil((y + h) * sy) + reach)
    place = np.array([[sx, 0, mask.x * sx - x0 + 0.5 * sx - 0.5], [0, sy, mask.y * sy - y0 + 0.5 * sy - 0.5]])
    bits = mask.bits.astype(np.float32)
    if min(sx, sy) < 1:  # so that a pixel of the heat map stands for all that it holds
        blur = (2 * math.ceil(0.5 / sx) + 1, 2 * math.ceil(0.5 / sy) + 1)
        bits = np.asarray(cv2.blur(bits, blur, borderType=cv2.BORDER_CONSTANT), np.float32)
    share = cv2.warpAffine(bits, place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    piece = heat[y0:y1, x0:x1]
    ring = (cv2.dilate(share, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0.5) & (share < 0.2)
    total = float(share.sum())
    inside = float((piece * share).sum() / total) if total > 0 else 0.0
    return inside, float(piece[ring].mean()) if ring.any() else 0.0


def _segments(seeds: Sequence[Seed]) -> list[tuple[int, float, float]]:
    return [(at, seed.x, seed.y) for at, seed in enumerate(seeds) if seed.kind == "segment"]


def _box_of(mask: Mask) -> npt.NDArray[np.int64]:
    rows, columns = mask.bits.shape
    return np.array([mask.x, mask.y, mask.x + columns, mask.y + rows], np.int64)


def _share_of_smaller(mask: Mask, other: Mask) -> float:
    return mask.intersection_area(other) / max(1, min(mask.area, other.area))


def _is_same(mask: Mask, better: Mask) -> bool:
    both = mask.intersection_area(better)
    either = mask.area + better.area - both
    return both > SAME_IOU * either or both > INSIDE_SHARE * min(mask.area, better.area)
