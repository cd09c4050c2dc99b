"""A mask as grey values, softened or made smaller; after an edit only what has changed is computed again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.areas import Frame
from annotator.domain.mask import Mask

Grey = npt.NDArray[np.uint8]
PAD = 2
"""So many blocks round the mask belong to its level: it is sampled between centres, and softened beyond its edge."""
_SOFT_SIGMA_PX = 0.6
_SOFT_REACH_PX = 2


@dataclass(frozen=True, slots=True, eq=False)
class MaskLevel:
    """How much of each block of 2^n x 2^n pixels is inside, 0..255; of single pixels the edges are softened.

    Blocks lie on a grid that begins at the image's corner, so that they stay where they are when the mask grows.

    Attributes:
        halvings: n.
        grey: rows x columns of blocks, with ``PAD`` more on each side of the mask.
        left, top: place of the first block, counted in blocks from the image's corner.
    """

    halvings: int
    grey: Grey
    left: int
    top: int

    @classmethod
    def of(cls, mask: Mask, halvings: int) -> MaskLevel:
        blocks = _blocks_of(mask, halvings)
        return cls(halvings, _computed(mask, halvings, blocks), blocks[0], blocks[1])

    def edited(self, mask: Mask, changed: Frame) -> MaskLevel:
        """The level of a mask that differs only inside ``changed`` (image pixels). This one is used up."""
        blocks = _blocks_of(mask, self.halvings)
        grey = self.grey if blocks == self._blocks else self._moved_to(blocks)
        block = 1 << self.halvings
        reach = 0 if self.halvings else _SOFT_REACH_PX
        x0, y0, x1, y1 = changed
        part = (
            max(blocks[0], (x0 - reach) // block),
            max(blocks[1], (y0 - reach) // block),
            min(blocks[2], -(-(x1 + reach) // block)),
            min(blocks[3], -(-(y1 + reach) // block)),
        )
        if part[0] < part[2] and part[1] < part[3]:
            left, top = part[0] - blocks[0], part[1] - blocks[1]
            new = _computed(mask, self.halvings, part)
            grey[top : top + new.shape[0], left : left + new.shape[1]] = new
        return MaskLevel(self.halvings, grey, blocks[0], blocks[1])

    @property
    def _blocks(self) -> Frame:
        height, width = self.grey.shape
        return self.left, self.top, self.left + width, self.top + height

    def _moved_to(self, blocks: Frame) -> Grey:
        """The same values for other blocks; those that are new are empty."""
        x0, y0, x1, y1 = blocks
        grey = np.zeros((y1 - y0, x1 - x0), np.uint8)
        left, top, right, bottom = self._blocks
        left, top, right, bottom = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
        if left < right and top < bottom:
            known = self.grey[top - self.top : bottom - self.top, left - self.left : right - self.left]
            grey[top - y0 : bottom - y0, left - x0 : right - x0] = known
        return grey


def _blocks_of(mask: Mask, halvings: int) -> Frame:
    """The blocks of a mask's level: (x0, y0, x1, y1), the last two not included."""
    height, width = mask.bits.shape
    block = 1 << halvings
    right, bottom = -(-(mask.x + width) // block), -(-(mask.y + height) // block)
    return mask.x // block - PAD, mask.y // block - PAD, right + PAD, bottom + PAD


def _computed(mask: Mask, halvings: int, blocks: Frame) -> Grey:
    block, reach = 1 << halvings, 0 if halvings else _SOFT_REACH_PX
    x0, y0, x1, y1 = blocks
    grey = _pixels(mask, (x0 * block - reach, y0 * block - reach, x1 * block + reach, y1 * block + reach))
    if halvings:
        return np.asarray(cv2.resize(grey, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA), np.uint8)
    return _softened(grey)[reach:-reach, reach:-reach].copy()


def _pixels(mask: Mask, frame: Frame) -> Grey:
    """0 or 255 for each pixel of a frame, which may leave the image."""
    x0, y0, x1, y1 = frame
    grey = np.zeros((y1 - y0, x1 - x0), np.uint8)
    height, width = mask.bits.shape
    left, top, right, bottom = max(x0, mask.x), max(y0, mask.y), min(x1, mask.x + width), min(y1, mask.y + height)
    if left < right and top < bottom:
        bits = mask.bits[top - mask.y : bottom - mask.y, left - mask.x : right - mask.x]
        np.multiply(bits.view(np.uint8), 255, out=grey[top - y0 : bottom - y0, left - x0 : right - x0])
    return grey


def _softened(grey: Grey) -> Grey:
    """Stairs of pixels become slopes. What is inside stays inside by its centre, so that the thinnest line stays."""
    side = 2 * _SOFT_REACH_PX + 1
    soft = cv2.GaussianBlur(grey, (side, side), _SOFT_SIGMA_PX)
    return np.where(grey > 0, np.maximum(soft, 153), np.minimum(soft, 102)).astype(np.uint8)
