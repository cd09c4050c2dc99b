"""Which objects of a COCO file can be used: one verdict for import, evaluation and training."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from annotator.domain.counting import counted
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.coco.matching import Matched
from annotator.io.formats.coco.parse import decode_segmentation, shown, text_id, whole_number
from annotator.io.formats.coco.stream import CocoFile

_FLAGS = {"0": False, "1": True, "false": False, "true": True}
MOST_BOXES = 100_000
"""Objects with a box in place of a mask that are remembered; more are only counted."""


@dataclass(frozen=True, slots=True)
class CocoObject:
    """One usable object.

    Attributes:
        name: for messages: "annotation 3 (id 7)".
        id: from the file, unique; None when it has none, or one that was used before.
        row: the entry itself.
        image: with a known size.
        category_id: the file's own; None in a file without categories.
        mask: not empty, at the image's size.
    """

    name: str
    id: int | None
    row: dict[str, Any]
    image: ImageRecord
    category_id: int | None
    is_crowd: bool
    mask: Mask


@dataclass(frozen=True, slots=True)
class BoxWithoutMask:
    """An object whose ``bbox`` can be asked the model for: ``box`` in image pixels, inside the image."""

    image: ImageRecord
    category_id: int | None
    box: Box


class ObjectReader:
    """Reads the annotations of a file once, in their order.

    Args:
        categories: ids of the file's usable classes; None: the file has none, and its objects have no class.
        notes: gets lines about what was decided without loss.
    """

    def __init__(
        self, images: Matched, categories: Collection[int | None] | None, *, tally: Tally, notes: list[str]
    ) -> None:
        self._images, self._categories, self._tally, self._notes = images, categories, tally, notes
        self._seen_ids: set[int] = set()
        self._renumbered = 0
        self.boxes: list[BoxWithoutMask] = []

    def read(self, coco: CocoFile) -> Iterator[CocoObject | None]:
        """An answer for every entry; None for those that cannot be used, which are in the tally."""
        for number, row in enumerate(coco.annotations, start=1):
            yield self._object(number, row)
        if self._renumbered:
            objects = counted(self._renumbered, "object")
            self._notes.append(f"ids of annotations that were used before: {objects} with a new one")

    def _object(self, number: int, row: Any) -> CocoObject | None:
        if not isinstance(row, dict):
            self._tally.add(f"annotation {number}", "is not an object")
            return None
        own_id = whole_number(row.get("id"))
        name = f"annotation {number}" if own_id is None else f"annotation {number} (id {own_id})"
        if own_id in self._seen_ids:
            self._renumbered += 1
            own_id = None
        elif own_id is not None:
            self._seen_ids.add(own_id)
        image = self._image_of(name, row)
        if image is None or not self._has_class(name, row):
            return None
        category_id = None if self._categories is None else whole_number(row.get("category_id"))
        try:
            mask, lost = decode_segmentation(row.get("segmentation"), width=image.width, height=image.height)
            if mask.is_empty:
                raise ValueError("covers no pixel of the image")
        except ValueError as error:
            self._refuse(name, row, image, category_id, error)
            return None
        for line in lost:
            self._tally.add(f"{name}:", f"{line}, the other polygons were taken", noun="polygon")
        return CocoObject(name, own_id, row, image, category_id, self._crowd_flag(name, row), mask)

    def _refuse(
        self, name: str, row: dict[str, Any], image: ImageRecord, category_id: int | None, error: ValueError
    ) -> None:
        box = None if row.get("segmentation") not in (None, [], [[]]) else _box_of(row.get("bbox"), image)
        if box is None:
            self._tally.add(name, str(error))
            return
        self._tally.add(name, "has a box but no segmentation", kind="box")
        if len(self.boxes) < MOST_BOXES:
            self.boxes.append(BoxWithoutMask(image, category_id, box))

    def _image_of(self, name: str, row: dict[str, Any]) -> ImageRecord | None:
        source_id = whole_number(row.get("image_id"))
        image = self._images.by_id.get(source_id) if source_id is not None else None
        if image is not None:
            return image
        known = self._images.unusable.get(source_id) if source_id is not None else None
        if known is not None:
            self._tally.add_lost(known)
            return None
        why = text_id(row, "image_id")
        missing = f"image_id {shown(row.get('image_id'))} is not in the file's images"
        self._tally.add(f"{name}:", why or missing, kind="image id is text" if why else "image id")
        return None

    def _has_class(self, name: str, row: dict[str, Any]) -> bool:
        if self._categories is None:
            return True
        source_id = whole_number(row.get("category_id"))
        if source_id is not None and source_id in self._categories:
            return True
        why = text_id(row, "category_id")
        missing = f"category_id {shown(row.get('category_id'))} is not a usable class of the file"
        self._tally.add(f"{name}:", why or missing, kind="class id is text" if why else "class id")
        return False

    def _crowd_flag(self, name: str, row: dict[str, Any]) -> bool:
        flag = row.get("iscrowd", 0)
        if isinstance(flag, str) and flag.strip().lower() in _FLAGS:
            return _FLAGS[flag.strip().lower()]
        if flag is None or (isinstance(flag, int | float) and flag in (0, 1)):
            return bool(flag)
        text = f"iscrowd {shown(flag)} is neither 0 nor 1; taken as 0"
        self._tally.add(f"{name}:", text, noun="flag", kind="iscrowd")
        return False


def _box_of(bbox: Any, image: ImageRecord) -> Box | None:
    """COCO's [x, y, w, h] as far as it lies in the image."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not abs(v) < 1e9 for v in bbox):
        return None
    x, y, w, h = (float(v) for v in bbox)
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(image.width), x + w), min(float(image.height), y + h)
    return Box(left, top, right, bottom) if right - left >= 1 and bottom - top >= 1 else None
