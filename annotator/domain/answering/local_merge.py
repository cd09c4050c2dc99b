"""A click on an object that is there changes what is near it and nothing else.

The answer of the model is a whole mask. Of its difference to the mask before only the connected piece that the click
points at is taken: what is added by a positive click, what is taken away by a negative one (progressive merge of
FocalClick; Chen et al., CVPR 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt

REACH_PX = 8
"""A click this close to a piece of the difference means it."""
LARGEST_SHARE = 0.5
"""A negative click takes away no more than this share of the object: an answer that drops more has lost it, and only
what lies near the click is taken."""
_NEAR_SHARE = 0.25
"""What is near then, of the root of the object's area."""


def merged(before: Mask, answer: Mask, points: Iterable[PointPrompt], *, box: Box | None = None) -> Mask:
    """The mask after clicks that one answer answers.

    Args:
        box: drawn since ``before``: inside of it the answer counts as it is.
    """
    mask = before if box is None else _with_box(before, answer, box)
    for point in points:
        mask = corrected(mask, answer, point)
    return mask


def corrected(before: Mask, answer: Mask, point: PointPrompt) -> Mask:
    """``before`` with the piece of the difference to ``answer`` that a click belongs to; itself when there is none."""
    wanted = answer.subtract(before) if point.is_positive else before.subtract(answer)
    piece = _piece_at(wanted, point)
    if piece is None:
        return before
    if point.is_positive:
        return before.union(piece)
    if piece.area > LARGEST_SHARE * before.area:
        near = _near(piece, point, radius_px=max(REACH_PX, _NEAR_SHARE * math.sqrt(before.area)))
        piece = _piece_at(near, point) or near
    return before.subtract(piece)


def _piece_at(difference: Mask, point: PointPrompt) -> Mask | None:
    """The connected piece (by corners, too) under a click, or the nearest one within reach."""
    if difference.is_empty:
        return None
    plane = np.ascontiguousarray(difference.bits).view(np.uint8).copy()
    seed = _seed(plane, point.x - difference.x, point.y - difference.y)
    if seed is None:
        return None
    _, _, _, (left, top, width, height) = cv2.floodFill(plane, None, seed, 2, flags=8)
    bits = plane[top : top + height, left : left + width] == 2
    return Mask(bits, difference.x + left, difference.y + top, difference.width, difference.height)


def _seed(plane: npt.NDArray[np.uint8], x: float, y: float) -> tuple[int, int] | None:
    """(column, row) of the nearest pixel of a plane that is set, within reach of a place."""
    column, row = math.floor(x), math.floor(y)
    left, top = max(0, column - REACH_PX), max(0, row - REACH_PX)
    rows, columns = np.nonzero(plane[top : max(top, row + REACH_PX + 1), left : max(left, column + REACH_PX + 1)])
    if rows.size == 0:
        return None
    distances2 = (rows + top - row) ** 2 + (columns + left - column) ** 2
    nearest = int(distances2.argmin())
    if distances2[nearest] > REACH_PX**2:
        return None
    return int(columns[nearest]) + left, int(rows[nearest]) + top


def _near(mask: Mask, point: PointPrompt, *, radius_px: float) -> Mask:
    """What of a mask is within a radius."""
    rows, columns = mask.bits.shape
    across = (np.arange(columns) + mask.x + 0.5 - point.x) ** 2
    down = (np.arange(rows) + mask.y + 0.5 - point.y) ** 2
    bits = mask.bits & (across[None, :] + down[:, None] <= radius_px**2)
    return Mask(bits, mask.x, mask.y, mask.width, mask.height).tight()


def _with_box(before: Mask, answer: Mask, box: Box) -> Mask:
    """Inside of a box the answer, outside of it what was there."""
    x0, y0 = max(0, math.floor(box.x0)), max(0, math.floor(box.y0))
    x1, y1 = min(before.width, math.ceil(box.x1)), min(before.height, math.ceil(box.y1))
    if x1 <= x0 or y1 <= y0:
        return before
    frame = Mask(np.ones((y1 - y0, x1 - x0), np.bool_), x0, y0, before.width, before.height)
    inside = answer.subtract(answer.subtract(frame))
    return before.subtract(frame).union(inside)
