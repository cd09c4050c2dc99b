"""The objects that ``annotator find`` starts from, and those that are there already: of a project or a COCO file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError, ProjectError, PromptError, UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.likeness import Examples, LikeQuestion
from annotator.io.images.reader import LoadedImage

Place = tuple[str, int]
"""An image file, and the frame in it."""


def place_of(path: Path, frame: int = 0) -> Place:
    return os.path.abspath(path), frame


@dataclass(slots=True)
class Objects:
    """What a project or a COCO file has.

    Attributes:
        at: by the id of an object, its image.
        masks: by image, the mask of each object by its id.
        category: by the id of an object, the name of its class; "" where it has none.
        names: by image, as the source calls it.
    """

    at: dict[int, Place] = field(default_factory=dict)
    masks: dict[Place, dict[int, Mask]] = field(default_factory=lambda: defaultdict(dict))
    category: dict[int, str] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)

    def add(self, object_id: int, place: Place, mask: Mask, category: str) -> None:
        self.at[object_id], self.category[object_id] = place, category
        self.masks[place][object_id] = mask


def read_objects(source: Path, images: Path | None) -> Objects:
    """Raises:
    UserError: it cannot be read.
    """
    if source.suffix.lower() == ".json":
        return _of_coco(source, images or source.parent)
    return _of_project(source)


def _of_coco(path: Path, folder: Path) -> Objects:
    from annotator.io.formats.coco.folder_set import open_folder_set
    from annotator.io.formats.coco.stream import read_coco

    found = Objects()
    names = {row.get("id"): str(row.get("name") or "") for row in read_coco(path).categories if isinstance(row, dict)}
    opened = open_folder_set(path, folder)
    for record in opened.images.by_id.values():
        found.names[place_of(opened.path_of(record), record.frame)] = record.path
    for object_id, item in opened.objects():
        place = place_of(opened.path_of(item.image), item.image.frame)
        found.add(object_id, place, item.mask, names.get(item.category_id, ""))
    return found


def _of_project(path: Path) -> Objects:
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore

    file = find_project(path) if path.is_dir() else path
    if file is None or not file.is_file():
        raise ProjectError(
            f"There is no project in {brief(path)}.", "Open that folder first, or name a .annot or .json file."
        )
    found = Objects()
    with ProjectStore.open(file, read_only=True) as store:
        names = {one.id: one.name for one in store.categories()}
        for image in store.images():
            place = place_of(store.image_path(image), image.frame)
            found.names[place] = image.path
            for row in store.annotations(image.id):
                try:
                    found.add(row.id, place, row.mask(), names.get(row.category_id, ""))
                except ValueError:
                    continue  # its runs are damaged: `annotator check` says so
    return found


def parse_ids(text: str) -> list[int]:
    """Raises:
    UserError: they are no numbers.
    """
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UserError(f"{brief(text)!r} are no ids of objects.", "Give numbers, such as --like 3,17.") from None


def parse_box(text: str) -> tuple[str, Box]:
    """``IMAGE:X,Y,W,H`` in pixels.

    Raises:
        UserError: it is something else.
    """
    name, _, numbers = text.rpartition(":")
    try:
        x, y, w, h = (float(part) for part in numbers.split(","))
        box = Box.from_corners(x, y, x + w, y + h)
    except ValueError:
        box = Box(0, 0, 0, 0)
    if not name or box.area <= 0:
        raise UserError(f"{brief(text)!r} is no box.", "Give IMAGE:X,Y,WIDTH,HEIGHT in pixels.")
    return name, box


def question_of(
    objects: Objects,
    ids: Sequence[int],
    boxes: Sequence[tuple[str, Box]],
    load: Callable[[Path, int], LoadedImage],
) -> LikeQuestion:
    """The question for all that is like these.

    Raises:
        UserError: an object or an image is not there, or an image cannot be read.
    """
    missing = [one for one in ids if one not in objects.at]
    if missing:
        raise PromptError(
            f"There is no object {brief(missing[0])}.", "Name ids of objects that the project or file has."
        )
    masks: dict[Place, list[Mask]] = defaultdict(list)
    boxed: dict[Place, list[Box]] = defaultdict(list)
    for one in dict.fromkeys(ids):
        mask = objects.masks[objects.at[one]][one]
        if mask.is_empty:
            raise PromptError(f"Object {brief(one)} has no pixels.", "Name another one.")
        masks[objects.at[one]].append(mask)
    places = {name: place for place, name in objects.names.items()}
    for name, box in boxes:
        if name not in places:
            raise PromptError(f"There is no image {brief(name)}.", "Name it as the project or file does.")
        boxed[places[name]].append(box)
    found = []
    for place in dict.fromkeys([*masks, *boxed]):
        image = load(Path(place[0]), place[1])
        if any((mask.width, mask.height) != (image.width, image.height) for mask in masks[place]):
            raise ImportFormatError(f"{brief(place[0])} is of another size than its objects.", "Was it replaced?")
        found.append(Examples(image.rgb, image.image_key, tuple(masks[place]), tuple(boxed[place])))
    return LikeQuestion(tuple(found))
