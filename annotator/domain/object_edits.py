"""Edits of accepted objects by hand: their masks, one out of several, several out of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.domain.operations import union
from annotator.domain.outline import OUTLINE_KEY, Outline, to_json
from annotator.domain.project import Annotation, Edit, Review, RowChange


def by_hand(annotation: Annotation, mask: Mask, *, rle: bytes | None = None, outline: Outline = ()) -> Annotation:
    """The object with another mask, which no model has seen: it has no score.

    Args:
        outline: what the mask is enclosed by, where it was made of that.
    """
    prompts = {**annotation.prompts, OUTLINE_KEY: to_json(outline)} if outline else annotation.prompts
    x, y, w, h = mask.bbox_xywh
    return replace(
        annotation,
        x=x,
        y=y,
        w=w,
        h=h,
        area=mask.area,
        rle=rle or mask.rle(),
        image_width=mask.width,
        image_height=mask.height,
        score=None,
        prompts=prompts,
        origin="refine",
        review=Review.OPEN,  # what was said of it was said of other pixels
    )


def layer_edit(chosen: Sequence[Annotation], others: Iterable[Annotation], *, is_front: bool) -> Edit | None:
    """Objects of an image over all others, or under them; what is among the chosen keeps its order. None when they are
    there already."""
    ids = {one.id for one in chosen}
    beside = [one.layer for one in others if one.id not in ids]
    if not chosen or not beside:
        return None
    layers = [one.layer for one in chosen]
    by = max(beside) + 1 - min(layers) if is_front else min(beside) - 1 - max(layers)
    if (by <= 0) if is_front else (by >= 0):
        return None
    changes = tuple(RowChange(one, replace(one, layer=one.layer + by)) for one in chosen)
    return Edit("bring to front" if is_front else "send to back", changes)


def masks_edit(what: str, changed: Iterable[tuple[Annotation, Annotation]]) -> Edit:
    """Other masks for objects: "grow 3 objects". Rows before and after."""
    rows = tuple(changed)
    name = f"{what} (one object)" if len(rows) == 1 else f"{what} ({counted(len(rows), 'object')})"
    return Edit(name, tuple(RowChange(before, after) for before, after in rows))


def merge_objects_edit(objects: Sequence[tuple[Annotation, Mask]]) -> Edit:
    """One object out of several: the largest keeps its id and class, the others go.

    Args:
        objects: two or more of one image, with their masks.
    """
    ranked = sorted(objects, key=lambda one: (-one[1].area, one[0].id))
    (kept, mask), others = ranked[0], ranked[1:]
    whole = union(tuple(m for _, m in ranked), width=mask.width, height=mask.height)
    gone = tuple(RowChange(annotation, None) for annotation, _ in others)
    return Edit(f"merge {counted(len(objects), 'object')}", (RowChange(kept, by_hand(kept, whole)), *gone))


def split_edit(split: Sequence[tuple[Annotation, Sequence[Mask], Sequence[int]]]) -> Edit:
    """Several objects out of each of these: the first mask keeps the id, the others get new ids and the same class.

    Args:
        split: (object, masks, ids for all masks but the first, which stays alone in its track).
    """
    changes: list[RowChange] = []
    for annotation, masks, ids in split:
        changes.append(RowChange(annotation, by_hand(annotation, masks[0])))
        for annotation_id, mask in zip(ids, masks[1:], strict=True):
            part = replace(by_hand(annotation, mask), id=annotation_id, prompts={}, clicks=0, seconds=0.0, track_id=0)
            changes.append(RowChange(None, part))
    count = sum(len(masks) for _, masks, _ in split)
    return Edit(f"split {counted(len(split), 'object')} into {count}", tuple(changes))
