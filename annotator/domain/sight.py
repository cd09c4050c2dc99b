"""What the model sees of an image that is too large for it: a part, in a size that it can take.

Prompts and masks are of the whole image everywhere in the program; here they become those of the part, and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from annotator.domain import budget
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt, Prompts

LONGEST_PX = 2048
"""Of what the model is given: more of the image is given smaller."""
LEAST_PX = 512
"""A part is at least so large, in image pixels: what is round an object tells what it is."""
_GRID_PX = 64
"""Parts begin and end on a grid of so many of their own pixels: a small pan finds the same part."""
_SAME_STEP = 1.6
"""Parts of about this resolution are as good as each other."""
_MASK_SHARE = 16
"""A mask may take this part of the memory that one image may."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A part of an image, and the size in which it is seen.

    Attributes:
        width, height: of the image in pixels.
        region: the part, in image pixels.
        size_wh: columns and rows that are made of it.
    """

    width: int
    height: int
    region: Region
    size_wh: tuple[int, int]

    @classmethod
    def of_view(cls, view: Box, *, width: int, height: int) -> Sight:
        """The part for what is in view (image pixels), in whole pixels of the image where it is small enough."""
        x0, x1 = _stretched(view.x0, view.x1, width)
        y0, y1 = _stretched(view.y0, view.y1, height)
        step = 1
        while max(x1 - x0, y1 - y0) > LONGEST_PX * step:
            step *= 2
        grid = step * _GRID_PX
        region = Region(
            max(0, math.floor(x0 / grid) * grid),
            max(0, math.floor(y0 / grid) * grid),
            min(width, math.ceil(x1 / grid) * grid),
            min(height, math.ceil(y1 / grid) * grid),
        )
        return cls(width, height, region, (-(-region.width // step), -(-region.height // step)))

    @property
    def step(self) -> float:
        """Image pixels to each that is seen."""
        return max(self.region.width / self.size_wh[0], self.region.height / self.size_wh[1])

    @property
    def name(self) -> str:
        """Tells parts of an image apart."""
        region, (width, height) = self.region, self.size_wh
        return f"{region.x0},{region.y0},{region.x1},{region.y1}@{width}x{height}"

    def serves(self, x: float, y: float, other: Sight) -> bool:
        """Whether a click here can as well be answered in this part as in ``other``."""
        is_alike = 1 / _SAME_STEP < self.step / other.step < _SAME_STEP
        margin_x, margin_y = self.region.width / 16, self.region.height / 16
        x0 = self.region.x0 + (margin_x if self.region.x0 > 0 else 0)
        y0 = self.region.y0 + (margin_y if self.region.y0 > 0 else 0)
        x1 = self.region.x1 - (margin_x if self.region.x1 < self.width else 0)
        y1 = self.region.y1 - (margin_y if self.region.y1 < self.height else 0)
        return is_alike and x0 <= x <= x1 and y0 <= y <= y1

    # --- into the part ------------------------------------------------------------------------------------------------

    def point(self, x: float, y: float) -> tuple[float, float]:
        """An image position in pixels of the part."""
        scale_x, scale_y = self._scales
        return (x - self.region.x0) / scale_x, (y - self.region.y0) / scale_y

    def box(self, box: Box) -> Box:
        """A box of the image in pixels of the part, cut at its edge."""
        inside = Box(*self.point(box.x0, box.y0), *self.point(box.x1, box.y1))
        return inside.clipped(*self.size_wh)

    def prompts(self, prompts: Prompts) -> Prompts:
        """In pixels of the part; clicks elsewhere are left out, but for the newest."""
        points = tuple(
            PointPrompt(*self.point(p.x, p.y), p.is_positive)
            for p in prompts.points
            if p is prompts.points[-1] or self.region.contains(p.x, p.y)
        )
        box = None if prompts.box is None else self.box(prompts.box)
        base = None if prompts.base_mask is None else self.mask(prompts.base_mask)
        return Prompts(points, box, None if base is None or base.is_empty else base)

    def mask(self, mask: Mask) -> Mask:
        """What of a mask lies in the part, in its pixels."""
        h, w = mask.bits.shape
        x0, y0 = max(mask.x, self.region.x0), max(mask.y, self.region.y0)
        x1, y1 = min(mask.x + w, self.region.x1), min(mask.y + h, self.region.y1)
        if x0 >= x1 or y0 >= y1:
            return Mask.empty(*self.size_wh)
        left, top = (math.floor(v) for v in self.point(x0, y0))
        right, bottom = (math.ceil(v) for v in self.point(x1, y1))
        right, bottom = min(self.size_wh[0], max(right, left + 1)), min(self.size_wh[1], max(bottom, top + 1))
        bits = mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x]
        if (right - left, bottom - top) != (x1 - x0, y1 - y0):
            small = cv2.resize(bits.astype(np.uint8) * 255, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            bits = np.asarray(small > 127)
        return Mask(bits.copy(), left, top, *self.size_wh)

    def candidate(self, candidate: Candidate) -> Candidate:
        """A candidate of :meth:`candidates` as the engine gave it."""
        box = candidate.logits_box
        inside = None if box is None else self.box(box)
        is_whole = inside is not None and (round(inside.width), round(inside.height)) == self.size_wh
        return replace(candidate, mask=self.mask(candidate.mask), logits_box=None if is_whole else inside)

    # --- out of the part ----------------------------------------------------------------------------------------------

    def candidates(self, found: Candidates) -> Candidates:
        """An answer in image pixels; candidates whose masks are too large to be held are left out.

        Raises:
            UserError: all of them are.
        """
        fitting = [at for at, item in enumerate(found.items) if self.fits(item.mask)]
        if not fitting:
            raise UserError("The object is too large to be outlined to the pixel.", "Zoom in and click a part of it.")
        best = found.best if found.best in fitting else max(fitting, key=lambda at: found.items[at].predicted_iou)
        items = tuple(self._candidate_outside(found.items[at]) for at in fitting)
        return replace(found, items=items, best=fitting.index(best))

    def mask_outside(self, mask: Mask) -> Mask:
        """A mask of the part in the whole image."""
        if mask.is_empty:
            return Mask.empty(self.width, self.height)
        if self._scales == (1.0, 1.0):
            return Mask(mask.bits, mask.x + self.region.x0, mask.y + self.region.y0, self.width, self.height)
        x0, y0, x1, y1 = self._place_of(mask)
        grey = mask.bits.astype(np.uint8) * 255
        # Linear between the centres of the coarse pixels, so that edges are slanted and no stairs.
        large = cv2.resize(np.pad(grey, 1), self._padded_size(mask), interpolation=cv2.INTER_LINEAR)
        pad_x, pad_y = (large.shape[1] - (x1 - x0)) // 2, (large.shape[0] - (y1 - y0)) // 2
        bits = np.asarray(large[pad_y : pad_y + y1 - y0, pad_x : pad_x + x1 - x0] > 127)
        return Mask(bits, x0, y0, self.width, self.height).tight()

    def box_outside(self, box: Box) -> Box:
        """A box of the part in image pixels."""
        return Box(*self.point_outside(box.x0, box.y0), *self.point_outside(box.x1, box.y1))

    def point_outside(self, x: float, y: float) -> tuple[float, float]:
        """A position of the part in image pixels."""
        scale_x, scale_y = self._scales
        return self.region.x0 + x * scale_x, self.region.y0 + y * scale_y

    def region_outside(self, region: Region) -> Region:
        """A piece of the part in whole image pixels."""
        x0, y0 = self.point_outside(region.x0, region.y0)
        x1, y1 = self.point_outside(region.x1, region.y1)
        return Region(math.floor(x0), math.floor(y0), min(self.width, math.ceil(x1)), min(self.height, math.ceil(y1)))

    def fits(self, mask: Mask) -> bool:
        """Whether a mask of the part is small enough to be held in pixels of the whole image."""
        x0, y0, x1, y1 = self._place_of(mask)
        return mask.is_empty or (x1 - x0) * (y1 - y0) <= budget.limit_bytes() // _MASK_SHARE

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _scales(self) -> tuple[float, float]:
        return self.region.width / self.size_wh[0], self.region.height / self.size_wh[1]

    def _place_of(self, mask: Mask) -> tuple[int, int, int, int]:
        """The mask's crop in whole image pixels."""
        (scale_x, scale_y), (h, w), region = self._scales, mask.bits.shape, self.region
        x0, y0 = round(region.x0 + mask.x * scale_x), round(region.y0 + mask.y * scale_y)
        x1 = min(region.x1, max(x0 + 1, round(region.x0 + (mask.x + w) * scale_x)))
        y1 = min(region.y1, max(y0 + 1, round(region.y0 + (mask.y + h) * scale_y)))
        return min(x0, x1 - 1), min(y0, y1 - 1), x1, y1

    def _padded_size(self, mask: Mask) -> tuple[int, int]:
        x0, y0, x1, y1 = self._place_of(mask)
        h, w = mask.bits.shape
        return x1 - x0 + 2 * math.ceil((x1 - x0) / w), y1 - y0 + 2 * math.ceil((y1 - y0) / h)

    def _candidate_outside(self, candidate: Candidate) -> Candidate:
        whole = Box(0, 0, *self.size_wh)
        seen = candidate.uncertainty
        return replace(
            candidate,
            mask=self.mask_outside(candidate.mask),
            uncertainty=None if seen is None else self._map_outside(seen),
            logits_box=self.box_outside(candidate.logits_box or whole),
        )

    def _map_outside(self, seen: UncertaintyMap) -> UncertaintyMap:
        points = tuple(PointPrompt(*self.point_outside(p.x, p.y), p.is_positive) for p in seen.hard_points)
        return UncertaintyMap(seen.values, self.box_outside(seen.box), points)


def _stretched(start: float, end: float, size: int) -> tuple[float, float]:
    """What is in view along one side, inside the image, and not too little of it."""
    start, end = max(0.0, start), min(float(size), end)
    if end - start < LEAST_PX:
        middle = (start + end) / 2
        start, end = middle - LEAST_PX / 2, middle + LEAST_PX / 2
        shift = max(0.0, -start) - max(0.0, end - size)
        start, end = max(0.0, start + shift), min(float(size), end + shift)
    return start, end
