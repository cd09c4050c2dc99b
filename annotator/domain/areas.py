"""The pixels inside a closed line: those whose centres lie in it, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from annotator.domain.mask import BoolArray

Frame = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in whole image pixels, the last two not included."""


def filled(ring: Sequence[tuple[float, float]], frame: Frame) -> BoolArray:
    """The pixels of a frame that are inside a ring.

    A ring on pixel edges gives exactly the pixels that it encloses; two areas with a common edge share no pixel and
    leave none out.

    Args:
        ring: (x, y) image positions in pixels; the last one joins the first.
        frame: not empty.

    Returns:
        bool, height x width of the frame.
    """
    left, top, right, bottom = frame
    height, width = bottom - top, right - left
    # Every edge turns what lies right of it, row by row; a column more takes those that lie right of the frame.
    turned = np.zeros((height, width + 1), np.uint8)
    for (ax, ay), (bx, by) in pairwise([*ring, ring[0]]):
        (ux, uy), (lx, ly) = ((ax, ay), (bx, by)) if ay <= by else ((bx, by), (ax, ay))
        first = min(max(int(np.ceil(uy - 0.5)) - top, 0), height)
        last = min(max(int(np.ceil(ly - 0.5)) - top, 0), height)
        if first >= last:
            continue
        rows = np.arange(first, last)
        crossings = ux + (rows + top + 0.5 - uy) * ((lx - ux) / (ly - uy))
        turned[rows, np.clip(np.ceil(crossings - 0.5).astype(np.int64) - left, 0, width)] ^= 1
    np.bitwise_xor.accumulate(turned, axis=1, out=turned)
    return np.ascontiguousarray(turned[:, :width]).view(np.bool_)
