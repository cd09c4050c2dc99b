"""COCO data sets into a project, as one undoable edit: what fits is taken, and what does not is named."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotator.domain.attributes import Attribute, AttributeTarget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ProjectReadOnlyError
from annotator.domain.polygon import DEFAULT_TOLERANCE_PX, mask_to_polygons
from annotator.domain.project import Annotation, Category, Change, Edit, ImageRecord, Review, RowChange, Status
from annotator.domain.tally import Tally
from annotator.domain.tracks.track import CARRIED_ORIGINS, CONFIRMED
from annotator.io.formats.coco.attributes import plan_attributes
from annotator.io.formats.coco.categories import CategoryPlan, plan_categories
from annotator.io.formats.coco.images import ImagePlan, plan_images
from annotator.io.formats.coco.objects import BoxWithoutMask, CocoObject, ObjectReader
from annotator.io.formats.coco.parse import plain_json, whole_number
from annotator.io.formats.coco.stream import read_coco
from annotator.io.images.content import sha256_of
from annotator.io.project.queries import CLASS_ORDER
from annotator.io.project.store import ProjectStore

_SHOWN_LINES = 40
_UNSCANNED_EVERY = 2_000
_KNOWN_FIELDS = frozenset(
    ("id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes", "ignore", "score")
)
_ORIGINS = ("click", "refine", "brush", "everything", "like", *CARRIED_ORIGINS, CONFIRMED)
_PROGRESS = {Status.UNSEEN: 0, Status.IN_PROGRESS: 1, Status.EMPTY: 2, Status.DONE: 2}
"""An import moves an image forward only."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was taken in, and what was not.

    Attributes:
        path: the JSON file.
        images: images of the project that the file speaks of.
        objects: objects added; ``already_there``: the same pixels and class on the same image, left as they are.
        categories: classes added.
        statuses: images that were moved forward (to in progress, empty or done).
        skipped: objects that were not taken; they are counted in ``problems``.
        problems: a line for each reason, with a count and the first that it is about.
        notes: one line each: things that were decided, without loss.
        change: what views have to refresh; None when nothing was added.
        boxes: skipped objects that have a box but no mask: the model can be asked for them.
        classes: the classes of ``boxes``, by the id that they have in the file; also those that were not added.
    """

    path: Path
    images: int
    objects: int
    already_there: int
    categories: int
    statuses: int
    skipped: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    change: Change | None
    boxes: tuple[BoxWithoutMask, ...] = ()
    classes: dict[int | None, Category] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For the command line and the window."""
        out = [
            f"imported {brief(self.path)}: {counted(self.objects, 'object')} on {counted(self.images, 'image')}, "
            f"{counted(self.categories, 'new class', 'new classes')}, {counted(self.skipped, 'object')} skipped"
        ]
        if self.already_there:
            out.append(f"there already: {counted(self.already_there, 'object')}")
        if self.statuses:
            out.append(f"the status of {counted(self.statuses, 'image')} changed")
        if self.boxes:
            count = len(self.boxes)
            what = "1 box has no mask" if count == 1 else f"{count} boxes have no masks"
            out.append(f"{what}: File, Import in the window can ask the model")
        out.extend(f"note: {line}" for line in self.notes)
        out.extend(f"problem: {line}" for line in self.problems[:_SHOWN_LINES])
        if len(self.problems) > _SHOWN_LINES:
            out.append(f"... and {len(self.problems) - _SHOWN_LINES} more problems")
        return out


@dataclass(frozen=True, slots=True)
class _Present:
    """The objects that an image has before the import: (class, run lengths, crowd), by id, and the boxes of those that
    a model made of a box."""

    pixels: frozenset[tuple[int, bytes, bool]]
    by_id: dict[int, Annotation]
    boxes: frozenset[tuple[float, ...]]


def import_coco(
    store: ProjectStore, json_path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> ImportReport:
    """Take in polygons (several parts too), compressed and uncompressed run lengths, crowds, classes, attributes.

    Images are matched by relative path, else by a file name that only one image has. An object that cannot be used is
    reported and skipped; importing a file twice adds nothing. A status that the file states is taken only where it
    moves an image forward: what was finished here stays finished.

    Args:
        progress: called with (entries done, entries in all), images and then objects; what it raises stops the import.

    Raises:
        ImportFormatError: the file as a whole cannot be used; nothing was changed.
        ProjectReadOnlyError: another program has the project.
        ProjectFolderError: the person has not agreed to its image folder.
        ProjectError: the project cannot be written; nothing was changed.
    """
    path = Path(json_path).absolute()
    if store.is_read_only:
        message = f"{brief(store.path.name)} cannot take in anything: it is open read-only. {store.read_only_reason}"
        raise ProjectReadOnlyError(message, "Close it there first.")
    try:
        return _take_in(store, path, progress or (lambda _done, _total: None))
    finally:
        gc.unfreeze()


def _take_in(store: ProjectStore, path: Path, tell: Callable[[int, int], None]) -> ImportReport:
    _ = store.readable_root
    coco = read_coco(path, tick=lambda: tell(0, 1))
    tally, notes = Tally(), list(coco.notes)
    total = len(coco.images) + len(coco.annotations)
    images = plan_images(coco, store, tally=tally, notes=notes, progress=lambda done: tell(done, total))
    categories = plan_categories(coco.categories, store, tally=tally, notes=notes)
    classes = None if None in categories.by_id else categories.by_id
    attributes = plan_attributes(coco.attributes, store, categories.by_id, notes)
    reader = ObjectReader(images.matched, classes, tally=tally, notes=notes)
    builder = _Builder(store, images, categories, tally)
    for done, item in enumerate(reader.read(coco), start=1):
        if item is not None:
            builder.keep(item)
        if done % _UNSCANNED_EVERY == 0:
            # What was made so far stays until the end: scanning it for cycles again and again stops all threads.
            gc.freeze()
        tell(len(coco.images) + done, total)
    boxes = [box for box in reader.boxes if not builder.is_asked(box)]
    is_new = bool(builder.annotation_changes)
    added = categories.changes if is_new else ()
    defined = tuple(one for one in attributes if is_new or _is_of_images(one))
    image_changes = [c for c in builder.image_changes() if is_new or _status(c.before) != _status(c.after)]
    changes = (*added, *defined, *builder.annotation_changes, *image_changes)
    change = store.apply(Edit(f"import {path.name}", changes)) if changes else None
    if added and categories.order:
        store.meta_set(CLASS_ORDER, json.dumps(categories.order))
    return ImportReport(
        path=path,
        images=len(images.matched.by_id),
        objects=len(builder.annotation_changes),
        already_there=builder.already_there,
        categories=sum(change.after is not None and change.before is None for change in added),
        statuses=sum(_status(change.before) != _status(change.after) for change in image_changes),
        skipped=tally.objects,
        problems=tally.lines(),
        notes=tuple(notes),
        change=change,
        boxes=tuple(boxes),
        classes=_classes_of(boxes, categories, store),
    )


def _classes_of(boxes: list[BoxWithoutMask], plan: CategoryPlan, store: ProjectStore) -> dict[int | None, Category]:
    """The classes of objects that the model may be asked for later."""
    rows = {category.id: category for category in store.categories()}
    planned = [change.after for change in plan.changes]
    rows.update({row.id: row for row in planned if isinstance(row, Category)})
    wanted = {box.category_id for box in boxes}
    return {source_id: rows[plan.by_id[source_id]] for source_id in wanted}


class _Builder:
    """Turns objects into row changes, and remembers what they mean for their images."""

    def __init__(self, store: ProjectStore, images: ImagePlan, categories: CategoryPlan, tally: Tally) -> None:
        self._store = store
        self._images = images
        self._categories = categories
        self._tally = tally
        self._now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._present: dict[int, _Present] = {}
        self._touched: set[int] = set()
        self._hashes: dict[int, str] = {}
        self.already_there = 0
        self.annotation_changes: list[RowChange] = []

    def is_asked(self, box: BoxWithoutMask) -> bool:
        """Whether the project has the mask that a model made of this very box."""
        return box.box.as_xyxy() in self._present_on(box.image.id).boxes

    def image_changes(self) -> list[RowChange]:
        """Fields that the file adds to its images, and their status."""
        changes: list[RowChange] = []
        for source_id, image in self._images.matched.by_id.items():
            planned = self._images.changed[source_id]
            stated = planned.status if self._images.has_status[source_id] else None
            sha256 = self._hashes.get(image.id, image.sha256)
            after = replace(planned, status=self._status_after(image, stated), sha256=sha256)
            if after != image:
                changes.append(RowChange(image, after))
        return changes

    def _status_after(self, image: ImageRecord, stated: Status | None) -> Status:
        status, is_touched = image.status, image.id in self._touched
        if stated is not None and _PROGRESS[stated] > _PROGRESS[status]:
            status = stated
        elif stated is None and is_touched and status is Status.UNSEEN:
            status = Status.IN_PROGRESS
        if status is Status.EMPTY and (
            is_touched or (image.status is not status and self._store.annotations(image.id))
        ):
            return Status.IN_PROGRESS
        return status

    def keep(self, item: CocoObject) -> None:
        """An object of the file, unless it is in the project already."""
        row, image, mask, is_crowd = item.row, item.image, item.mask, item.is_crowd
        category_id, rle = self._categories.by_id[item.category_id], mask.rle()
        present = self._present_on(image.id)
        own = present.by_id.get(whole_number(row.get("id")) or 0)
        is_own = own is not None and (own.category_id, is_crowd) == (category_id, False)
        is_drawn = own is not None and is_own and _is_drawn_from(own, row["segmentation"])
        if is_drawn or (category_id, rle, is_crowd) in present.pixels:
            self.already_there += 1
            return
        x, y, w, h = mask.bbox_xywh
        fields, extra = self._provenance(item.name, row)
        annotation = Annotation(
            id=self._store.new_id("annotation"),
            image_id=image.id,
            category_id=category_id,
            x=x,
            y=y,
            w=w,
            h=h,
            area=mask.area,
            rle=rle,
            image_width=mask.width,
            image_height=mask.height,
            is_crowd=is_crowd,
            author=self._store.author,
            created_at=self._now,
            extra=extra,
            **fields,
        )
        self.annotation_changes.append(RowChange(None, annotation))
        if image.id not in self._touched:
            self._touched.add(image.id)
            self._hashes[image.id] = image.sha256 or self._hash_of(image)

    def _hash_of(self, image: ImageRecord) -> str:
        """What the objects are on: by it the file is found again when it was renamed, and known when it was changed."""
        try:
            return sha256_of(self._store.image_path(image))
        except OSError:  # gone since its head was read; it is reported when it is to be shown
            return ""

    def _present_on(self, image_id: int) -> _Present:
        if image_id not in self._present:
            rows = self._store.annotations(image_id)
            pixels = frozenset((row.category_id, row.rle, row.is_crowd) for row in rows)
            boxes = frozenset(tuple(box) for row in rows if isinstance(box := row.prompts.get("box"), list))
            self._present[image_id] = _Present(pixels, {row.id: row for row in rows}, boxes)
        return self._present[image_id]

    def _provenance(self, name: str, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fields of our own export that come back to where they were, and everything else to keep."""
        extra: dict[str, Any] = {}
        for key, value in row.items():
            if key in _KNOWN_FIELDS and key != "attributes":
                continue
            try:
                extra[key] = plain_json(value)
                plain_json(key)
            except ValueError as error:
                extra.pop(key, None)
                text = f"the field {key[:40]!a} {error}; it was left out"
                self._tally.add(f"{name}:", text, noun="field", kind=f"field {key[:40]!a}")
        fields: dict[str, Any] = {"origin": "import", **_track_of(extra)}
        attributes = extra.get("attributes")
        if isinstance(attributes, dict):
            own = _own_fields(attributes)
            fields.update(own)
            kept = {key: value for key, value in attributes.items() if key not in own}
            if kept or not attributes:
                extra["attributes"] = kept
            else:
                del extra["attributes"]
        elif "attributes" in extra:
            self._tally.add(f"{name}:", "attributes are not an object; they were left out", noun="field")
            del extra["attributes"]
        if "score" not in fields and _is_share(row.get("score")):
            fields["score"] = float(row["score"])
        return fields, extra


def _is_drawn_from(present: Annotation, segmentation: Any) -> bool:
    """Whether polygons are what an export draws of an object: they leave out vertices, so other pixels come back."""
    if present.is_crowd or not isinstance(segmentation, list):
        return False
    parts = mask_to_polygons(present.mask(), tolerance_px=DEFAULT_TOLERANCE_PX)
    return segmentation == [part.exterior.ravel().tolist() for part in parts]


def _is_of_images(change: RowChange) -> bool:
    return isinstance(change.after, Attribute) and change.after.target is AttributeTarget.IMAGE


def _status(row: Any) -> Status | None:
    return row.status if isinstance(row, ImageRecord) else None


def _track_of(extra: dict[str, Any]) -> dict[str, Any]:
    """The track of an object in a file with videos, which is taken out of ``extra``: that of our own attributes, if
    there is one, comes later."""
    if "video_id" not in extra:
        return {}
    extra.pop("video_id")
    given = [whole_number(extra.pop(name, None)) for name in ("track_id", "instance_id")]
    track_id = next((number for number in given if number is not None and number > 0), None)
    return {} if track_id is None else {"track_id": track_id}


def _own_fields(attributes: dict[str, Any]) -> dict[str, Any]:
    """The provenance fields among COCO attributes, as far as they are what we would have written."""
    found: dict[str, Any] = {}
    if attributes.get("origin") in _ORIGINS:
        found["origin"] = attributes["origin"]
    clicks, seconds = whole_number(attributes.get("clicks")), attributes.get("seconds")
    if clicks is not None and clicks > 0:
        found["clicks"] = clicks
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9:
        found["seconds"] = float(seconds)
    for key in ("model", "model_sha256", "adapter", "note"):
        if isinstance(attributes.get(key), str) and attributes[key]:
            found[key] = attributes[key]
    track_id = whole_number(attributes.get("track_id"))
    if track_id is not None and track_id > 0:
        found["track_id"] = track_id
    layer = whole_number(attributes.get("layer"))
    if layer:
        found["layer"] = layer
    if attributes.get("review") in (Review.APPROVED, Review.REWORK):
        found["review"] = Review(attributes["review"])
    if _is_share(attributes.get("score")):
        found["score"] = float(attributes["score"])
    return found


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
