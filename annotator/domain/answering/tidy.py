"""Islands and holes that a small model leaves in its masks, taken out before the mask is cut.

Done on the low-resolution logits: cheap, whatever the image's size, and the outline elsewhere stays what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.prompt import PointPrompt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
ISLAND_SHARE = 0.2
"""Parts smaller than this share of the largest go, unless they hold a positive click."""
HOLE_SHARE = 0.03
"""Holes smaller than this share of the mask are filled, unless they hold a negative click."""


def tidied(logits: FloatArray, points: Sequence[PointPrompt], *, width: int, height: int) -> FloatArray:
    """The logits with small islands and holes turned over; the very same array when there are none.

    Args:
        logits: L x M float32, inside where > 0, stretched over ``width`` x ``height`` pixels.
        points: the clicks, in these pixels; those outside are passed over.
    """
    inside = logits > 0
    if not inside.any():
        return logits
    cells = [(*_cell(p, logits.shape, width, height), p.is_positive) for p in points]
    islands = _islands(inside, [(r, c) for r, c, is_positive in cells if is_positive])
    if islands is not None:
        inside &= ~islands
    wrong = _holes(inside, [(r, c) for r, c, is_positive in cells if not is_positive])
    if wrong is None:
        wrong = islands
    elif islands is not None:
        wrong |= islands
    return logits if wrong is None else np.where(wrong, -logits, logits)


def _cell(point: PointPrompt, shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    rows, columns = shape
    row = min(max(int(point.y * rows / height), 0), rows - 1)
    return row, min(max(int(point.x * columns / width), 0), columns - 1)


def _islands(inside: BoolArray, kept: Sequence[tuple[int, int]]) -> BoolArray | None:
    """Where the parts are that go; None when none does."""
    count, labels = _parts(inside.view(np.uint8), connectivity=8)
    if count <= 2:
        return None
    areas = np.bincount(labels.ravel(), minlength=count)
    areas[0] = 0
    is_wrong = areas < ISLAND_SHARE * areas.max()
    is_wrong[[0, *(int(labels[cell]) for cell in kept)]] = False
    return is_wrong.take(labels) if is_wrong.any() else None


def _holes(inside: BoolArray, kept: Sequence[tuple[int, int]]) -> BoolArray | None:
    """Where the holes are that go; None when none does."""
    # A frame of background round the grid: what touches the edge is not a hole.
    outside = np.ones((inside.shape[0] + 2, inside.shape[1] + 2), np.uint8)
    np.logical_not(inside, out=outside[1:-1, 1:-1].view(np.bool_))
    count, labels = _parts(outside, connectivity=4)
    if count <= 2:
        return None
    is_wrong = np.bincount(labels.ravel(), minlength=count) < HOLE_SHARE * np.count_nonzero(inside)
    is_wrong[[0, int(labels[0, 0]), *(int(labels[row + 1, column + 1]) for row, column in kept)]] = False
    return is_wrong.take(labels[1:-1, 1:-1]) if is_wrong.any() else None


def _parts(image: npt.NDArray[np.uint8], *, connectivity: int) -> tuple[int, npt.NDArray[np.integer[Any]]]:
    """How many connected parts there are, the background one of them, and the part of every cell."""
    # At most every second cell is a part of its own; short labels are counted and looked up faster.
    kind = cv2.CV_16U if image.size < 2 * np.iinfo(np.uint16).max else cv2.CV_32S
    count, labels = cv2.connectedComponents(image, connectivity=connectivity, ltype=kind)
    return count, np.asarray(labels)
