"""From a decode's logits to the candidates that a person sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from annotator.domain.answering.logits import mask_from_logits, stability
from annotator.domain.answering.nesting import names
from annotator.domain.answering.tidy import tidied
from annotator.domain.ports.engine import Candidate, Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt

FED_BACK_LIMIT = 32.0
"""Logits that a decode takes as its dense prompt are clamped to this on both sides, as in SAM 2."""


def cut_candidates(
    masks: Tensor,
    iou: Tensor,
    *,
    width: int,
    height: int,
    uncertainty: UncertaintyMap | None,
    tidied_for: Sequence[PointPrompt] | None = None,
) -> list[Candidate]:
    """Candidates at image resolution.

    Args:
        masks: K x L x L float32 raw logits on the CPU; iou: K predicted.
        width, height: of the image or piece, in pixels.
        uncertainty: an adapter's map, the same for all of them.
        tidied_for: the clicks, in the image's pixels, where small islands and holes are to be taken out of the masks
            (:mod:`annotator.domain.answering.tidy`); None leaves them in. The logits stay the model's own.
    """
    found = []
    for raw, predicted in zip(masks.numpy(), iou.tolist(), strict=True):
        # As SAM 2: the outline lies where the raw logits cross zero; only what is fed back to the model is clamped.
        drawn = raw if tidied_for is None else tidied(raw, tidied_for, width=width, height=height)
        mask = mask_from_logits(drawn, width=width, height=height)
        logits = raw.clip(-FED_BACK_LIMIT, FED_BACK_LIMIT)
        logits.setflags(write=False)
        found.append(Candidate(logits, float(predicted), stability(logits), mask, uncertainty=uncertainty))
    return found


def by_area(items: Sequence[Candidate], *, object_score: float, decode_ms: float) -> Candidates:
    """From the smallest to the largest; the best is that of the highest predicted IoU, and three have names."""
    order = sorted(range(len(items)), key=lambda i: items[i].mask.area)
    ordered = [items[i] for i in order]
    best = int(np.argmax([item.predicted_iou for item in ordered]))
    if len(ordered) == 3:
        labels = names([item.mask for item in ordered], best)
        ordered = [replace(item, label=label) for item, label in zip(ordered, labels, strict=True)]
    return Candidates(tuple(ordered), best, object_score, decode_ms)
