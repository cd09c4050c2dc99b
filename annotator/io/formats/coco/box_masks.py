"""Objects that a COCO file gives as boxes only: the masks that a model has made of them, as one edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from annotator.domain.counting import counted
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Category, Edit, ImageRecord, RowChange, Status
from annotator.io.formats.coco.objects import BoxWithoutMask
from annotator.io.project.store import ProjectStore


@dataclass(frozen=True, slots=True, eq=False)
class BoxAnswer:
    """What the model made of one box.

    Attributes:
        mask: not empty, at the image's size.
        fields: the other fields of :class:`Annotation` that say how it was made (prompts, model, score, ...).
    """

    box: BoxWithoutMask
    mask: Mask
    fields: Mapping[str, Any]


def store_box_masks(store: ProjectStore, answers: Iterable[BoxAnswer], classes: Mapping[int | None, Category]) -> int:
    """Accept the masks, in one step that undo takes back; how many there were.

    Args:
        classes: by the file's own id; one that the project has by name is used, others are added.

    Raises:
        ProjectError: the project cannot be written; nothing was changed.
    """
    images = {image.id: image for image in store.images()}
    by_name = {category.name: category.id for category in reversed(store.categories())}
    taken = {category.id for category in store.categories()}
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    added: list[RowChange] = []
    objects: list[RowChange] = []
    touched: dict[int, ImageRecord] = {}
    for answer in answers:
        image = images.get(answer.box.image.id)
        if image is None:
            continue
        wanted = classes[answer.box.category_id]
        if wanted.name not in by_name:
            is_free = wanted.id >= store.peek_id("category") and wanted.id not in taken
            new = wanted if is_free else replace(wanted, id=store.new_id("category"))
            taken.add(new.id)
            by_name[new.name] = new.id
            added.append(RowChange(None, new))
        objects.append(RowChange(None, _annotation(store, answer, by_name[wanted.name], now)))
        if image.status in (Status.UNSEEN, Status.EMPTY):
            touched[image.id] = image
    moved = [RowChange(image, replace(image, status=Status.IN_PROGRESS)) for image in touched.values()]
    if objects:
        store.apply(Edit(f"masks of {counted(len(objects), 'box', 'boxes')}", (*added, *objects, *moved)))
    return len(objects)


def _annotation(store: ProjectStore, answer: BoxAnswer, category_id: int, now: str) -> Annotation:
    x, y, w, h = answer.mask.bbox_xywh
    return Annotation(
        id=store.new_id("annotation"),
        image_id=answer.box.image.id,
        category_id=category_id,
        x=x,
        y=y,
        w=w,
        h=h,
        area=answer.mask.area,
        rle=answer.mask.rle(),
        image_width=answer.mask.width,
        image_height=answer.mask.height,
        author=store.author,
        created_at=now,
        **answer.fields,
    )
