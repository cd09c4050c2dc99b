"""Simulated prompts for training: where a person would click or drag, with a person's sloppiness."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.next_click import BAND_SHARE

BoolArray = npt.NDArray[np.bool_]
Point = tuple[float, float, int]
"""x, y in window pixels (centres at +0.5), label: 1 positive, 0 negative, 2 / 3 box corners, -1 nothing."""

NOTHING: Point = (0.0, 0.0, -1)


def click_inside(
    region: BoolArray, label: int, rng: np.random.Generator, *, cell_px: float, deepest_share: float = 0.5
) -> Point:
    """A click in the region: some of the time its deepest part, else anywhere not too near its edge.

    Args:
        region: bool grid h x w; cell_px: window pixels per grid cell.
        deepest_share: of the clicks that go to the deepest part.
    """
    padded = np.pad(region.astype(np.uint8), 1)
    depths = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depths.max())
    if deepest == 0.0:
        return NOTHING
    share = 0.85 if rng.random() < deepest_share else 0.25
    choices = np.flatnonzero(depths >= share * deepest)
    row, column = divmod(int(choices[rng.integers(choices.size)]), depths.shape[1])
    jitter_x, jitter_y = rng.uniform(0.25, 0.75, 2)
    return (column + jitter_x) * cell_px, (row + jitter_y) * cell_px, label


def corrective_click(
    prediction: BoolArray,
    target: BoolArray,
    rng: np.random.Generator,
    *,
    cell_px: float,
    deepest_share: float = 0.5,
) -> Point:
    """A click into the deeper of the two error regions; nothing when there is no error. See :func:`click_inside`."""
    missed, spilled = target & ~prediction, prediction & ~target
    deep_missed = _deepest(missed)
    deep_spilled = _deepest(spilled)
    if max(deep_missed, deep_spilled) == 0.0:
        return NOTHING
    if deep_missed >= deep_spilled:
        return click_inside(missed, 1, rng, cell_px=cell_px, deepest_share=deepest_share)
    return click_inside(spilled, 0, rng, cell_px=cell_px, deepest_share=deepest_share)


def click_near_outline(prediction: BoolArray, target: BoolArray, rng: np.random.Generator, *, cell_px: float) -> Point:
    """A click near the answer's outline with the true sign, whether the answer is wrong there or not.

    People click close to the edge that they see, and where the mask is right as well: to hold what is good, or because
    the next pixel is wrong. Nothing when the answer has no outline.

    Args:
        prediction: bool grid h x w; target: the same shape.
    """
    choices = np.flatnonzero(band_at_outline(prediction, least=1.0))
    if not choices.size:
        return NOTHING
    row, column = divmod(int(choices[rng.integers(choices.size)]), prediction.shape[1])
    jitter_x, jitter_y = rng.uniform(0.25, 0.75, 2)
    return (column + jitter_x) * cell_px, (row + jitter_y) * cell_px, int(target[row, column])


def band_at_outline(mask: BoolArray, *, least: float) -> BoolArray:
    """Cells at most a quarter of the mask's size (the root of its area) from its outline, on both sides.

    That is the band in which the base's doubt counts. Empty without an outline; the grid's edge is none.

    Args:
        mask: bool grid h x w; least: cells that the band is wide at least, on each side.
    """
    if not mask.any() or mask.all():
        return np.zeros_like(mask)
    reach = max(least, BAND_SHARE * math.sqrt(float(np.count_nonzero(mask))))
    # The distance to the nearest cell of the other side: 1 at the outline.
    return np.asarray(_to_other_side(mask) + _to_other_side(~mask) <= reach)


def noisy_box(target: BoolArray, rng: np.random.Generator, *, cell_px: float) -> tuple[Point, Point]:
    """The object's box, its edges moved by about 5 % of its sides."""
    rows, columns = np.flatnonzero(target.any(1)), np.flatnonzero(target.any(0))
    x0, x1, y0, y1 = float(columns[0]), float(columns[-1] + 1), float(rows[0]), float(rows[-1] + 1)
    sloppiness = 0.06 if rng.random() < 0.6 else 0.0
    noise = np.clip(rng.standard_normal(4) * sloppiness, -0.15, 0.15)
    width, height = x1 - x0, y1 - y0
    box = np.array([x0 + noise[0] * width, y0 + noise[1] * height, x1 + noise[2] * width, y1 + noise[3] * height])
    box = np.clip(box, 0, [target.shape[1], target.shape[0]] * 2) * cell_px
    return (float(box[0]), float(box[1]), 2), (float(box[2]), float(box[3]), 3)


def _to_other_side(region: BoolArray) -> npt.NDArray[np.float32]:
    """Distance of the region's cells to the nearest cell outside of it; 0 elsewhere."""
    return np.asarray(cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _deepest(region: BoolArray) -> float:
    if not region.any():
        return 0.0
    return float(cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, 3).max())
