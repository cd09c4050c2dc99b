"""Where the sliders for proposals were, as a text for the settings."""

from __future__ import annotations

import json
import math
from typing import Any

from annotator.domain.ports.likeness import LEAST_LIKE_SCORE
from annotator.domain.proposals.review import Walk
from annotator.domain.proposals.table import Limits

FIRST_LIMITS = Limits(least_score=0.6, most_overlap=0.5)
"""What shows most objects once with the embedded model on its dev sets."""


def as_text(limits: Limits, walk: Walk, like_score: float = LEAST_LIKE_SCORE) -> str:
    """JSON; a size without end is null. ``like_score`` is the least score of what was found by examples."""
    most = limits.most_area_px if math.isfinite(limits.most_area_px) else None
    return json.dumps([limits.least_score, limits.least_area_px, most, limits.most_overlap, walk.value, like_score])


def from_text(text: str) -> tuple[Limits, Walk, float]:
    """What was remembered; the first limits for anything else."""
    try:
        score, least, most, overlap, walk, *more = json.loads(text)
        limits = Limits(
            _number(score, 1.0),
            _number(least, math.inf),
            math.inf if most is None else _number(most, math.inf),
            _number(overlap, 1.0),
        )
        return limits, Walk(walk), _number(more[0], 1.0) if more else LEAST_LIKE_SCORE
    except (ValueError, TypeError):
        return FIRST_LIMITS, Walk.SCORE, LEAST_LIKE_SCORE


def _number(value: Any, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no limit")
    return float(value)
