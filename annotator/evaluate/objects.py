"""The objects of a COCO set that an evaluation goes through, read without trusting the file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask

_MAX_PIXELS = 400_000_000


@dataclass(frozen=True, slots=True)
class EvaluationImage:
    """An image of the set: ``path`` of the file, ``file_name`` as the set calls it, its size in pixels as stated."""

    id: int
    file_name: str
    path: Path
    width: int
    height: int


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
        """The object at the image's stated size; may be empty.

        Raises:
            ImportFormatError: the segmentation is damaged.
        """
        try:
            return _decoded(self.segmentation, self.image.width, self.image.height)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise ImportFormatError(
                f"Annotation {self.id} of {self.image.file_name} has a damaged segmentation ({error}).",
                "Correct or remove it.",
            ) from error


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A COCO file's objects, crowds left out, and the SHA-256 of the file's bytes."""

    objects: tuple[EvaluationObject, ...]
    sha256: str

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
    """The objects of a COCO file, with images matched by relative path.

    A ``file_name`` may repeat the last folder of ``images_dir`` ("images/a.jpg" in DIR/images).

    Raises:
        ImportFormatError: the file cannot be read, is not COCO, or an image of an object is missing.
    """
    try:
        raw = coco_json.read_bytes()
    except OSError as error:
        raise ImportFormatError(f"{coco_json} cannot be read ({error.strerror}).", "Check its name.") from error
    if not images_dir.is_dir():
        raise ImportFormatError(f"There is no folder {images_dir}.", "Check --images.")
    try:
        data = json.loads(raw)
        images, annotations = data["images"], data["annotations"]
        records = {_integer(record["id"]): record for record in images}
        wanted = [a for a in annotations if not a.get("iscrowd") and a.get("segmentation")]
        used = sorted({_integer(annotation["image_id"]) for annotation in wanted})
        known = {image_id: _image(records[image_id], images_dir) for image_id in used}
        objects = tuple(
            EvaluationObject(_integer(a["id"]), known[_integer(a["image_id"])], a["segmentation"]) for a in wanted
        )
    except KeyError as error:
        raise ImportFormatError(f"{coco_json} is not a complete COCO file: {error} is missing.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ImportFormatError(f"{coco_json} is not a COCO file ({error}).") from error
    if not objects:
        raise ImportFormatError(f"{coco_json} holds no objects with masks.", "Give a set with segmentations.")
    if len({item.id for item in objects}) != len(objects):
        raise ImportFormatError(f"{coco_json} has two annotations with one id.", "Number them anew.")
    return EvaluationSet(objects, hashlib.sha256(raw).hexdigest())


def _draw(seed: int, kind: str, name: int | str) -> bytes:
    return hashlib.sha256(f"{seed} {kind} {name}".encode()).digest()


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {value!r}")
    return value


def _image(record: dict[str, Any], images_dir: Path) -> EvaluationImage:
    name = record["file_name"]
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"file_name {name!r} is not a file's name")
    width, height = _integer(record["width"]), _integer(record["height"])
    if width <= 0 or height <= 0 or width * height > _MAX_PIXELS:
        raise ValueError(f"{name} cannot be {width} x {height} pixels")
    relative = PurePosixPath(name.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"file_name {name!r} leaves the images' folder")
    tries = [images_dir / relative]
    if len(relative.parts) > 1 and relative.parts[0] == images_dir.resolve().name:
        tries.append(images_dir / Path(*relative.parts[1:]))
    path = next((p for p in tries if p.is_file()), None)
    if path is None:
        raise ImportFormatError(f"The image {name} is not in {images_dir}.", "Check --images.")
    return EvaluationImage(_integer(record["id"]), name, path, width, height)


def _decoded(segmentation: Any, width: int, height: int) -> Mask:
    if isinstance(segmentation, dict):
        size = [_integer(value) for value in segmentation["size"]]
        if size != [height, width]:
            raise ValueError(f"its size {size} is not the image's {[height, width]}")
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):
            return Mask.from_rle(counts, width, height)
        return Mask.from_counts(np.array([_integer(value) for value in counts], np.int64), width, height)
    rings = [[float(value) for value in ring] for ring in segmentation]
    if any(len(ring) < 6 or len(ring) % 2 or not all(map(math.isfinite, ring)) for ring in rings):
        raise ValueError("a polygon needs three or more points of finite numbers")
    if any(abs(value) > 4 * max(width, height) for ring in rings for value in ring):
        raise ValueError("a polygon lies far outside the image")
    merged = coco_mask.merge(coco_mask.frPyObjects(rings, height, width))
    return Mask.from_rle(merged["counts"], width, height)
