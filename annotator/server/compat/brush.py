"""Label Studio's brush code: a bit stream of runs over the RGBA bytes of a picture. It is not COCO's run lengths."""

from __future__ import annotations

import numpy as np

from annotator.domain.mask import Mask

_WORD_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
"""A run's length, less 1, has one of these sizes."""
_MOST = 1 << _LENGTH_BITS[-1]


def brush_of(mask: Mask) -> list[int]:
    """The bytes of a mask: 255 in all four channels where it is, 0 elsewhere."""
    flat = mask.full().reshape(-1)
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    lengths = np.diff(ends, prepend=-1) * 4
    bits = [f"{flat.size * 4:032b}", f"{_WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in _LENGTH_BITS)]
    for length, end in zip(lengths.tolist(), ends.tolist(), strict=True):
        word = "1" * _WORD_BITS if flat[end] else "0" * _WORD_BITS
        while length > 0:
            run = min(length, _MOST)
            kind = next(at for at, size in enumerate(_LENGTH_BITS) if run <= 1 << size)
            bits.append(f"1{kind:02b}{run - 1:0{_LENGTH_BITS[kind]}b}{word}")
            length -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
