"""Where two masks differ: what has to be painted again after an edit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from annotator.domain.areas import Frame
from annotator.domain.mask import BoolArray, Mask

_AT_ONCE = 1 << 18
"""Pixels that are compared in one go: what is written in between stays in the processor's cache."""
_APART_PX = 64
"""Columns without a difference between two frames of one comparison: nearer ones are one frame."""


def differing_frames(one: Mask, other: Mask) -> list[Frame]:
    """Rectangles that hold every pixel in which two masks of one image differ, side by side: of a mask that has grown,
    pieces of its rim and not all of it. Remembered, for either order.

    Raises:
        ValueError: masks of different images.
    """
    if (one.width, one.height) != (other.width, other.height):
        raise ValueError("masks of different images")
    known = _known(one, other)
    if known is None:
        known = _found(one, other)
        _remember(one, other, known)
    return list(known)


def differs(one: Mask, other: Mask) -> bool:
    """Whether two masks of one image differ in a pixel. Looked at is where they may: counting the pixels of a large
    mask takes milliseconds.

    Raises:
        ValueError: masks of different images.
    """
    frames = differing_frames(one, other)
    return any(not np.array_equal(_pixels(one, frame), _pixels(other, frame)) for frame in frames)


def differs_within(before: Mask, after: Mask, frames: Iterable[Frame]) -> None:
    """Whoever makes a mask of another one tells where it may differ; then :func:`differing_frames` need not look."""
    _remember(before, after, tuple(frames))


_KEPT = 4
_Known = tuple[ReferenceType[Mask], tuple[Frame, ...]]
_differences: WeakKeyDictionary[Mask, tuple[_Known, ...]] = WeakKeyDictionary()
"""For masks that were made of others, or compared with them: the last of those, and where they differ."""


def _known(one: Mask, other: Mask) -> tuple[Frame, ...] | None:
    for first, second in ((one, other), (other, one)):
        for mask, frames in _differences.get(first, ()):
            if mask() is second:
                return frames
    return None


def _remember(one: Mask, other: Mask, frames: tuple[Frame, ...]) -> None:
    if one is not other:
        _differences[other] = ((ref(one), frames), *_differences.get(other, ())[: _KEPT - 1])


def _found(one: Mask, other: Mask) -> tuple[Frame, ...]:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = _frame(one), _frame(other)
    shared = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
    if shared[0] >= shared[2] or shared[1] >= shared[3]:
        return (*_inside(one, _frame(one)), *_inside(other, _frame(other)))
    found = _differing(one, other, shared)
    for mask in (one, other):
        for strip in _beside(_frame(mask), shared):
            found += _inside(mask, strip)
    return tuple(found)


def around(frames: Iterable[Frame]) -> Frame | None:
    """The smallest rectangle that holds them all; None when there is none."""
    known = list(frames)
    if not known:
        return None
    lefts, tops, rights, bottoms = zip(*known, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _frame(mask: Mask) -> Frame:
    height, width = mask.bits.shape
    return mask.x, mask.y, mask.x + width, mask.y + height


def _part(mask: Mask, frame: Frame) -> BoolArray:
    x0, y0, x1, y1 = frame
    return mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x]


def _pixels(mask: Mask, frame: Frame) -> BoolArray:
    """All pixels of a frame, which may leave the crop and the image."""
    (x0, y0, x1, y1), (left, top, right, bottom) = frame, _frame(mask)
    shared = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    if shared == frame:
        return _part(mask, frame)
    found = np.zeros((y1 - y0, x1 - x0), np.bool_)
    if shared[0] < shared[2] and shared[1] < shared[3]:
        found[shared[1] - y0 : shared[3] - y0, shared[0] - x0 : shared[2] - x0] = _part(mask, shared)
    return found


def _inside(mask: Mask, frame: Frame) -> list[Frame]:
    """Frames of the mask's pixels in a part of its crop."""
    bits = _part(mask, frame)
    return _frames(bits, frame[0], frame[1]) if bits.size else []


def _differing(one: Mask, other: Mask, frame: Frame) -> list[Frame]:
    a, b = _part(one, frame).view(np.uint8), _part(other, frame).view(np.uint8)
    height, width = a.shape
    rows = max(1, _AT_ONCE // width)
    found: list[Frame] = []
    differs = np.empty((min(rows, height), width), np.uint8)
    for top in range(0, height, rows):
        part = differs[: min(rows, height - top)]
        np.bitwise_xor(a[top : top + rows], b[top : top + rows], out=part)
        if part.view(np.bool_).any():
            found += _frames(part.view(np.bool_), frame[0], frame[1] + top)
    return found


def _beside(whole: Frame, inner: Frame) -> list[Frame]:
    """What of a frame is outside of a part of it."""
    x0, y0, x1, y1 = whole
    left, top, right, bottom = inner
    return [(x0, y0, x1, top), (x0, bottom, x1, y1), (x0, top, left, bottom), (right, top, x1, bottom)]


def _frames(bits: BoolArray, x: int, y: int) -> list[Frame]:
    """Frames of the pixels of a plane at (x, y), parted where many columns have none."""
    columns = np.flatnonzero(bits.any(axis=0))
    if columns.size == 0:
        return []
    rows = np.flatnonzero(bits.any(axis=1))
    top, bottom = y + int(rows[0]), y + int(rows[-1]) + 1
    edges = (0, *(np.flatnonzero(np.diff(columns) > _APART_PX) + 1).tolist(), columns.size)
    return [(x + int(columns[a]), top, x + int(columns[b - 1]) + 1, bottom) for a, b in pairwise(edges)]
