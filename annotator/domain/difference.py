"""Where two masks differ: what has to be painted again after an edit."""

from __future__ import annotations

import numpy as np

from annotator.domain.areas import Frame
from annotator.domain.mask import BoolArray, Mask

_AT_ONCE = 1 << 18
"""Pixels that are compared in one go: what is written in between stays in the processor's cache."""


def differing_frame(one: Mask, other: Mask) -> Frame | None:
    """The smallest rectangle that holds every pixel in which two masks of one image differ; None when there is none.

    Raises:
        ValueError: masks of different images.
    """
    if (one.width, one.height) != (other.width, other.height):
        raise ValueError("masks of different images")
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = _frame(one), _frame(other)
    shared = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
    if shared[0] >= shared[2] or shared[1] >= shared[3]:
        return _around([_inside(one, _frame(one)), _inside(other, _frame(other))])
    found = [_differing(one, other, shared)]
    for mask in (one, other):
        found += [_inside(mask, strip) for strip in _beside(_frame(mask), shared)]
    return _around(found)


def _frame(mask: Mask) -> Frame:
    height, width = mask.bits.shape
    return mask.x, mask.y, mask.x + width, mask.y + height


def _part(mask: Mask, frame: Frame) -> BoolArray:
    x0, y0, x1, y1 = frame
    return mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x]


def _inside(mask: Mask, frame: Frame) -> Frame | None:
    return _tight(_part(mask, frame), frame[0], frame[1])


def _differing(one: Mask, other: Mask, frame: Frame) -> Frame | None:
    a, b = _part(one, frame).view(np.uint8), _part(other, frame).view(np.uint8)
    height, width = a.shape
    rows = max(1, _AT_ONCE // width)
    found: Frame | None = None
    differs = np.empty((min(rows, height), width), np.uint8)
    for top in range(0, height, rows):
        part = differs[: min(rows, height - top)]
        np.bitwise_xor(a[top : top + rows], b[top : top + rows], out=part)
        if part.view(np.bool_).any():
            found = _around([found, _tight(part.view(np.bool_), frame[0], frame[1] + top)])
    return found


def _beside(whole: Frame, inner: Frame) -> list[Frame]:
    """What of a frame is outside of a part of it."""
    x0, y0, x1, y1 = whole
    left, top, right, bottom = inner
    return [(x0, y0, x1, top), (x0, bottom, x1, y1), (x0, top, left, bottom), (right, top, x1, bottom)]


def _tight(bits: BoolArray, x: int, y: int) -> Frame | None:
    rows = np.flatnonzero(bits.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(bits[rows[0] : rows[-1] + 1].any(axis=0))
    return x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1


def _around(frames: list[Frame | None]) -> Frame | None:
    known = [frame for frame in frames if frame is not None]
    if not known:
        return None
    lefts, tops, rights, bottoms = zip(*known, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
