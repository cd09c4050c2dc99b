"""A model's calibration as the text that its file carries."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from typing import Any

from annotator.domain.answering.hypotheses import USUAL, Calibration, RatingWeights

CALIBRATION_KEY = "calibration"
"""Under it the text stands in the metadata of a weights file."""
_LARGEST = 1e3
_NAMES = frozenset(field.name for field in fields(RatingWeights))


def calibration_text(calibration: Calibration) -> str:
    """JSON, sorted; a network is no text (:mod:`annotator.engine.sam2.rating_tensors`)."""
    said = {"ratings": asdict(calibration.ratings), "expectation": asdict(calibration.expectation)}
    return json.dumps(said, sort_keys=True)


def read_calibration(text: str) -> Calibration:
    """What a file says; :data:`~annotator.domain.answering.hypotheses.USUAL` where it says nothing.

    Raises:
        ValueError: it is no calibration.
    """
    if not text:
        return USUAL
    raw = json.loads(text)
    if not isinstance(raw, dict) or set(raw) != {"ratings", "expectation"}:
        raise ValueError("a calibration without ratings or expectation")
    return Calibration(_weights(raw["ratings"]), _weights(raw["expectation"]))


def _weights(raw: Any) -> RatingWeights:
    if not isinstance(raw, dict) or set(raw) != _NAMES:
        raise ValueError("weights of a rating with other names")
    for value in raw.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("a weight that is no number")
        if abs(value) > _LARGEST:
            raise ValueError("a weight out of all measure")
    return RatingWeights(**{name: float(value) for name, value in raw.items()})
