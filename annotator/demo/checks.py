"""What has to be true: of a mask on the screen, of the project file, of the files that were exported.

Independent of the code under test where it can be: pycocotools reads COCO, areas of rings are added up by hand.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from annotator.demo.hands import StepFailed, require
from annotator.domain.answering.clicks import SimulatedClick, next_click
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.polygon import MIN_IOU
from annotator.domain.project import Annotation, Status
from annotator.domain.prompt import Prompts
from annotator.io.project.store import ProjectStore

INSIDE_SHARE = 0.7
BOX_MARGIN = 0.15
USED_MARGIN = 0.08
"""Nobody clicks twice at the same place: within this share of the box's smaller side."""
COVERED_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Target:
    """An object that a person sees in a sample image.

    Attributes:
        click: where the person clicks first (x, y), image pixels.
        box_xyxy: its extent, by eye, in image pixels.
    """

    image: str
    class_name: str
    click: tuple[float, float]
    box_xyxy: tuple[float, float, float, float]


def misfit(mask: Mask, target: Target) -> str:
    """Why a person would not take this mask for the object; empty when it is plausible.

    It has to hold the click, to lie in the object's box (a little wider) for the most part, and to fill that box to a
    good deal. Exact shapes are the model's business and differ between models.
    """
    if mask.is_empty:
        return "the mask is empty"
    if not mask.contains(*target.click):
        return "the mask leaves the click out"
    box = Box(*target.box_xyxy)
    inside = share_inside(mask, box) * mask.area
    if inside < INSIDE_SHARE * mask.area:
        return f"only {inside / mask.area:.0%} of the mask is where the object is"
    if inside < COVERED_SHARE * box.area:
        return f"the mask fills only {inside / box.area:.0%} of the object's box"
    return ""


def correction(mask: Mask, target: Target, prompts: Prompts) -> SimulatedClick:
    """Where a person who is not content clicks next: the deepest point of the largest error.

    What the object looks like is not known, only where it is: the ellipse in its box stands for it. Good enough for a
    mask that is far off.
    """
    box = Box(*target.box_xyxy)
    rows, columns = np.mgrid[: mask.height, : mask.width] + 0.5
    (x, y), shown = box.center, mask.full()
    wanted = ((columns - x) / (box.width / 2)) ** 2 + ((rows - y) / (box.height / 2)) ** 2 <= 1
    far_px = max(3.0, USED_MARGIN * min(box.width, box.height))
    for point in prompts.points:
        used = (columns - point.x) ** 2 + (rows - point.y) ** 2 <= far_px**2
        wanted = np.where(used, shown, wanted)
    click = next_click(shown, wanted)
    if click is None:
        raise StepFailed(f"no place is left to click for {target.class_name} in {target.image}")
    return click


def share_inside(mask: Mask, box: Box) -> float:
    """The share of the mask's pixels in the box, widened by :data:`BOX_MARGIN` of its size on every side."""
    dx, dy = BOX_MARGIN * box.width, BOX_MARGIN * box.height
    wide = Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy).clipped(mask.width, mask.height)
    return _pixels_in(mask, wide) / max(1, mask.area)


def mask_inside(mask: Mask, box: Box) -> Mask:
    """The mask's pixels in a box."""
    full = np.zeros((mask.height, mask.width), np.bool_)
    rows, columns = _slices(box.clipped(mask.width, mask.height))
    full[rows, columns] = mask.full()[rows, columns]
    return Mask.from_full(full)


def check_stored(project: Path, expected: Mapping[int, Annotation], statuses: Mapping[str, Status]) -> None:
    """The project file holds exactly these objects, bit by bit, and these images are marked so.

    The file is opened anew, for reading, as another program would.

    Raises:
        StepFailed, ProjectError.
    """
    with ProjectStore.open(project, read_only=True) as store:
        found = {annotation.id: annotation for annotation in store.all_annotations()}
        missing, strange = set(expected) - set(found), set(found) - set(expected)
        require(not missing, f"the project file lacks objects {sorted(missing)}")
        require(not strange, f"the project file holds objects {sorted(strange)} that nobody accepted")
        for annotation_id, annotation in expected.items():
            same = found[annotation_id] == annotation
            require(same, f"object {annotation_id} in the project file is not the one that was accepted")
            area = found[annotation_id].mask().area
            require(area == annotation.area > 0, f"object {annotation_id} has {area} pixels in the project file")
        marked = {image.path: image.status for image in store.images()}
    for path, status in statuses.items():
        require(marked.get(path) is status, f"{path} is {marked.get(path)} in the project file, not {status}")


def check_coco_file(path: Path, expected: Mapping[int, Annotation], *, empty_images: frozenset[str]) -> float:
    """pycocotools loads the file and gives every object's pixels back; returns the worst IoU.

    Args:
        empty_images: names of images that have to be in the file without an object.

    Raises:
        StepFailed
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            dataset = COCO(str(path))
    except Exception as error:  # a reader's complaint, whatever its type, is the answer to the question
        raise StepFailed(f"pycocotools cannot load {path.name} ({error!r})") from error
    require(set(dataset.anns) == set(expected), f"{path.name} holds objects {sorted(dataset.anns)}")
    worst = 1.0
    for annotation_id, annotation in expected.items():
        row = dataset.anns[annotation_id]
        mask = Mask.from_full(dataset.annToMask(row))
        iou = mask.iou(annotation.mask())
        bound = 1.0 if isinstance(row["segmentation"], dict) else MIN_IOU
        require(iou >= bound, f"object {annotation_id} in {path.name} has IoU {iou:.4f} with the stored mask")
        require(row["area"] == annotation.area, f"object {annotation_id} in {path.name} has another area")
        require(row["category_id"] == annotation.category_id, f"object {annotation_id} changed its class on the way")
        worst = min(worst, iou)
    used = {dataset.imgs[row["image_id"]]["file_name"] for row in dataset.anns.values()}
    without = {image["file_name"] for image in dataset.imgs.values()} - used
    require(without == set(empty_images), f"{path.name} lists {sorted(without)} as images without objects")
    return worst


def check_polygon_folder(folder: Path, expected: Mapping[int, Annotation]) -> None:
    """Every object is in one of the files, with rings whose area is the mask's to the pixel.

    Raises:
        StepFailed
    """
    features: dict[int, dict[str, Any]] = {}
    for file in sorted(folder.rglob("*.json")):
        for feature in json.loads(file.read_text("ascii"))["features"]:
            features[feature["id"]] = feature
    require(set(features) == set(expected), f"{folder.name} holds objects {sorted(features)}")
    for annotation_id, feature in features.items():
        geometry = feature["geometry"]
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        area = sum(_ring_area(outer) - sum(map(_ring_area, holes)) for outer, *holes in polygons)
        wanted = expected[annotation_id].area
        require(area == wanted, f"the rings of object {annotation_id} hold {area:g} px, the mask {wanted}")


def _ring_area(ring: list[list[float]]) -> float:
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise(ring))) / 2


def _pixels_in(mask: Mask, box: Box) -> int:
    rows, columns = _slices(box)
    return int(np.count_nonzero(mask.full()[rows, columns]))


def _slices(box: Box) -> tuple[slice, slice]:
    x0, y0, x1, y1 = (round(v) for v in box.as_xyxy())
    return slice(y0, y1), slice(x0, x1)
