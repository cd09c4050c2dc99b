"""The outline that the current object was drawn with, followed through everything that a hand did to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator.domain.brush import Correction, Stroke
from annotator.domain.operations import Operation, OperationKind
from annotator.domain.outline import OUTLINE_KEY, Outline, from_json
from annotator.domain.prompt import Prompts


def claimed_outline(prompts: Prompts, made_by: Mapping[str, Any] | None = None) -> Outline:
    """What the outline should be; empty when there is none. Whoever uses it compares its pixels with the mask: where a
    brush or the model had a part in it, it is not the outline.

    Args:
        made_by: data of the prompts of the object that is being refined, with its own outline.
    """
    outline: Outline = ()
    if prompts.base_mask is not None:
        try:
            outline = from_json((made_by or {}).get(OUTLINE_KEY) or ())
        except (ValueError, TypeError):
            outline = ()
    for correction in prompts.strokes:
        outline = _followed(outline, correction)
    return outline


def _followed(outline: Outline, correction: Correction) -> Outline:
    if isinstance(correction, Stroke):
        return (*outline, correction.path) if correction.is_area else outline
    if correction.kind is OperationKind.OUTLINE:
        return correction.rings
    return _reshaped(outline, correction) if correction.kind is OperationKind.RESHAPE else outline


def _reshaped(outline: Outline, operation: Operation) -> Outline:
    rings = list(outline)
    for before, after in zip(operation.rings[0::2], operation.rings[1::2], strict=True):
        if before in rings:
            rings[rings.index(before)] = after
        elif not before:
            rings.append(after)
    return tuple(ring for ring in rings if ring)
