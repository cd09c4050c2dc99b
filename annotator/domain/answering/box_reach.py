"""A box says how far its object reaches. An answer that stops well short of it is cut at a lower logit.

A model that is unsure of a part (the front wheel of a motorcycle) leaves it out, though that part touches the side of
the box that was drawn round all of it. The tightness of a box as a prior: Lempitsky et al., ICCV 2009.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.answering.tidy import tidied
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask

FloatArray = npt.NDArray[np.float32]
GOOD_FIT = 0.75
"""From this fit on an answer stays as it is: boxes are drawn by hand."""
LEVELS = (-0.25, -0.5, -1.0, -1.5, -2.0)
LEVEL_PRICE = 0.05
"""Fit that a logit of level costs: what the model says No to more firmly has to bring more."""
LEAST_GAIN = 0.05


def box_fit(mask: Mask, box: Box) -> float:
    """IoU of a mask's tight box with a box in the same pixels, 0..1; 0 for an empty mask."""
    x, y, width, height = mask.bbox_xywh
    if width == 0:
        return 0.0
    shared = max(0.0, min(x + width, box.x1) - max(x, box.x0)) * max(0.0, min(y + height, box.y1) - max(y, box.y0))
    return float(shared / (width * height + box.area - shared))


def reaching(mask: Mask, logits: FloatArray, box: Box) -> tuple[Mask, FloatArray] | None:
    """A mask that fills its box better, and its logits, zero along its outline as ever.

    Args:
        mask: what the logits were cut to, of the piece's size.
        logits: L x M float32, stretched over the piece; box: in the piece's pixels.

    Returns:
        None where the mask fits well enough (:data:`GOOD_FIT`), or no level of :data:`LEVELS` fits better by
        :data:`LEAST_GAIN` after its price.
    """
    first = box_fit(mask, box)
    if mask.is_empty or first >= GOOD_FIT:
        return None
    best, found = first + LEAST_GAIN, None
    for level in LEVELS:
        raised = np.asarray(logits - np.float32(level), np.float32)
        cut = mask_from_logits(
            tidied(raised, (), width=mask.width, height=mask.height), width=mask.width, height=mask.height
        )
        worth = box_fit(cut, box) + LEVEL_PRICE * level
        if worth > best:
            best, found = worth, (cut, raised)
    return found
