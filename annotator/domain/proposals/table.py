"""Objects that the model found by itself in one image, how they lie on each other, and which of them are shown.

Everything that a slider needs is computed once, when proposals arrive; after that thousands of them are sorted out in
milliseconds, without a look at a pixel.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

IntArray = npt.NDArray[np.int64]
COVERED_FROM = 0.5
"""A proposal of which an object holds this share is not needed any more."""
SAME_FROM = 0.6
"""IoU from which on a proposal is one that was dropped before."""
_RASTER_PX = 1024
"""The longer side that a ring is drawn at, to see what lies in it."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptProposal:
    """One proposal of an image.

    Attributes:
        id: unique within its image, from 1.
        mask: tight; rle: its runs, as an annotation keeps them.
        score: how good the model thinks it is, 0..1.
        source: who found it: "everything", "like".
        model, model_sha256, adapter: as an annotation has them.
        facts: JSON of an object: what else is known, such as the stability; goes into the object that is made of it.
    """

    id: int
    mask: Mask
    rle: bytes
    score: float
    source: str = "everything"
    model: str = ""
    model_sha256: str = ""
    adapter: str = ""
    facts: str = "{}"

    @property
    def phrase(self) -> str:
        """The words that it was looked for by; empty when nobody named it."""
        found = json.loads(self.facts).get("phrase", "")
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which proposals are shown.

    Attributes:
        least_score: 0..1.
        least_area_px, most_area_px: size of the mask.
        most_overlap: of two that share more than this part of the smaller one, the worse is not shown; 1 shows all.
    """

    least_score: float = 0.0
    least_area_px: float = 0.0
    most_area_px: float = math.inf
    most_overlap: float = 0.7


class ProposalTable:
    """The proposals of one image with the pixels that each two of them share. Never changed.

    Args:
        items: with different ids, all of one image.
        before: an earlier table; what it knows of the same masks is not computed again.
    """

    def __init__(self, items: Iterable[KeptProposal] = (), *, before: ProposalTable | None = None) -> None:
        self.items = tuple(items)
        self.index = {item.id: at for at, item in enumerate(self.items)}
        self.areas: IntArray = np.array([item.mask.area for item in self.items], np.int64)
        boxes = [_box_xyxy(item.mask) for item in self.items]
        self.boxes: IntArray = np.array(boxes, np.int64).reshape(-1, 4)
        self._ids = [item.id for item in self.items]
        self._scores = np.array([item.score for item in self.items], np.float64)
        order = sorted(range(len(self.items)), key=lambda at: (-self.items[at].score, self.items[at].id))
        self._best_first = tuple(order)
        self._meets = self._shared(before)
        self._hides = self._hidden_by()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, proposal_id: int) -> KeptProposal:
        """Raises:
        KeyError: there is none of this id.
        """
        return self.items[self.index[proposal_id]]

    def __contains__(self, proposal_id: object) -> bool:
        return proposal_id in self.index

    def shown(self, limits: Limits, gone: Collection[int] = ()) -> tuple[int, ...]:
        """Ids of those within the limits, the best first; those that are ``gone`` hide nothing."""
        ids, hides, most = self._ids, self._hides, limits.most_overlap
        is_out = (self._scores < limits.least_score) | (self.areas < limits.least_area_px)
        hidden = bytearray((is_out | (self.areas > limits.most_area_px)).tobytes())
        for one in gone:
            if (at := self.index.get(one)) is not None:
                hidden[at] = True
        found: list[int] = []
        for at in self._best_first:
            if not hidden[at]:
                found.append(ids[at])
                for share, other in hides[at]:
                    if share <= most:
                        break
                    hidden[other] = True
        return tuple(found)

    def rescored(self, scores: Mapping[int, float]) -> ProposalTable:
        """The same proposals ordered by other scores, by id; those of the items stay what the model said."""
        other = copy.copy(self)
        other._scores = np.array([scores.get(item.id, item.score) for item in self.items], np.float64)
        values = other._scores.tolist()
        order = sorted(range(len(self.items)), key=lambda at: (-values[at], self.items[at].id))
        other._best_first = tuple(order)
        other._hides = other._hidden_by()
        return other

    def covered_by(self, mask: Mask, rle: bytes = b"") -> frozenset[int]:
        """Ids of the proposals that an object covers. With the runs of a proposal nothing is computed."""
        at = self._by_rle.get(rle) if rle else None
        if at is not None:
            shared = {at: int(self.areas[at]), **dict(self._meets[at])}
        elif not self.items or mask.is_empty or self._is_of_another_size(mask):
            return frozenset()
        else:
            near = self._near(_box_xyxy(mask)).tolist()
            shared = {other: mask.intersection_area(self.items[other].mask) for other in near}
        return frozenset(
            self.items[other].id for other, count in shared.items() if count >= COVERED_FROM * self.areas[other]
        )

    def has_runs(self, rle: bytes) -> bool:
        """Whether a proposal has these runs: then :meth:`covered_by` needs no mask."""
        return rle in self._by_rle

    def like(self, mask: Mask) -> frozenset[int]:
        """Ids of the proposals that are this mask, more or less."""
        if not self.items or mask.is_empty or self._is_of_another_size(mask):
            return frozenset()
        near = (self.items[at] for at in self._near(_box_xyxy(mask)).tolist())
        return frozenset(item.id for item in near if item.mask.iou(mask) > SAME_FROM)

    def in_ring(self, ring_xy: Sequence[tuple[float, float]], ids: Collection[int]) -> frozenset[int]:
        """Those of ``ids`` with more than half of their pixels in a closed line.

        Args:
            ring_xy: corners in image pixels.
        """
        if len(ring_xy) < 3 or not self.items:
            return frozenset()
        mask = self.items[0].mask
        scale = min(1.0, _RASTER_PX / max(mask.width, mask.height))
        drawn = np.zeros((math.ceil(mask.height * scale) + 1, math.ceil(mask.width * scale) + 1), np.uint8)
        corners = np.clip(np.array(ring_xy, np.float64), -mask.width - mask.height, 2.0 * (mask.width + mask.height))
        cv2.fillPoly(drawn, [np.round(corners * scale * 16).astype(np.int32)], (1,), shift=4)
        return frozenset(one for one in ids if _share_inside(self[one].mask, drawn, scale) > 0.5)

    def in_reading_order(self, ids: Iterable[int]) -> tuple[int, ...]:
        """Line by line from the top, each from the left."""
        chosen = [self.index[one] for one in ids]
        if not chosen:
            return ()
        boxes = self.boxes[chosen]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        # A line goes on as long as the next one down is not a good half of an object lower than its first.
        reach_px = 0.6 * float(np.median(boxes[:, 3] - boxes[:, 1]))
        lines, first, line = np.zeros(len(chosen)), -math.inf, 0
        for at in np.argsort(centres[:, 1], kind="stable").tolist():
            if centres[at, 1] > first + reach_px:
                first, line = float(centres[at, 1]), line + 1
            lines[at] = line
        order = np.lexsort((centres[:, 0], lines))
        return tuple(self.items[chosen[at]].id for at in order.tolist())

    # --- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _by_rle(self) -> dict[bytes, int]:
        return {item.rle: at for at, item in enumerate(self.items)}

    def _is_of_another_size(self, mask: Mask) -> bool:
        own = self.items[0].mask
        return (own.width, own.height) != (mask.width, mask.height)

    def _near(self, box: tuple[int, int, int, int], first: int = 0) -> IntArray:
        """Places of those whose box meets this one, from the place ``first`` on."""
        x0, y0, x1, y1 = box
        boxes = self.boxes[first:]
        meets = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
        return np.asarray(np.flatnonzero(meets) + first, np.int64)

    def _shared(self, before: ProposalTable | None) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each the places of those that it shares pixels with, and how many."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.items]
        known = self._known(before)
        for at, item in enumerate(self.items):
            for other in self._near(_box_xyxy(item.mask), at + 1).tolist():
                count = known.get((at, other))
                if count is None:
                    count = item.mask.intersection_area(self.items[other].mask)
                if count:
                    found[at].append((other, count))
                    found[other].append((at, count))
        return tuple(map(tuple, found))

    def _hidden_by(self) -> tuple[tuple[tuple[float, int], ...], ...]:
        """For each the places of worse ones that it may hide, with the share of the smaller one, the largest first."""
        areas = self.areas.tolist()
        rank = {at: place for place, at in enumerate(self._best_first)}
        return tuple(
            tuple(
                sorted(
                    ((count / min(areas[at], areas[other]), other) for other, count in meets if rank[other] > rank[at]),
                    reverse=True,
                )
            )
            for at, meets in enumerate(self._meets)
        )

    def _known(self, before: ProposalTable | None) -> dict[tuple[int, int], int]:
        """What an earlier table knows, by the places of this one."""
        if before is None:
            return {}
        places = {id(item.mask): at for at, item in enumerate(self.items)}
        here = [places.get(id(item.mask), -1) for item in before.items]
        known = {}
        for old, at in enumerate(here):
            # Masks that share nothing are known, too: their boxes meet.
            others = {} if at < 0 else dict(before._meets[old])
            for other in before._near(_box_xyxy(before.items[old].mask)).tolist() if at >= 0 else ():
                if here[other] > at:
                    known[at, here[other]] = others.get(other, 0)
        return known


def _box_xyxy(mask: Mask) -> tuple[int, int, int, int]:
    height, width = mask.bits.shape
    return mask.x, mask.y, mask.x + width, mask.y + height


def _share_inside(mask: Mask, drawn: npt.NDArray[np.uint8], scale: float) -> float:
    """Which part of a mask's pixels lies where ``drawn`` (rows first, at ``scale`` of the image) is not 0."""
    x0, y0, x1, y1 = _box_xyxy(mask)
    under = drawn[int(y0 * scale) : math.ceil(y1 * scale) + 1, int(x0 * scale) : math.ceil(x1 * scale) + 1]
    if not under.any():
        return 0.0
    rows, columns = np.nonzero(mask.bits)
    inside = drawn[((rows + y0 + 0.5) * scale).astype(int), ((columns + x0 + 0.5) * scale).astype(int)]
    return float(inside.mean()) if inside.size else 0.0
