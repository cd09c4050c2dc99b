"""What the answers to one click are of each other: the object, a part of it, or a group that it belongs to.

A name says how a candidate lies to the best rated one, which is taken for the object that is meant: what lies in it and
is clearly smaller is a part of it, what holds it and is clearly larger a group. By area alone the smallest would be
called a part even where it is the whole object and the others are too large.
"""

from __future__ import annotations

from collections.abc import Sequence

from annotator.domain.answering.hypotheses import sampled_intersection
from annotator.domain.mask import Mask

PART, WHOLE, GROUP, OTHER = "part", "whole", "group", "other"
INSIDE_SHARE = 0.8
"""Of a mask that lies in another: outlines are not so exact that it would be all of it."""
LESS_SHARE = 0.75
"""A part has at most this share of the area of what it is a part of; two outlines of one object differ less."""
SAME_IOU = 0.6
"""Two answers that overlap this much and are no part of each other are outlines of one object."""


def names(masks: Sequence[Mask], best: int) -> tuple[str, ...]:
    """A name for each of several answers to one click: :data:`PART`, :data:`WHOLE`, :data:`GROUP` or :data:`OTHER`.

    Args:
        best: index of the best rated answer, which is a whole.
    """
    return tuple(_name(mask, masks[best]) if index != best else WHOLE for index, mask in enumerate(masks))


def _name(mask: Mask, meant: Mask) -> str:
    both = sampled_intersection(mask, meant)
    if _is_part(mask, meant, both):
        return PART
    if _is_part(meant, mask, both):
        return GROUP
    return WHOLE if both >= SAME_IOU * max(1.0, mask.area + meant.area - both) else OTHER


def _is_part(small: Mask, large: Mask, both: float) -> bool:
    return 0 < small.area <= LESS_SHARE * large.area and both >= INSIDE_SHARE * small.area
