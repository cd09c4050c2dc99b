"""The prompts that an adapter is trained with: the paper's mix, and the corrections of an interactive tool."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from annotator.engine.sam2.mask_prompt import MASK_PROMPT_LOGIT
from annotator.train.steps.prompts import NOTHING, Point, click_inside, click_near_outline, corrective_click, noisy_box

BoolArray = npt.NDArray[np.bool_]
MOST_POINTS = 10


class Kind(StrEnum):
    """What a batch is prompted with. All samples of a batch share it, so that no padding tokens are needed."""

    BOX = "box"
    CLICK = "click"
    POINTS = "points"
    MASK = "mask"
    BOX_AND_POINTS = "box and points"
    MASK_AND_POINTS = "mask and points"
    CORRECTION = "correction"


SHARES = {
    Kind.BOX: 0.30,
    Kind.CLICK: 0.14,
    Kind.POINTS: 0.04,
    Kind.MASK: 0.03,
    Kind.BOX_AND_POINTS: 0.03,
    Kind.MASK_AND_POINTS: 0.02,
    Kind.CORRECTION: 0.44,
}
"""The paper draws box, ten points or a noisy mask, and combinations; a first click and corrections are the tool's."""
ROUND_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)
"""Of corrections after one to five answers: an adapter that saw one only is lost at the fifth click."""
NEAR_OUTLINE_SHARE = 0.3
"""Of the clicks after the first that go anywhere near the answer's outline, not to the depth of its largest error."""


@dataclass(frozen=True, slots=True)
class DrawnPrompts:
    """A batch's prompts.

    Attributes:
        points: one list per object, all of the same length, may be empty.
        masks: B x q x q float32 logits, or None.
    """

    kind: Kind
    points: list[list[Point]]
    masks: npt.NDArray[np.float32] | None

    @property
    def is_ambiguous(self) -> bool:
        return self.kind is Kind.CLICK


def draw_kind(rng: np.random.Generator) -> Kind:
    return list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]


def draw_batch(kind: Kind, targets: npt.NDArray[np.uint8], rng: np.random.Generator) -> DrawnPrompts:
    """First prompts of a batch. A correction begins with a box or a click; its second part needs an answer.

    Args:
        targets: B x S x S uint8 0/1.
    """
    half = np.ascontiguousarray(targets[:, 1::2, 1::2]).astype(bool)
    begins_with_box = rng.random() < 0.4
    count = int(rng.integers(2, MOST_POINTS + 1))
    points: list[list[Point]] = []
    for target, exact in zip(half, targets.astype(bool), strict=True):
        own: list[Point] = []
        if kind in (Kind.BOX, Kind.BOX_AND_POINTS) or (kind is Kind.CORRECTION and begins_with_box):
            own += noisy_box(target, rng, cell_px=2.0) if target.any() else (NOTHING, NOTHING)
        if kind is Kind.CLICK or (kind is Kind.CORRECTION and not begins_with_box):
            own.append(click_inside(target, 1, rng, cell_px=2.0))
        if kind in (Kind.POINTS, Kind.BOX_AND_POINTS, Kind.MASK_AND_POINTS):
            own += _points_inside(exact, count, rng)
        points.append(own)
    masks = None
    if kind in (Kind.MASK, Kind.MASK_AND_POINTS):
        masks = np.stack([noisy_mask(target, rng) for target in targets])
    return DrawnPrompts(kind, points, masks)


def sloppy_correction(prediction: BoolArray, target: BoolArray, rng: np.random.Generator) -> Point:
    """The next click on an answer: at its largest error, or some of the time anywhere near its outline.

    Args:
        prediction: bool grid, a cell of 2 window pixels; target: the same shape.
    """
    if rng.random() < NEAR_OUTLINE_SHARE:
        return click_near_outline(prediction, target, rng, cell_px=2.0)
    return exact_correction(prediction, target, rng)


def exact_correction(prediction: BoolArray, target: BoolArray, rng: np.random.Generator) -> Point:
    """The next click on an answer, at its largest error. Arguments as for :func:`sloppy_correction`."""
    return corrective_click(prediction, target, rng, cell_px=2.0)


def _points_inside(target: BoolArray, count: int, rng: np.random.Generator) -> list[Point]:
    """Positive points anywhere on the object."""
    rows, columns = np.nonzero(target)
    if not rows.size:
        return [NOTHING] * count
    chosen = rng.integers(rows.size, size=count)
    jitter = rng.uniform(0.0, 1.0, (count, 2))
    return [
        (float(columns[i]) + jx, float(rows[i]) + jy, 1) for i, (jx, jy) in zip(chosen, jitter.tolist(), strict=True)
    ]


def noisy_mask(target: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A coarse version of the object as logits at a quarter of the window's side: a wobbling, shifted outline.

    Args:
        target: S x S uint8 0/1.

    Returns:
        S/4 x S/4 float32 in +-8.
    """
    side = target.shape[0] // 4
    small = np.asarray(cv2.resize(target.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA), np.float32)
    blur = float(rng.uniform(0.5, 2.5)) * max(1.0, side / 80)
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), 2 * blur), np.float32)
    wobble = noise * (float(rng.uniform(0.1, 0.35)) / max(1e-6, float(noise.std())))
    smooth = cv2.GaussianBlur(small, (0, 0), blur)
    inside = (smooth + wobble * (smooth > 0.02) > float(rng.uniform(0.35, 0.65))).astype(np.float32)
    if not inside.any():
        inside = small
    return np.asarray((2 * inside - 1) * MASK_PROMPT_LOGIT, np.float32)
