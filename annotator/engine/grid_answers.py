"""What was found in one crop while its clicks are asked: figures of candidates, and what their pixels follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.everything import FloatArray, IntArray, Proposal, box_nms
from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask

_MOST = 60000.0
"""What half precision holds."""
_NOWHERE = -1.0
"""For cells that are not kept: outside, as they were."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptLogits:
    """What a decoder said of one candidate, where it is and a cell round that, at half precision: less than its pixels
    take, and most candidates turn out to be another one again before anybody has to see their pixels."""

    cells: npt.NDArray[np.float16]
    row: int
    column: int
    shape: tuple[int, int]

    @staticmethod
    def of(logits: FloatArray) -> KeptLogits:
        """Of L x M logits, some of them positive."""
        is_in = logits > 0
        rows, columns = np.flatnonzero(is_in.any(axis=1)), np.flatnonzero(is_in.any(axis=0))
        top, left = max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1)
        cells = logits[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2]
        return KeptLogits(np.clip(cells, -_MOST, _MOST).astype(np.float16), top, left, (len(logits), logits.shape[1]))

    def mask(self, region: Region, *, width: int, height: int) -> Mask:
        """In an image of this size, of which the logits are a region."""
        logits = np.full(self.shape, _NOWHERE, np.float32)
        rows, columns = self.cells.shape
        logits[self.row : self.row + rows, self.column : self.column + columns] = self.cells
        mask = mask_from_logits(logits, width=region.width, height=region.height)
        return Mask(mask.bits, mask.x + region.x0, mask.y + region.y0, width, height)


@dataclass(slots=True, eq=False)
class Found:
    """The candidates of one crop that passed the filters.

    Attributes:
        boxes: K x 4 in pixels of the image, first and last column and row, as SAM 2 has them.
        points: K x 2, the clicks, in pixels of the crop.
        logits: what the pixels follow from; None where these are there.
        proposals: those that were looked at as pixels, by their place.
    """

    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    iou: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    stability: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    points: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    logits: list[KeptLogits | None] = field(default_factory=list)
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
        self,
        logits: Sequence[FloatArray],
        *,
        boxes: FloatArray,
        iou: FloatArray,
        stability: FloatArray,
        points: FloatArray,
    ) -> None:
        """Take these candidates, K of each."""
        self.boxes = np.concatenate([self.boxes, boxes])
        self.iou = np.concatenate([self.iou, iou])
        self.stability = np.concatenate([self.stability, stability])
        self.points = np.concatenate([self.points, points])
        self.logits += map(KeptLogits.of, logits)

    def best(self, most_overlap: float) -> IntArray:
        """Places of those that no better one replaces, by the IoU of their boxes."""
        return box_nms(self.boxes, self.iou, most_overlap)
