"""What was found in one crop while its clicks are asked: figures of every candidate, pixels at a bit each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.everything import FloatArray, IntArray, Proposal, box_nms
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask


@dataclass(frozen=True, slots=True, eq=False)
class PackedMask:
    """A tight mask in an eighth of its memory: hundreds wait until it is known which of them are kept."""

    bits: npt.NDArray[np.uint8]
    shape: tuple[int, int]
    x: int
    y: int

    @staticmethod
    def of(mask: Mask) -> PackedMask:
        return PackedMask(np.packbits(mask.bits), mask.bits.shape, mask.x, mask.y)

    def mask(self, region: Region, *, width: int, height: int) -> Mask:
        """In an image of this size; the packed one was in a region of it."""
        rows, columns = self.shape
        bits = np.unpackbits(self.bits, count=rows * columns).view(np.bool_).reshape(rows, columns)
        return Mask(bits, self.x + region.x0, self.y + region.y0, width, height)


@dataclass(slots=True, eq=False)
class Found:
    """The candidates of one crop that passed the filters.

    Attributes:
        boxes: K x 4 in pixels of the image, first and last column and row, as SAM 2 has them.
        points: K x 2, the clicks, in pixels of the crop.
        proposals: those that were looked at as pixels, by their place.
    """

    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    iou: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    stability: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    points: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    packed: list[PackedMask | None] = field(default_factory=list)
    proposals: dict[int, Proposal] = field(default_factory=dict)

    @staticmethod
    def of(begun: Sequence[Proposal]) -> Found:
        """With what an earlier run found in the crop: it has its pixels."""
        if not begun:
            return Found()
        return Found(
            np.array([one.box_xyxy for one in begun], np.float32) - np.array([0, 0, 1, 1], np.float32),
            np.array([one.predicted_iou for one in begun], np.float32),
            np.array([one.stability_score for one in begun], np.float32),
            np.zeros((len(begun), 2), np.float32),
            [None] * len(begun),
            dict(enumerate(begun)),
        )

    def add(
        self, masks: Sequence[Mask], *, boxes: FloatArray, iou: FloatArray, stability: FloatArray, points: FloatArray
    ) -> None:
        """Take these candidates, K of each."""
        self.boxes = np.concatenate([self.boxes, boxes])
        self.iou = np.concatenate([self.iou, iou])
        self.stability = np.concatenate([self.stability, stability])
        self.points = np.concatenate([self.points, points])
        self.packed += map(PackedMask.of, masks)

    def best(self, most_overlap: float) -> IntArray:
        """Places of those that no better one replaces, by the IoU of their boxes."""
        return box_nms(self.boxes, self.iou, most_overlap)
