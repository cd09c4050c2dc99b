"""Generated series whose geometry is known: straight, oblique, tilted, with gaps, of one slice; and objects in them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import annotation
from tests.unit.io.dicom_builders import write_slice

ROWS, COLUMNS = 20, 28
SPACING = (0.9, 0.7)
"""Down and right, as DICOM has it."""
ORIGIN = np.array([-30.0, -40.0, 100.0])
STEP_MM = 2.5
OBLIQUE = (0.9, 0.3, 0.1, -0.31, 0.95, 0.0)


def unit(values: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.asarray(values, np.float64) / np.linalg.norm(values)


def axes_of(orientation: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Row and column, at right angles."""
    row = unit(orientation[:3])
    column = np.asarray(orientation[3:], np.float64)
    return row, unit(column - (column @ row) * row)


def write_series(
    folder: Path,
    *,
    count: int = 6,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    tilt_deg: float = 0.0,
    missing: Sequence[int] = (),
    series: str = "1",
    size: tuple[int, int] = (ROWS, COLUMNS),
    **fields: Any,
) -> None:
    """A file a slice, in an order that says nothing."""
    row, column = axes_of(orientation)
    way = (np.cross(row, column) + np.tan(np.radians(tilt_deg)) * column) * STEP_MM
    order = list(range(count))
    random.Random(0).shuffle(order)
    for slot in range(count):
        if slot in missing:
            continue
        position = [float(f"{value:.9g}") for value in ORIGIN + slot * way]
        pixels = np.full(size, 100 + slot)
        turned = [float(f"{value:.9g}") for value in (*row, *column)]
        write_slice(
            folder / f"{order[slot]:03d}.dcm",
            pixels,
            number=order[slot],
            position=position,
            orientation=turned,
            series=series,
            **{**STUDY, "PixelSpacing": list(SPACING), **fields},
        )


STUDY: dict[str, Any] = {
    "PatientName": "Phantom^Ada",
    "PatientID": "PX-4711",
    "PatientBirthDate": "19700102",
    "PatientSex": "O",
    "StudyDate": "20260103",
    "StudyTime": "120000",
    "StudyID": "1",
    "AccessionNumber": "ACC77",
    "ReferringPhysicianName": "",
    "SeriesNumber": 1,
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SliceThickness": 2.5,
    "PositionReferenceIndicator": "",
}


def block(x: int, y: int, w: int, h: int, size: tuple[int, int] = (ROWS, COLUMNS)) -> Mask:
    bits = np.zeros(size, np.bool_)
    bits[y : y + h, x : x + w] = True
    return Mask.from_full(bits)


def with_hole(size: tuple[int, int] = (ROWS, COLUMNS)) -> Mask:
    bits = np.zeros(size, np.bool_)
    bits[3:14, 4:20] = True
    bits[6:9, 8:12] = False
    bits[16:18, 22:25] = True
    return Mask.from_full(bits)


def label(store: ProjectStore, position: int, mask: Mask, *, name: str = "object", track_id: int = 0) -> Annotation:
    """Accept an object on the slice at a place."""
    (image,) = (image for image in store.images() if image.position == position)
    known = {category.name: category.id for category in store.categories()}
    if name not in known:
        edit = store.category_edit(name)
        store.apply(edit)
        known[name] = edit.changes[0].row.id
    made = annotation(store, image.id, mask, category_id=known[name], track_id=track_id)
    store.apply(accept_edit(made, store.image(image.id)))
    return made


def work(store: ProjectStore, *, overlapping: bool = False) -> list[Annotation]:
    """A liver with a hole and two parts on two slices, a lesion beside it, and a nodule of one slice."""
    made = [
        label(store, 1, with_hole(), name="liver", track_id=3),
        label(store, 2, block(5, 4, 9, 8), name="liver", track_id=3),
        label(store, 2, block(20, 2, 3, 3), name="lesion", track_id=4),
        label(store, 3, block(19, 3, 4, 3), name="lesion", track_id=4),
        label(store, 3, block(2, 15, 2, 2), name="nodule"),
    ]
    if overlapping:
        made.append(label(store, 2, block(10, 6, 8, 3), name="lesion"))
    return made


def stored(store: ProjectStore) -> dict[tuple[str, int, int], set[bytes]]:
    """Run lengths by path, frame and class id."""
    images = {image.id: image for image in store.images()}
    found: dict[tuple[str, int, int], set[bytes]] = {}
    for one in store.all_annotations():
        image = images[one.image_id]
        found.setdefault((image.path, image.frame, one.category_id), set()).add(one.rle)
    return found
