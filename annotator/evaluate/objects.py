"""The objects of a COCO set that an evaluation goes through, read without trusting the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.io.formats.coco.folder_set import open_folder_set
from annotator.io.formats.coco.parse import decode_segmentation


@dataclass(frozen=True, slots=True)
class EvaluationImage:
    """An image of the set: ``path`` of the file and ``frame`` in it, ``file_name`` as the set calls it, its size in
    pixels as shown."""

    id: int
    file_name: str
    path: Path
    width: int
    height: int
    frame: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationObject:
    """One object to segment; its mask is decoded when it is its turn.

    Attributes:
        id: of the annotation.
        image: that it belongs to.
        segmentation: COCO's: polygons, compressed or uncompressed run lengths.
    """

    id: int
    image: EvaluationImage
    segmentation: Any

    def mask(self) -> Mask:
        """The object at the image's size; may be empty.

        Raises:
            ImportFormatError: the segmentation is damaged.
        """
        try:
            return decode_segmentation(self.segmentation, width=self.image.width, height=self.image.height)[0]
        except ValueError as error:
            raise ImportFormatError(
                f"Annotation {self.id} of {brief(self.image.file_name)} has a damaged segmentation ({error}).",
                "Correct or remove it.",
            ) from error


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A COCO file's usable objects, crowds left out.

    Attributes:
        sha256: of the file's bytes.
        remarks: a line for each reason why something of the file is not here, and for what was decided.
        image_rows: the file's own entries by image id.
    """

    objects: tuple[EvaluationObject, ...]
    sha256: str
    remarks: tuple[str, ...] = ()
    image_rows: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def subset(self, max_objects: int | None, *, seed: int) -> tuple[EvaluationObject, ...]:
        """At most ``max_objects``, spread over the images, grouped by image.

        One object of each image, then a second one of each, and so on, in an order that depends on the ids and the
        seed only: not on the file's order, the machine or the model. Objects of several sets may share ids; then the
        images' places below the folder that holds all of them count, too.
        """
        names = self._image_names()
        by_image: dict[int | str, list[EvaluationObject]] = {}
        for item in sorted(self.objects, key=lambda o: _draw(seed, "object", o.id)):
            by_image.setdefault(names[item.image], []).append(item)
        image_ids = sorted(by_image, key=lambda i: _draw(seed, "image", i))
        rank = {image_id: place for place, image_id in enumerate(image_ids)}
        rounds = [(turn, rank[i], item) for i, items in by_image.items() for turn, item in enumerate(items)]
        rounds.sort(key=lambda entry: entry[:2])
        chosen = rounds[:max_objects]
        return tuple(item for _, _, item in sorted(chosen, key=lambda entry: (entry[1], entry[0])))

    def _image_names(self) -> dict[EvaluationImage, int | str]:
        """What each image goes by: its id in a single set, else its place, because sets number their images alike."""
        images = {item.image for item in self.objects}
        paths = {(image.id, image.path) for image in images}
        if len(paths) == len({image_id for image_id, _ in paths}):
            return {image: image.id for image in images}
        parts = {image: image.path.resolve().parts for image in images}
        levels = zip(*parts.values(), strict=False)
        shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
        return {image: "/".join(own[shared:]) for image, own in parts.items()}


def read_evaluation_set(coco_json: Path, images_dir: Path) -> EvaluationSet:
    """The objects of a COCO file that an import would take; every mask is decoded once to see that it can be used.

    A ``file_name`` may repeat the last folder of ``images_dir`` ("images/a.jpg" in DIR/images).

    Raises:
        ImportFormatError: the file cannot be read, is not COCO, or none of its objects can be used.
    """
    found = open_folder_set(coco_json, images_dir)
    known: dict[int, EvaluationImage] = {}
    for image_id, record in found.images.by_id.items():
        name = str(found.images.rows[image_id].get("file_name") or record.name)
        known[record.id] = EvaluationImage(
            image_id, name, found.path_of(record), record.width, record.height, record.frame
        )
    objects = tuple(
        EvaluationObject(object_id, known[item.image.id], item.row["segmentation"])
        for object_id, item in found.objects()
    )
    if not objects:
        raise found.nothing()
    return EvaluationSet(objects, found.sha256, found.remarks(), found.images.rows)


def _draw(seed: int, kind: str, name: int | str) -> bytes:
    return hashlib.sha256(f"{seed} {kind} {name}".encode()).digest()
