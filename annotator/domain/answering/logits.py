"""From low-resolution logits to a mask at image resolution, computing only what the outline needs.

The result is the mask that bilinear interpolation (half-pixel centres, edges repeated: SAM's own rule) and a
threshold at zero give for the whole image. A bilinear value is a convex combination of four logits, so a cell
whose corners agree in sign is constant: only cells along the outline are interpolated, and only inside the
object's box. A small box is interpolated as a whole, which is quicker than finding the cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

FloatArray = npt.NDArray[np.float32]
SMALL_BOX_PX = 400 * 400
"""Up to this many pixels an object's box is interpolated as a whole."""


class _Cells(NamedTuple):
    """Logits, and for every output row and column the cell at or before it and the weight of the next cell.

    The cells have a neighbour after the last one that is used.
    """

    window: FloatArray
    row_cell: npt.NDArray[np.int64]
    row_weight: FloatArray
    column_cell: npt.NDArray[np.int64]
    column_weight: FloatArray


def mask_from_logits(logits: FloatArray, *, width: int, height: int) -> Mask:
    """The tight mask of ``logits > 0`` after bilinear interpolation to ``height`` x ``width``.

    Args:
        logits: float32, L x M, spanning the whole image (squashed, not letter-boxed).
        width, height: image size in pixels.
    """
    source = np.ascontiguousarray(logits, np.float32)
    rows, columns = np.flatnonzero((source > 0).any(axis=1)), np.flatnonzero((source > 0).any(axis=0))
    if rows.size == 0:
        return Mask.empty(width, height)
    y0, y1 = _output_range(int(rows[0]), int(rows[-1]), source.shape[0], height)
    x0, x1 = _output_range(int(columns[0]), int(columns[-1]), source.shape[1], width)
    row_cell, row_weight = _axis(source.shape[0], height, y0, y1)
    column_cell, column_weight = _axis(source.shape[1], width, x0, x1)
    top, left = int(row_cell[0]), int(column_cell[0])
    bottom, right = int(row_cell[-1]), int(column_cell[-1])
    window = _with_edges_repeated(source, top, bottom + 2, left, right + 2)
    fill = _interpolate if row_cell.size * column_cell.size <= SMALL_BOX_PX else _paint
    bits = fill(_Cells(window, row_cell - top, row_weight, column_cell - left, column_weight))
    return Mask(bits, x0, y0, width, height).tight()


def _with_edges_repeated(source: FloatArray, top: int, bottom: int, left: int, right: int) -> FloatArray:
    """``source[top:bottom, left:right]``, where one row and column more than there are repeat the last ones."""
    window = np.empty((bottom - top, right - left), np.float32)
    rows, columns = min(bottom, source.shape[0]) - top, min(right, source.shape[1]) - left
    window[:rows, :columns] = source[top : top + rows, left : left + columns]
    window[rows:, :columns] = window[rows - 1, :columns]
    window[:, columns:] = window[:, columns - 1 : columns]
    return window


def _output_range(first: int, last: int, cells: int, size: int) -> tuple[int, int]:
    """Output pixels that a positive cell between ``first`` and ``last`` can reach, with a pixel to spare."""
    scale = size / cells
    return max(0, int((first - 1) * scale) - 1), min(size, int(np.ceil((last + 2) * scale)) + 1)


def _axis(cells: int, size: int, start: int, stop: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Left source index and weight of its right neighbour for output positions start..stop-1."""
    position = (np.arange(start, stop, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size) - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    index = np.minimum(position.astype(np.int64), cells - 1)
    return index, (position - index).astype(np.float32)


def _interpolate(cells: _Cells) -> npt.NDArray[np.bool_]:
    """Every pixel, along the rows first: the sums that :func:`_paint` makes, in the same order."""
    window, row_cell, row_weight, column_cell, column_weight = cells
    one = np.float32(1)
    wide = window.take(column_cell, 1) * (one - column_weight) + window.take(column_cell + 1, 1) * column_weight
    down = row_weight[:, None]
    return np.asarray(wide.take(row_cell, 0) * (one - down) + wide.take(row_cell + 1, 0) * down > 0)


def _paint(cells: _Cells) -> npt.NDArray[np.bool_]:
    """Cells along the outline pixel by pixel, the others at once."""
    window, row_cell, row_weight, column_cell, column_weight = cells
    inside = (window > 0).astype(np.uint8)
    corners = inside[:-1, :-1] + inside[1:, :-1] + inside[:-1, 1:] + inside[1:, 1:]
    bits = np.asarray((corners == 4)[row_cell].take(column_cell, axis=1))
    mixed_y, mixed_x = np.nonzero((corners > 0) & (corners < 4))
    if mixed_y.size == 0:
        return bits
    row_edges = np.searchsorted(row_cell, np.arange(corners.shape[0] + 1))
    column_edges = np.searchsorted(column_cell, np.arange(corners.shape[1] + 1))
    # A cell may own no output pixel (the image is smaller than the logits).
    owned = (row_edges[mixed_y + 1] > row_edges[mixed_y]) & (column_edges[mixed_x + 1] > column_edges[mixed_x])
    mixed_y, mixed_x = mixed_y[owned], mixed_x[owned]
    if mixed_y.size == 0:
        return bits
    rows = row_edges[mixed_y][:, None] + np.arange(int(np.diff(row_edges).max()))
    rows = np.minimum(rows, row_edges[mixed_y + 1][:, None] - 1)
    columns = column_edges[mixed_x][:, None] + np.arange(int(np.diff(column_edges).max()))
    columns = np.minimum(columns, column_edges[mixed_x + 1][:, None] - 1)
    wy, wx = row_weight[rows], column_weight[columns]
    one = np.float32(1)
    upper = window[mixed_y, mixed_x][:, None] * (one - wx) + window[mixed_y, mixed_x + 1][:, None] * wx
    lower = window[mixed_y + 1, mixed_x][:, None] * (one - wx) + window[mixed_y + 1, mixed_x + 1][:, None] * wx
    values = upper[:, None, :] * (one - wy)[:, :, None] + lower[:, None, :] * wy[:, :, None]
    bits[rows[:, :, None], columns[:, None, :]] = values > 0
    return bits


def box_from_logits(logits: FloatArray, *, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The box (x0, y0, x1, y1; the last two behind it) of :func:`mask_from_logits`; None: it is empty.

    Only lines of pixels along the box's sides are computed.

    Args:
        logits: float32, L x M, spanning the whole image.
        width, height: image size in pixels.
    """
    is_in = logits > 0
    rows, columns = np.flatnonzero(is_in.any(axis=1)), np.flatnonzero(is_in.any(axis=0))
    if rows.size == 0:
        return None
    top, bottom = _output_range(int(rows[0]), int(rows[-1]), len(logits), height)
    left, right = _output_range(int(columns[0]), int(columns[-1]), logits.shape[1], width)
    down, across = _axis(len(logits), height, top, bottom), _axis(logits.shape[1], width, left, right)
    x0, x1 = _first_and_last(logits, across, down)
    if x0 > x1:
        return None
    y0, y1 = _first_and_last(np.ascontiguousarray(logits.T), down, across)
    return (left + x0, top + y0, left + x1 + 1, top + y1 + 1) if y0 <= y1 else None


_Axis = tuple[npt.NDArray[np.int64], FloatArray]


def _first_and_last(logits: FloatArray, across: _Axis, down: _Axis) -> tuple[int, int]:
    """The first and the last column of pixels in which there is something; the first is the greater one if none."""
    cell, weight = across
    last_cell = logits.shape[1] - 1
    row, row_weight = down
    next_row = np.minimum(row + 1, len(logits) - 1)

    def has_any(at: int) -> bool:
        part = weight[at]
        line = logits[:, cell[at]] * (1 - part) + logits[:, min(cell[at] + 1, last_cell)] * part
        if not (line > 0).any():
            return False
        return bool((line[row] * (1 - row_weight) + line[next_row] * row_weight > 0).any())

    first, last = 0, len(cell) - 1
    while first <= last and not has_any(first):
        first += 1
    while last > first and not has_any(last):
        last -= 1
    return first, last


def stability(logits: FloatArray, *, offset: float = 1.0) -> float:
    """IoU of the masks at ``logits > offset`` and ``> -offset`` (Kirillov et al. 2023), 0..1; 1 if both are empty."""
    inner = int(np.count_nonzero(logits > offset))
    outer = int(np.count_nonzero(logits > -offset))
    return 1.0 if outer == 0 else inner / outer
