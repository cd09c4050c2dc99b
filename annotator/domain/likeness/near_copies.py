"""Images that are the same picture, or nearly: by a hash of what they look like when they are very small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

SAME_BITS, NEARLY_BITS = 6, 12
"""A picture saved again, halved or made brighter differs by 5 of 63 bits at most, one cut by 3 % by 9 to 12; different
pictures of the sets that were looked at by 16 and more, photographs in a row by 6 to 12."""
_SIDE_PX, _KEPT = 32, 8


@dataclass(frozen=True, slots=True)
class NearCopy:
    """Two images, the one with the smaller id first, and how many of 63 bits differ."""

    first: int
    second: int
    bits: int

    @property
    def is_same(self) -> bool:
        return self.bits <= SAME_BITS


def image_hash(image: npt.NDArray[np.uint8]) -> int:
    """63 bits: which of the lowest frequencies of the picture are above their median.

    Args:
        image: H x W x 3 uint8.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()[1:]
    bits = low > np.median(low)
    return int(sum(1 << at for at, is_set in enumerate(bits.tolist()) if is_set))


def near_copies(hashes: Mapping[int, int]) -> list[NearCopy]:
    """All pairs of at most ``NEARLY_BITS``, the most alike first; images of one colour are no copies of each other.

    Args:
        hashes: by image id.
    """
    ids = sorted(one for one, value in hashes.items() if value)
    values = np.array([hashes[one] for one in ids], np.uint64)
    found: list[NearCopy] = []
    for at, value in enumerate(values[:-1]):
        bits = np.bitwise_count(values[at + 1 :] ^ value)
        for other in np.flatnonzero(bits <= NEARLY_BITS).tolist():
            found.append(NearCopy(ids[at], ids[at + 1 + other], int(bits[other])))
    return sorted(found, key=lambda pair: (pair.bits, pair.first, pair.second))
