"""Objects copied, moved and brought to other images; for the clipboard as data that COCO's readers understand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.domain.object_edits import by_hand
from annotator.domain.outline import OUTLINE_KEY, Outline, kept_outline, to_json
from annotator.domain.project import Annotation, Category, Edit, ImageRecord, Review, RowChange, Status
from annotator.domain.tracks.track import is_carried

MOST_COPIED = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Copied:
    """An object without its image. ``class_name`` names its class, which another project may have under another id."""

    mask: Mask
    class_name: str
    attributes: Mapping[str, Any]
    outline: Outline = ()


def placed(mask: Mask, width: int, height: int, *, dx: int = 0, dy: int = 0) -> Mask:
    """The mask moved by whole pixels, in an image of this size; what leaves it is cut off."""
    tight = mask.tight()
    rows, columns = tight.bits.shape
    x, y = tight.x + dx, tight.y + dy
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + columns), min(height, y + rows)
    if x1 <= x0 or y1 <= y0:
        return Mask.empty(width, height)
    return Mask(tight.bits[y0 - y : y1 - y, x0 - x : x1 - x].copy(), x0, y0, width, height).tight()


def shifted(outline: Outline, dx: float, dy: float) -> Outline:
    return tuple(tuple((x + dx, y + dy) for x, y in ring) for ring in outline)


def moved(annotation: Annotation, mask: Mask, dx: int, dy: int) -> Annotation | None:
    """The object, so many pixels further; None when that takes it out of the image. Its clicks stay behind, its outline
    goes with it. A mask that was carried here is the person's from then on."""
    after = placed(mask, mask.width, mask.height, dx=dx, dy=dy)
    if after.is_empty:
        return None
    outline = kept_outline(annotation.prompts, mask) or ()
    row = by_hand(replace(annotation, prompts={}), after, outline=shifted(outline, dx, dy))
    if is_carried(annotation.origin, Review.OPEN):
        return row
    return replace(row, score=annotation.score, origin=annotation.origin)


def copies_json(objects: Iterable[tuple[Annotation, Mask]], categories: Mapping[int, Category]) -> str:
    """COCO's own form, with the name of each class; see :func:`copies_from_json`. Each comes with the mask that its
    runs are: of thousands they are not made again."""
    rows, known, size = [], {}, (0, 0)
    for number, (row, mask) in enumerate(objects, start=1):
        category, size = categories.get(row.category_id), (mask.width, mask.height)
        name = category.name if category else ""
        known[row.category_id] = {"id": row.category_id, "name": name, "supercategory": ""}
        outline = kept_outline(row.prompts, mask)
        attributes = row.extra.get("attributes")
        rows.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": row.category_id,
                "segmentation": {"size": [mask.height, mask.width], "counts": row.rle.decode("ascii")},
                "bbox": [row.x, row.y, row.w, row.h],
                "area": row.area,
                "iscrowd": 0,
                **({"attributes": attributes} if isinstance(attributes, dict) else {}),
                **({"outline": to_json(outline)} if outline else {}),
            }
        )
    image = {"id": 1, "width": size[0], "height": size[1], "file_name": ""}
    return json.dumps({"images": [image], "annotations": rows, "categories": list(known.values())})


def added(
    copies: Sequence[tuple[Copied, Mask]],
    image: ImageRecord,
    *,
    ids: Sequence[int],
    classes: Sequence[int],
    author: str,
    created_at: str,
) -> Edit:
    """Copies as new objects of an image: each with its mask there, id and class."""
    changes: list[RowChange] = []
    for (copy, mask), annotation_id, category_id in zip(copies, ids, classes, strict=True):
        blank = Annotation(annotation_id, image.id, category_id, 0, 0, 0, 0, 0, b"", mask.width, mask.height)
        extra = {"attributes": dict(copy.attributes)} if copy.attributes else {}
        row = replace(blank.with_mask(mask), origin="brush", author=author, created_at=created_at, extra=extra)
        if copy.outline and mask.same_pixels(copy.mask):
            row = replace(row, prompts={OUTLINE_KEY: to_json(copy.outline)})
        changes.append(RowChange(None, row))
    if image.status in (Status.UNSEEN, Status.EMPTY):
        changes.append(RowChange(image, replace(image, status=Status.IN_PROGRESS)))
    return Edit(f"paste {counted(len(copies), 'object')}", tuple(changes))
