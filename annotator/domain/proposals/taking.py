"""Proposals become objects of the project, many in one edit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Edit, ImageRecord, RowChange, Status
from annotator.domain.proposals.table import KeptProposal


def take_edit(
    proposals: Iterable[KeptProposal],
    image: ImageRecord,
    *,
    category_id: int,
    new_id: Callable[[], int],
    author: str,
    created_at: str,
    by_phrase: Mapping[str, int] | None = None,
) -> Edit:
    """Accept all of these in one step.

    Args:
        by_phrase: the class of what was found by words that name one, in lower case; all others get ``category_id``.
        new_id: gives the id of each object. created_at: ISO 8601, UTC.
    """
    named = by_phrase or {}

    def class_of(one: KeptProposal) -> int:
        return named.get(one.phrase.casefold(), category_id) if named else category_id

    changes = [
        RowChange(None, _annotation(one, image.id, new_id(), class_of(one), author, created_at)) for one in proposals
    ]
    name = f"accept {counted(len(changes), 'proposal')}" if len(changes) > 1 else "accept proposal"
    if changes and image.status in (Status.UNSEEN, Status.EMPTY):
        changes.append(RowChange(image, replace(image, status=Status.IN_PROGRESS)))
    return Edit(name, tuple(changes))


def _annotation(
    one: KeptProposal, image_id: int, annotation_id: int, category_id: int, author: str, created_at: str
) -> Annotation:
    mask = one.mask
    x, y, w, h = mask.bbox_xywh
    return Annotation(
        annotation_id,
        image_id,
        category_id,
        x,
        y,
        w,
        h,
        area=mask.area,
        rle=one.rle,
        image_width=mask.width,
        image_height=mask.height,
        score=one.score,
        origin=one.source,
        model=one.model,
        model_sha256=one.model_sha256,
        adapter=one.adapter,
        author=author,
        created_at=created_at,
        extra={"found": {"source": one.source, "score": round(one.score, 4), **json.loads(one.facts)}},
    )
