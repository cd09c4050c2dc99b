"""One GeoJSON-like file per image: every object as polygons with holes, exact on pixel edges unless asked otherwise.

Not geography: positions are image pixels, x right and y down, pixel (i, j) covering [i, i + 1) x [j, j + 1).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.outline import area_of
from annotator.domain.polygon import MIN_IOU, PolygonPart, Ring, mask_to_polygons, polygons_to_mask
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.files.atomic import export_errors, remove_left, write_atomic
from annotator.io.formats.drawn import drawn_parts
from annotator.io.formats.report import (
    CheckReport,
    ExportReport,
    attributes_of,
    frame_fields,
    object_name,
    select_images,
    writable_objects,
)
from annotator.io.project.place import is_project_file, shortened_name
from annotator.io.project.queries import ProjectQueries

_MOST_NAME_BYTES = 235
"""Systems allow 255, and a file has a longer name until it is complete."""
DRAWN = "drawn"
"""Of an object that was drawn as a polygon and is exported as it was: its pixels are those whose centres are inside."""
PIXELS = "x right, y down; pixel (i, j) covers [i, i + 1) x [j, j + 1)"


def export_polygons(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    include_unfinished: bool = True,
    all_images: bool = False,
    tolerance_px: float = 0.0,
    progress: Progress | None = None,
) -> ExportReport:
    """Write ``OUT/FILE_NAME.json`` for each image (with its sub-folders), each atomically, and read each back; for long
    names see :func:`file_name_of`.

    Args:
        out_path: a folder; made when missing.
        tolerance_px: 0 is exact; more leaves out vertices, each part's IoU stays at 0.98 or more.
        others: as in :func:`annotator.io.formats.coco.export.export_coco`.

    Raises:
        ExportError: a file cannot be written, or does not give the stored masks when read back, or the folder has the
            name of a project file.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    if os.path.exists(target) and not os.path.isdir(target):
        raise ExportError(f"{brief(target)} is a file.", "Name a folder for the polygon files.")
    with export_errors(target):
        remove_left(target.rglob(".*.part"))
    if is_project_file(target):
        raise ExportError(f"{brief(target.name)} is the name of a project file.", "Name a folder for the polygons.")
    ious: list[tuple[float, str]] = []
    written: set[Path] = set()
    crowd = 0
    with store.snapshot():
        selection = select_images(
            store, include_unfinished=include_unfinished, all_images=all_images, progress=progress
        )
        categories = {category.id: category for category in store.categories()}
        warnings = list(selection.warnings)
        by_image: dict[int, list[Annotation]] = {image.id: [] for image in selection.images}
        for image, annotation in writable_objects(store, selection, categories, warnings):
            by_image[image.id].append(annotation)
        total = sum(len(found) for found in by_image.values())
        names = _file_names(selection.images, warnings)
        for image in selection.images:
            file = target.joinpath(*names[image.id].split("/"))
            features = [_feature(a, categories, tolerance_px) for a in by_image[image.id]]
            with export_errors(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, _document(image, features))
                written.add(file)
                ious.extend(_read_back(file, image, by_image[image.id], categories))
            crowd += sum(annotation.is_crowd for annotation in by_image[image.id])
            if progress is not None:
                progress(len(ious), total)
    check = _check(ious, crowd, exact=tolerance_px <= 0)
    if not check.is_ok:
        raise ExportError(f"Reading back gave other data ({check.problems[0]}).", "The files are not usable.")
    warnings.extend(_others(target, written))
    return ExportReport(
        target, len(selection.images), total, len(categories), selection.left_out, tuple(warnings), check
    )


def _file_names(images: tuple[ImageRecord, ...], warnings: list[str]) -> dict[int, str]:
    """By image id; names that had to be cut are counted in ``warnings``."""
    names = {image.id: file_name_of(image.name) for image in images}
    cut = [image.name for image in images if names[image.id] != f"{image.name}.json"]
    if cut:
        why = "the images' own are too long"
        warnings.append(f"shortened names of {counted(len(cut), 'file')}: {why}, such as {cut[0][:60]}…")
    return names


def file_name_of(path: str) -> str:
    """Where an image's polygons go, relative to the folder: its path with ``.json``, or, where a part of that would be
    too long, the part's first letters and eight digits that no other has."""
    *folders, name = path.split("/")
    return "/".join((*(_fitting(folder, "") for folder in folders), _fitting(name, ".json")))


def _fitting(name: str, ending: str) -> str:
    if len(f"{name}{ending}".encode()) <= _MOST_NAME_BYTES:
        return f"{name}{ending}"
    mark = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}{ending}"
    return shortened_name(name, most_bytes=_MOST_NAME_BYTES - len(mark)) + mark


def _others(folder: Path, written: set[Path]) -> list[str]:
    """A warning about files that an earlier export may have left: whoever trains from the folder reads them, too."""
    others = sorted(set(folder.rglob("*.json")) - written)
    if not others:
        return []
    name, files = others[0].relative_to(folder).as_posix(), counted(len(others), "more JSON file")
    return [
        f"The folder has {files} not of this export, such as {brief(name)}: delete what an earlier export left "
        "before you train from the folder."
    ]


def _document(image: ImageRecord, features: list[dict[str, Any]]) -> bytes:
    head: dict[str, Any] = {
        "type": "FeatureCollection",
        "image": {
            "file_name": image.name,
            **frame_fields(image),
            "width": image.width,
            "height": image.height,
            "status": image.status.value,
            **({"spacing_mm": image.extra["spacing_mm"]} if "spacing_mm" in image.extra else {}),
        },
        "pixels": PIXELS,
        "features": features,
    }
    return (json.dumps(head, allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")


def _feature(annotation: Annotation, categories: dict[int, Category], tolerance_px: float) -> dict[str, Any]:
    mask = annotation.mask()
    drawn = drawn_parts(annotation.prompts, mask)
    parts = drawn or mask_to_polygons(mask, tolerance_px=tolerance_px)
    polygons = [[_closed(ring) for ring in (part.exterior, *part.holes)] for part in parts]
    single = len(polygons) == 1
    return {
        "type": "Feature",
        "id": annotation.id,
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        },
        "properties": {
            "category": categories[annotation.category_id].name,
            "category_id": annotation.category_id,
            "area_px": annotation.area,
            "bbox_xywh": [annotation.x, annotation.y, annotation.w, annotation.h],
            "iscrowd": int(annotation.is_crowd),
            "attributes": attributes_of(annotation) or {},
            **({"outline": DRAWN} if drawn else {}),
        },
    }


def _closed(ring: Ring) -> list[list[float]]:
    """GeoJSON repeats the first position at the end."""
    points: list[list[float]] = ring.tolist()
    return [*points, points[0]]


def _read_back(
    file: Path, image: ImageRecord, annotations: list[Annotation], categories: dict[int, Category]
) -> list[tuple[float, str]]:
    features = json.loads(file.read_text("ascii"))["features"]
    found: list[tuple[float, str]] = []
    for annotation, feature in zip(annotations, features, strict=True):
        geometry = feature["geometry"]
        many = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        read = _drawn_mask(many, image) if feature["properties"].get("outline") == DRAWN else _mask_of(many, image)
        found.append((read.iou(annotation.mask()), object_name(annotation, image, categories)))
    return found


def _drawn_mask(polygons: list[list[list[list[float]]]], image: ImageRecord) -> Mask:
    """The pixels whose centres are inside, as the polygon was drawn."""
    rings = (tuple((x, y) for x, y in ring[:-1]) for polygon in polygons for ring in polygon)
    return area_of(rings, image.width, image.height)


def _mask_of(polygons: list[list[list[list[float]]]], image: ImageRecord) -> Mask:
    parts = []
    for polygon in polygons:
        exterior, *holes = (_opened(ring) for ring in polygon)
        parts.append(PolygonPart(exterior, tuple(holes)))
    return polygons_to_mask(parts, width=image.width, height=image.height)


def _opened(ring: list[list[float]]) -> Ring:
    return np.array(ring[:-1], np.float64)


def _check(ious: list[tuple[float, str]], crowd: int, *, exact: bool) -> CheckReport:
    bound = 1.0 if exact else MIN_IOU
    worst = min(ious, default=(1.0, ""))
    problems = tuple(f"{name}: IoU {iou:.4f}" for iou, name in ious if iou < bound)
    return CheckReport(len(ious), crowd, 0, worst[0], worst[1], (), problems)
