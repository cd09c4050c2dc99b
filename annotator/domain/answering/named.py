"""What several phrases have found, put together: every object once, and nothing that is not wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from annotator.domain.answering.everything import Proposal, mask_nms
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask
from annotator.domain.phrase import Phrases

SAME_IOU = 0.6
"""Two masks that share more are one object: it has the phrase that is more likely."""


def named_proposal(mask: Mask, score: float, stability: float, phrase: str) -> Proposal:
    """An object that words have found; mask tight and not empty."""
    x, y, width, height = mask.bbox_xywh
    middle = (x + width / 2, y + height / 2)
    whole = Region(0, 0, mask.width, mask.height)
    return Proposal(mask, min(max(score, 0.0), 1.0), stability, middle, whole, phrase)


def settled(found: Iterable[Proposal], phrases: Phrases, limit: int) -> tuple[Proposal, ...]:
    """The best first. Of the same object that several phrases have found the most likely one counts: where that is not
    wanted, the object goes."""
    best = mask_nms(list(found), SAME_IOU)
    return tuple(one for one in best if one.phrase in phrases.wanted)[:limit]


def without_herds(boxes: Sequence[tuple[float, float, float, float]]) -> list[int]:
    """Places of the boxes that are no herd: one that holds three others or more stands for all of them at once.

    Args:
        boxes: x0, y0, x1, y1 of one phrase.
    """

    def holds(outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
        x = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
        is_smaller = (inner[2] - inner[0]) * (inner[3] - inner[1]) < 0.5 * (outer[2] - outer[0]) * (outer[3] - outer[1])
        return is_smaller and outer[0] <= x[0] <= outer[2] and outer[1] <= x[1] <= outer[3]

    return [
        at
        for at, box in enumerate(boxes)
        if sum(holds(box, other) for place, other in enumerate(boxes) if place != at) < 3
    ]
