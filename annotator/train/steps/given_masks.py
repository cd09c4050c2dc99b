"""Masks that a person begins from: accepted earlier, imported, painted or propagated, each wrong in its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from annotator.engine.sam2.mask_prompt import MASK_PROMPT_LOGIT

BoolArray = npt.NDArray[np.bool_]
LEAST_IOU = 0.3
"""With the object: what is less like it, nobody would refine."""
_TRIES = 4


def given_mask(target: BoolArray, others: Sequence[BoolArray], rng: np.random.Generator) -> BoolArray:
    """The object as a wrong mask has it: moved, too small or large, with holes and islands, with a neighbour, coarse.

    Args:
        target: h x w, with an object in it.
        others: h x w, the window's other objects.

    Returns:
        h x w; the object itself where no try was like it.
    """
    if not target.any():
        return target
    size = float(np.sqrt(np.count_nonzero(target)))
    for _ in range(_TRIES):
        kinds = [*_KINDS, *([] if not others else [_with_neighbour(others)])]
        wrong = kinds[int(rng.integers(len(kinds)))](target, size, rng)
        if np.count_nonzero(wrong & target) >= LEAST_IOU * np.count_nonzero(wrong | target):
            return wrong
    return target


def as_logits(masks: Sequence[BoolArray], side: int) -> npt.NDArray[np.float32]:
    """The dense prompt of given masks, B x 1 x side x side, as the engine makes it of a mask in use."""
    small = [cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for mask in masks]
    return np.asarray((2 * np.stack(small)[:, None] - 1) * MASK_PROMPT_LOGIT, np.float32)


def _moved(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    dx, dy = rng.normal(0, 0.12, 2) * size
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    found = cv2.warpAffine(target.astype(np.uint8), matrix, target.shape[::-1], flags=cv2.INTER_NEAREST)
    return np.asarray(found, np.uint8) > 0


def _thinner(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    depth = cv2.distanceTransform(np.pad(target.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.asarray(depth > rng.uniform(0.02, 0.15) * size)


def _thicker(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    away = cv2.distanceTransform((~target).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(away <= rng.uniform(0.02, 0.2) * size)


def _pierced(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    """With one to three holes or islands, at its inside or at its edge."""
    canvas = target.astype(np.uint8)
    near = _thicker(target, size, rng)
    rows, columns = np.nonzero(near)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(rows)))
        radius = max(1, int(rng.uniform(0.08, 0.3) * size))
        cv2.circle(canvas, (int(columns[at]), int(rows[at])), radius, int(rng.random() < 0.4), -1)
    return canvas > 0


def _cut(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    """Without what lies beyond a straight line: a part of it was taken for the whole."""
    rows, columns = np.nonzero(target)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: target.shape[0], : target.shape[1]]
    along = x * np.cos(angle) + y * np.sin(angle)
    reach = np.quantile(columns * np.cos(angle) + rows * np.sin(angle), rng.uniform(0.4, 0.95))
    return np.asarray(target & (along <= reach))


def _coarse(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
    """A polygon of few corners, as they are clicked round a thing."""
    outlines, _ = cv2.findContours(target.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    canvas = np.zeros(target.shape, np.uint8)
    tolerance = float(rng.uniform(0.03, 0.15)) * size
    cv2.fillPoly(canvas, [cv2.approxPolyDP(outline, tolerance, True) for outline in outlines], 1)
    return canvas > 0


_Kind = Callable[[BoolArray, float, np.random.Generator], BoolArray]
_KINDS: tuple[_Kind, ...] = (_moved, _thinner, _thicker, _pierced, _cut, _coarse)


def _with_neighbour(others: Sequence[BoolArray]) -> _Kind:
    def joined(target: BoolArray, size: float, rng: np.random.Generator) -> BoolArray:
        return target | others[int(rng.integers(len(others)))]

    return joined
