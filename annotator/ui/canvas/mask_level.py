"""A mask as grey values, softened or made smaller; after an edit only what has changed is computed again."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

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
_LEAST_INSIDE, _MOST_OUTSIDE = 153, 102
"""Softened values (together 255) of a pixel in the mask, and of one beside it."""
_TILE_PX, _LEAST_TILE = 512, 32
"""Side of a tile: so many pixels of the image, but not fewer blocks than this."""
_AT_ONCE = 1 << 18
"""Pixels that are computed in one go."""


class MaskLevel:
    """How much of each block of 2^n x 2^n pixels is inside, 0..255; of single pixels the edges are softened.

    Blocks lie on a grid that begins at the image's corner, so that they stay where they are when the mask grows. They
    are computed tile by tile, when they are seen: of a large mask that is the smaller part, at most zooms.

    Attributes:
        halvings: n.
        left, top: place of the first block, counted in blocks from the image's corner; there are ``PAD`` more than the
            mask has, on each side.
    """

    def __init__(self, mask: Mask, halvings: int) -> None:
        self.halvings, self._tile = halvings, max(_LEAST_TILE, _TILE_PX >> halvings)
        self._show(mask, _blocks_of(mask, halvings))

    def _show(self, mask: Mask, blocks: Frame) -> None:
        self._mask, self._blocks = mask, blocks
        self.left, self.top, right, bottom = blocks
        self._grey: Grey = np.zeros((bottom - self.top, right - self.left), np.uint8)
        self._tiles = self._tiles_of(blocks)
        x0, y0, x1, y1 = self._tiles
        self._is_known: npt.NDArray[np.bool_] = np.zeros((y1 - y0, x1 - x0), np.bool_)

    @classmethod
    def known(cls, mask: Mask, halvings: int, grey: Grey) -> MaskLevel:
        """One whose blocks are all computed."""
        level = cls(mask, halvings)
        level._grey = grey
        level._is_known[...] = True
        return level

    def whole(self) -> Grey:
        """As :meth:`grey`, of all blocks."""
        return self.grey(self._blocks)

    def grey(self, seen: Frame) -> Grey:
        """Rows x columns of all blocks; computed are those in ``seen``, blocks counted from the image's corner."""
        frame = _common(seen, self._blocks)
        if frame is not None:
            left, top, right, bottom = self._tiles_of(frame)
            column, row = self._tiles[:2]
            missing = np.argwhere(~self._is_known[top - row : bottom - row, left - column : right - column])
            for down, along in missing.tolist():
                self._compute(left + along, top + down)
        return self._grey

    def edited(self, mask: Mask, changed: Iterable[Frame]) -> MaskLevel:
        """The level of a mask that differs only inside these frames (image pixels). This one is used up."""
        blocks = _blocks_of(mask, self.halvings)
        if blocks == self._blocks:
            self._mask = mask
        else:
            self._move_to(mask, blocks)
        block, reach = 1 << self.halvings, 0 if self.halvings else _SOFT_REACH_PX
        column, row = self._tiles[:2]
        for x0, y0, x1, y1 in changed:
            part = (x0 - reach) // block, (y0 - reach) // block, -(-(x1 + reach) // block), -(-(y1 + reach) // block)
            frame = _common(part, blocks)
            if frame is not None:
                left, top, right, bottom = self._tiles_of(frame)
                self._is_known[top - row : bottom - row, left - column : right - column] = False
        return self

    def _tiles_of(self, blocks: Frame) -> Frame:
        (x0, y0, x1, y1), tile = blocks, self._tile
        return x0 // tile, y0 // tile, -(-x1 // tile), -(-y1 // tile)

    def _compute(self, column: int, row: int) -> None:
        tile = self._tile
        frame = _common((column * tile, row * tile, (column + 1) * tile, (row + 1) * tile), self._blocks)
        if frame is not None:
            x0, y0, x1, y1 = frame
            part = self._grey[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
            _compute(self._mask, self.halvings, x0, y0, part)
            self._is_known[row - self._tiles[1], column - self._tiles[0]] = True

    def _move_to(self, mask: Mask, blocks: Frame) -> None:
        """The same values for other blocks; those that are new are empty, until they change."""
        before, grey = self._blocks, self._grey
        tiles, is_known = self._tiles, self._is_known
        self._show(mask, blocks)
        _copy_common(grey, before, self._grey, blocks)
        _copy_common(is_known, tiles, self._is_known, self._tiles)


_prepared: WeakKeyDictionary[Mask, tuple[int, Grey]] = WeakKeyDictionary()
"""Of masks that are about to be shown: how often they are halved, and the values. (A level would keep its mask.)"""


def halvings_for(scale: float) -> int:
    """How often a mask is halved that is seen at so many device pixels to one of its own."""
    halvings = 0
    while scale * (2 << halvings) <= 1.0:
        halvings += 1
    return halvings


def prepare_level(mask: Mask, scale: float) -> None:
    """Compute what painting a mask as a whole needs, at so many device pixels to one of its own. For another thread.
    Nothing where single pixels are seen: then only a part of a large mask is."""
    if halvings := halvings_for(scale):
        _prepared[mask] = halvings, MaskLevel(mask, halvings).whole()


def prepared_level(mask: Mask, halvings: int) -> MaskLevel | None:
    """What was computed for this mask at this size; for one picture of it, which may use it up."""
    prepared_for, grey = _prepared.pop(mask, (0, None))
    return MaskLevel.known(mask, halvings, grey) if grey is not None and prepared_for == halvings else None


def _common(one: Frame, other: Frame) -> Frame | None:
    x0, y0, x1, y1 = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _copy_common(
    source: npt.NDArray[np.generic], source_frame: Frame, target: npt.NDArray[np.generic], target_frame: Frame
) -> None:
    common = _common(source_frame, target_frame)
    if common is not None:
        x0, y0, x1, y1 = common
        (left, top), (x, y) = source_frame[:2], target_frame[:2]
        target[y0 - y : y1 - y, x0 - x : x1 - x] = source[y0 - top : y1 - top, x0 - left : x1 - left]


def _blocks_of(mask: Mask, halvings: int) -> Frame:
    """The blocks of a mask's level: (x0, y0, x1, y1), the last two not included."""
    height, width = mask.bits.shape
    block = 1 << halvings
    right, bottom = -(-(mask.x + width) // block), -(-(mask.y + height) // block)
    return mask.x // block - PAD, mask.y // block - PAD, right + PAD, bottom + PAD


def _compute(mask: Mask, halvings: int, x0: int, y0: int, out: Grey) -> None:
    """Put the values of the blocks from (x0, y0) on into a plane. In strips, so that the pixels on the way stay in the
    processor's cache."""
    block, reach = 1 << halvings, 0 if halvings else _SOFT_REACH_PX
    height, width = out.shape
    rows = max(1, _AT_ONCE // (block * block * width))
    strip = np.empty((min(rows, height) * block + 2 * reach, width * block + 2 * reach), np.uint8)
    for top in range(0, height, rows):
        part = out[top : top + rows]
        grey = strip[: part.shape[0] * block + 2 * reach]
        _put_pixels(mask, grey, x0 * block - reach, (y0 + top) * block - reach)
        if halvings:
            part[...] = _halved(grey, halvings)
        else:
            part[...] = _softened(grey)[reach:-reach, reach:-reach]


def _halved(grey: Grey, halvings: int) -> Grey:
    """The means of blocks, to a grey value: in steps of two, which OpenCV is fast at."""
    for _ in range(halvings):
        half = grey.shape[1] // 2, grey.shape[0] // 2
        grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.uint8)
    return grey


def _put_pixels(mask: Mask, grey: Grey, x0: int, y0: int) -> None:
    """0 or 255 for each pixel of a plane at (x0, y0), which may leave the image."""
    (rows, columns), (height, width) = grey.shape, mask.bits.shape
    left, right = (min(max(x - x0, 0), columns) for x in (mask.x, mask.x + width))
    top, bottom = (min(max(y - y0, 0), rows) for y in (mask.y, mask.y + height))
    if left >= right or top >= bottom:
        grey[...] = 0
        return
    for outside in (grey[:top], grey[bottom:], grey[top:bottom, :left], grey[top:bottom, right:]):
        outside[...] = 0
    x, y = x0 - mask.x, y0 - mask.y
    bits = mask.bits[y + top : y + bottom, x + left : x + right]
    np.multiply(bits.view(np.uint8), 255, out=grey[top:bottom, left:right])


def _softened(grey: Grey) -> Grey:
    """Stairs of pixels become slopes. What is inside stays inside by its centre, so that the thinnest line stays."""
    side = 2 * _SOFT_REACH_PX + 1
    soft = np.asarray(cv2.GaussianBlur(grey, (side, side), _SOFT_SIGMA_PX), np.uint8)
    least = np.minimum(grey, _LEAST_INSIDE)
    np.minimum(soft, least + np.uint8(_MOST_OUTSIDE), out=soft)
    return np.maximum(soft, least, out=soft)
