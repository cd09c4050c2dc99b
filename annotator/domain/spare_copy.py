"""A copy of a large mask for the next edit of it, made ready on another thread.

An edit copies the mask. Into memory that the system has not handed out before, that takes five times as long as into
memory that was written to already: for a mask of ten megapixels most of a frame, and only now and then.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import ReferenceType, ref

import numpy as np

from annotator.domain.areas import Frame
from annotator.domain.mask import BoolArray, Mask

LEAST_BYTES = 1 << 20
"""Smaller masks are copied in no time."""
_MORE = 4
"""A fourth of a mask's size is kept free: a stroke may go beyond its crop."""


@dataclass(frozen=True, slots=True, eq=False)
class _Spare:
    """Of one mask, whose pixels are at its beginning, row by row."""

    mask: ReferenceType[Mask]
    flat: BoolArray


class _Slot:
    """What is ready: of one mask at a time, and for one edit."""

    spare: _Spare | None = None
    lock = threading.Lock()


def make_spare(mask: Mask) -> bool:
    """Copy a mask for the edit that may come. Any thread; what was ready for another mask goes.

    Returns:
        Whether there is one now: not for small masks, nor where there is no memory, which the edit itself says then.
    """
    size = mask.bits.size
    if size < LEAST_BYTES:
        forget_spare()
        return False
    if has_spare(mask):
        return True
    forget_spare()  # before there are two of them
    try:
        flat = np.empty(min(size + size // _MORE, mask.width * mask.height), np.bool_)
    except MemoryError:
        return False
    flat[size:] = False  # written to, so that it is there
    flat[:size].reshape(mask.bits.shape)[...] = mask.bits
    with _Slot.lock:
        _Slot.spare = _Spare(ref(mask, _on_gone), flat)
    return True


def has_spare(mask: Mask) -> bool:
    """Whether the next edit of this mask finds a copy."""
    spare = _Slot.spare
    return spare is not None and spare.mask() is mask


def forget_spare() -> None:
    """No edit is expected."""
    with _Slot.lock:
        _Slot.spare = None


def _on_gone(gone: ReferenceType[Mask]) -> None:
    """The mask is not there any more. Without the lock, which this thread may hold: at worst an edit finds none."""
    spare = _Slot.spare
    if spare is not None and spare.mask is gone:
        _Slot.spare = None


def plane_of(mask: Mask, frame: Frame) -> BoolArray:
    """The pixels of a mask in a frame that holds its crop, to be written to: rows x columns of the frame."""
    x0, y0, x1, y1 = frame
    shape, crop = (y1 - y0, x1 - x0), mask.bits.shape
    flat = _taken(mask, shape[0] * shape[1])
    if (x0, y0, *shape) == (mask.x, mask.y, *crop):
        return mask.bits.copy() if flat is None else flat.reshape(shape)
    plane = np.zeros(shape, np.bool_) if flat is None else flat.reshape(shape)
    if flat is not None:
        plane[...] = False
    if mask.bits.size:
        plane[mask.y - y0 : mask.y - y0 + crop[0], mask.x - x0 : mask.x - x0 + crop[1]] = mask.bits
    return plane


def _taken(mask: Mask, size: int) -> BoolArray | None:
    """The memory of this mask's copy, if it is large enough; nobody else gets it."""
    with _Slot.lock:
        spare = _Slot.spare
        if spare is None or spare.mask() is not mask or spare.flat.size < size:
            return None
        _Slot.spare = None
    return spare.flat[:size]
