"""What a project holds: images, categories, annotations, and the edits between two states of it.

All values are frozen. A change to the document is an :class:`Edit`: a named list of row changes with the old and
the new row, so that it can be applied, undone and redone by the same code, and kept as an audit trail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from annotator.domain.attributes import Attribute
from annotator.domain.counting import counted
from annotator.domain.errors import UserError
from annotator.domain.mask import Mask
from annotator.domain.media import Series, frame_name

MAX_CROP_BYTES = 512 << 20
"""Of one object's mask, a byte a pixel; decoding takes a few times as much."""
PLACE_KEY = "annotator_place"
"""In a class's ``extra``: where a person put it in the list."""


class Status(StrEnum):
    """Where an image stands. ``EMPTY`` means: looked at, and there is nothing to annotate."""

    UNSEEN = "unseen"
    IN_PROGRESS = "in progress"
    EMPTY = "empty"
    DONE = "done"


FINISHED = (Status.DONE, Status.EMPTY)
"""Done, or looked at and empty."""


class Review(StrEnum):
    """What a second look at an object said."""

    OPEN = ""
    APPROVED = "approved"
    REWORK = "rework"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of the project: a frame of a file.

    Attributes:
        path: of the file, relative to the image folder, forward slashes. With ``frame`` it is unique.
        sha256: of the file's bytes, hexadecimal; empty while unknown.
        width, height: pixels as shown (after EXIF orientation); 0 while unknown.
        extra: plain JSON data that travels with the image (COCO's own image fields, DICOM UIDs, spacing).
        frame: page or frame in the file, from 0.
        series_id: the :class:`annotator.domain.media.Series` that it is a slice of; 0: none.
        position: in the series, from 0.
    """

    id: int
    path: str
    sha256: str = ""
    width: int = 0
    height: int = 0
    status: Status = Status.UNSEEN
    extra: dict[str, Any] = field(default_factory=dict)
    frame: int = 0
    series_id: int = 0
    position: int = 0

    @property
    def name(self) -> str:
        """The path, and for a later frame its number: unique, also in files that are written."""
        return frame_name(self.path, self.frame)

    @property
    def is_finished(self) -> bool:
        """Done, or looked at and empty."""
        return self.status in FINISHED

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Size (x, y) of a pixel in millimetres, where the file gives a usable one."""
        match self.extra.get("spacing_mm"):
            case [int() | float() as x, int() | float() as y] if x > 0 and y > 0:
                return float(x), float(y)
        return None


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects. ``colour`` is ``#rrggbb``; ``key`` is the digit 1..9 that picks it, or 0 for none.

    ``extra`` keeps COCO's own fields (``supercategory``, ...) so that an export gives back what was imported.
    """

    id: int
    name: str
    colour: str
    key: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> int | None:
        """Where a person put it in the list, from 0; None when she did not."""
        found = self.extra.get(PLACE_KEY)
        return found if isinstance(found, int) and not isinstance(found, bool) else None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One accepted object.

    Attributes:
        x, y, w, h: tight pixel box of the mask.
        rle: COCO compressed counts of the whole image (ASCII); see :meth:`mask`.
        image_width, image_height: the size the runs are for.
        score: predicted IoU when it was accepted, 0..1, or None; also None when a brush or eraser was over it.
        origin: how it came to be: "click", "brush" (by hand alone), "import", "refine"; of a proposal who found it,
            "everything" or "like"; of a track's frame, see :mod:`annotator.domain.tracks.track`.
        prompts: :meth:`annotator.domain.prompt.Prompts.to_json` data.
        model, model_sha256, adapter: what made the mask; empty when nothing did.
        clicks: prompts spent; seconds: time from the first prompt to accept.
        is_crowd: COCO's iscrowd.
        created_at: ISO 8601, UTC.
        extra: plain JSON data kept for export (COCO ``attributes`` and unknown fields).
        track_id: one number for one object through the images of a series; 0: none.
        review, note: what somebody said of it who looked at it again.
        layer: it lies over those of a smaller number; of one number smaller objects are over larger ones.
    """

    id: int
    image_id: int
    category_id: int
    x: int
    y: int
    w: int
    h: int
    area: int
    rle: bytes
    image_width: int
    image_height: int
    score: float | None = None
    origin: str = "click"
    prompts: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    model_sha256: str = ""
    adapter: str = ""
    clicks: int = 0
    seconds: float = 0.0
    is_crowd: bool = False
    author: str = ""
    created_at: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    track_id: int = 0
    review: Review = Review.OPEN
    note: str = ""
    layer: int = 0

    def mask(self) -> Mask:
        """The object's pixels. Decoding follows the runs, not the image.

        Raises:
            ValueError: the runs are damaged, or their crop takes more than :data:`MAX_CROP_BYTES`.
        """
        return Mask.from_rle(self.rle, self.image_width, self.image_height, max_crop_bytes=MAX_CROP_BYTES)

    def with_mask(self, mask: Mask) -> Annotation:
        x, y, w, h = mask.bbox_xywh
        return replace(
            self,
            x=x,
            y=y,
            w=w,
            h=h,
            area=mask.area,
            rle=mask.rle(),
            image_width=mask.width,
            image_height=mask.height,
        )


Row = ImageRecord | Category | Annotation | Series | Attribute


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row before and after; ``None`` stands for absent (so: created or deleted)."""

    before: Row | None
    after: Row | None

    def __post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise ValueError("a row change needs a row before or after")
        before, after = self.before, self.after
        if before and after and (type(before) is not type(after) or before.id != after.id):
            raise ValueError("a row change is about one row")

    @property
    def row(self) -> Row:
        row = self.after or self.before
        if row is None:  # pragma: no cover - excluded by __post_init__
            raise ValueError("empty row change")
        return row

    def inverted(self) -> RowChange:
        return RowChange(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Edit:
    """A named, reversible change of the document, applied in one transaction.

    ``drafts_of`` are images whose drafts end with it; taking it back brings them back, too.
    """

    name: str
    changes: tuple[RowChange, ...]
    drafts_of: tuple[int, ...] = ()

    def inverted(self) -> Edit:
        """The edit that takes this one back: its changes inverted, last first."""
        changes = tuple(change.inverted() for change in reversed(self.changes))
        return replace(self, changes=changes)

    def refuse_locked(self, locked: frozenset[int]) -> None:
        """Raises:
        UserError: it changes an object of these ids.
        """
        if locked and any(isinstance(one.row, Annotation) and one.row.id in locked for one in self.changes):
            raise UserError("A locked object was to be changed.", "Unlock it first, in the list of objects.")

    def new_objects(self) -> tuple[Annotation, ...] | None:
        """The objects that it adds; None when it does more with objects than that."""
        objects = [one for one in self.changes if isinstance(one.row, Annotation)]
        if any(one.before is not None for one in objects):
            return None
        return tuple(one.after for one in objects if isinstance(one.after, Annotation))

    def change(self) -> Change:
        """What views have to refresh."""
        images: set[int] = set()
        annotations: set[int] = set()
        categories: set[int] = set()
        for row_change in self.changes:
            row = row_change.row
            if isinstance(row, Annotation):
                annotations.add(row.id)
                images.add(row.image_id)
            elif isinstance(row, ImageRecord):
                images.add(row.id)
            elif isinstance(row, Category):
                categories.add(row.id)
        attributes = any(isinstance(one.row, Attribute) for one in self.changes)
        others = any(isinstance(one.row, ImageRecord) and None in (one.before, one.after) for one in self.changes)
        ids = frozenset(images), frozenset(annotations), frozenset(categories)
        return Change(self.name, *ids, has_attributes=attributes, has_other_images=others)


@dataclass(frozen=True, slots=True)
class Change:
    """The answer of every mutation: ids of what changed, and a sentence that the person has to see, if any."""

    name: str
    image_ids: frozenset[int] = frozenset()
    annotation_ids: frozenset[int] = frozenset()
    category_ids: frozenset[int] = frozenset()
    notice: str = ""
    has_attributes: bool = False
    """Whether definitions of attributes changed."""
    has_other_images: bool = False
    """Whether images came or went: the list of them is another one."""


# --- pure transitions -------------------------------------------------------------------------------------------


def accept_edit(annotation: Annotation, image: ImageRecord, *, replaces: Annotation | None = None) -> Edit:
    """A new object (or a refined one that ``replaces`` an old row); the image is in progress from then on."""
    changes = [RowChange(replaces, annotation)]
    if image.status in (Status.UNSEEN, Status.EMPTY):
        changes.append(RowChange(image, replace(image, status=Status.IN_PROGRESS)))
    return Edit("refine object" if replaces else "accept object", tuple(changes))


def delete_edit(annotations: tuple[Annotation, ...]) -> Edit:
    name = "delete object" if len(annotations) == 1 else f"delete {counted(len(annotations), 'object')}"
    return Edit(name, tuple(RowChange(annotation, None) for annotation in annotations))


def reclass_edit(annotations: tuple[Annotation, ...], category_id: int) -> Edit:
    changed = tuple(RowChange(a, replace(a, category_id=category_id)) for a in annotations)
    return Edit("change class", changed)


def review_edit(annotations: tuple[Annotation, ...], review: Review) -> Edit:
    """What a second look said of objects."""
    name = {Review.OPEN: "take review back", Review.APPROVED: "approve", Review.REWORK: "mark for rework"}[review]
    return Edit(name, tuple(RowChange(a, replace(a, review=review)) for a in annotations))


def note_edit(annotations: tuple[Annotation, ...], note: str) -> Edit:
    """The same note on objects; an empty one takes it away."""
    return Edit("change note", tuple(RowChange(a, replace(a, note=note)) for a in annotations))


def order_edit(categories: Sequence[Category]) -> Edit:
    """Classes in this order from now on."""
    changes = (
        RowChange(one, replace(one, extra={**one.extra, PLACE_KEY: at}))
        for at, one in enumerate(categories)
        if one.place != at
    )
    return Edit("move class", tuple(changes))


def merge_edit(source: Category, target: Category, annotations: tuple[Annotation, ...]) -> Edit:
    """One class into another: ``annotations`` are all that ``source`` has, on any image; it goes with them."""
    moved = tuple(RowChange(a, replace(a, category_id=target.id)) for a in annotations)
    return Edit("merge classes", (*moved, RowChange(source, None)))


def status_edit(image: ImageRecord, status: Status) -> Edit:
    return Edit(f"mark {status.value}", (RowChange(image, replace(image, status=status)),))


def mark_empty_edit(image: ImageRecord, annotations: tuple[Annotation, ...]) -> Edit:
    """Nothing to annotate here: objects of the image go, in the same undoable step."""
    gone = tuple(RowChange(annotation, None) for annotation in annotations)
    changes = (*gone, RowChange(image, replace(image, status=Status.EMPTY)))
    return Edit("mark empty", changes, drafts_of=(image.id,))
