"""An existing mask as SAM 2's dense prompt."""

from __future__ import annotations

import cv2
import numpy as np

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import LogitsArray

MASK_PROMPT_LOGIT = 8.0


def mask_to_logits(mask: Mask, side: int) -> LogitsArray:
    """An existing mask as a dense prompt: side x side float32, +-8 inside / outside, graded at the edge by coverage."""
    if mask.is_empty:
        return np.full((side, side), -MASK_PROMPT_LOGIT, np.float32)
    full = mask.full().astype(np.float32)
    coverage = cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray((2 * coverage - 1) * MASK_PROMPT_LOGIT, np.float32)
