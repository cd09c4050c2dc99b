"""Where the slices of DICOM files lie in space, from their heads. Values that do not fit their definition count as
missing; none of them leaves as it is (see :mod:`annotator.io.images.dicom_facts`)."""

from __future__ import annotations

import hashlib
import itertools
import math
from statistics import median
from typing import BinaryIO

import pydicom

from annotator.domain.planes import Plane
from annotator.domain.slices import SliceFacts, Vector, along_normal, ordered_frames
from annotator.io.images.dicom_deflated import check_deflated
from annotator.io.images.dicom_facts import (
    all_numbers,
    functional_group,
    spacing_of,
    uid_of,
    value_of,
    whole_number,
)
from annotator.io.images.places import FilePlaces
from annotator.io.images.survey import MAX_FRAMES, Survey

_KINDS = ("TemporalPositionIdentifier", "EchoNumbers", "DiffusionBValue", "AcquisitionNumber")
_TAGS = (
    *("SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns", "NumberOfFrames", *_KINDS),
    *("ImageOrientationPatient", "ImagePositionPatient"),
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
)
_UNIT = 0.05
"""How far a direction's length may be from 1."""


def survey_dicom(stream: BinaryIO, name: str) -> Survey:
    """One file, which stands at its beginning.

    Raises:
        ImageError: unpacking its head would take more than the memory for one image.
    """
    check_deflated(stream, name)
    dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=[*_TAGS])
    frames = min(MAX_FRAMES, max(1, whole_number(dataset, "NumberOfFrames", 1)))
    size = (whole_number(dataset, "Columns", 0), whole_number(dataset, "Rows", 0))
    if frames > 1:
        order, step_mm = _frames_in_space(dataset, frames)
        return Survey(frames, order, step_mm, size)
    plane = _plane(dataset)
    position = _vector(dataset, "ImagePositionPatient")
    uid = uid_of(dataset, "SeriesInstanceUID")
    if plane is None or position is None or uid is None:
        return Survey(size_wh=size)
    words = (uid, uid_of(dataset, "FrameOfReferenceUID") or "", *map(str, size))
    series = hashlib.sha256("|".join(words).encode()).hexdigest()[:32]
    kinds = tuple(_word(dataset, name) for name in _KINDS)
    return Survey(size_wh=size, slice=SliceFacts("", series, *plane, position, kinds))


def places_in_dicom(stream: BinaryIO, name: str) -> FilePlaces:
    """Of one file, which stands at its beginning.

    Raises:
        ImageError: unpacking its head would take more than the memory for one image.
    """
    check_deflated(stream, name)
    dataset = pydicom.dcmread(
        stream, force=True, stop_before_pixels=True, specific_tags=[*_TAGS, "PixelSpacing", "SOPInstanceUID"]
    )
    frames = min(MAX_FRAMES, max(1, whole_number(dataset, "NumberOfFrames", 1)))
    planes = tuple(plane_of_frame(dataset, frame) for frame in range(frames))
    names = ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    uid, series_uid, reference_uid = (uid_of(dataset, name) or "" for name in names)
    return FilePlaces(planes, uid, series_uid, reference_uid, spacing_xy=spacing_of(dataset, 0))


def plane_of_frame(dataset: pydicom.Dataset, frame: int) -> Plane | None:
    """Where a frame lies: by its own groups, else by the file's elements; a file of many frames says it for each."""
    here = dataset if whole_number(dataset, "NumberOfFrames", 1) <= 1 else None
    place = functional_group(dataset, frame, "PlanePositionSequence") or here
    position = None if place is None else _vector(place, "ImagePositionPatient")
    axes = axes_of_frame(dataset, frame)
    spacing = spacing_of(dataset, frame)
    return None if position is None or axes is None or spacing is None else Plane(position, *axes, spacing)


def axes_of_frame(dataset: pydicom.Dataset, frame: int) -> tuple[Vector, Vector] | None:
    """Unit vectors along rows and columns of a frame, as far as the file says."""
    here = dataset if whole_number(dataset, "NumberOfFrames", 1) <= 1 else None
    turn = functional_group(dataset, frame, "PlaneOrientationSequence") or here
    return None if turn is None else _plane(turn)


def _frames_in_space(dataset: pydicom.Dataset, frames: int) -> tuple[tuple[int, ...], float]:
    """Order along the normal, and the step; nothing where frames have no places of their own."""
    positions: list[Vector] = []
    planes: set[tuple[Vector, Vector]] = set()
    for frame in range(frames):
        place = functional_group(dataset, frame, "PlanePositionSequence")
        turn = functional_group(dataset, frame, "PlaneOrientationSequence")
        position = None if place is None else _vector(place, "ImagePositionPatient")
        plane = None if turn is None else _plane(turn)
        if position is None or plane is None:
            return (), 0.0
        positions.append(position)
        planes.add(plane)
    if len(planes) != 1:
        return (), 0.0
    row, column = planes.pop()
    order = ordered_frames(positions, row, column)
    if order is None:
        return (), 0.0
    places = sorted(along_normal(positions, row, column))
    step_mm = median(b - a for a, b in itertools.pairwise(places))
    return (() if order == sorted(order) else tuple(order)), round(step_mm, 4)


def _plane(dataset: pydicom.Dataset) -> tuple[Vector, Vector] | None:
    """Unit vectors along rows and columns."""
    numbers = all_numbers(value_of(dataset, "ImageOrientationPatient"))
    known = [number for number in numbers if number is not None]
    if len(known) != 6 or len(numbers) != 6:
        return None
    row, column = _unit(known[:3]), _unit(known[3:])
    if row is None or column is None or abs(sum(a * b for a, b in zip(row, column, strict=True))) > _UNIT:
        return None
    return row, column


def _unit(values: list[float]) -> Vector | None:
    length = math.sqrt(sum(value * value for value in values))
    if abs(length - 1) > _UNIT:
        return None
    return values[0] / length, values[1] / length, values[2] / length


def _vector(dataset: pydicom.Dataset, name: str) -> Vector | None:
    numbers = all_numbers(value_of(dataset, name))
    known = [number for number in numbers if number is not None]
    return (known[0], known[1], known[2]) if len(known) == len(numbers) == 3 else None


def _word(dataset: pydicom.Dataset, name: str) -> str:
    """Numbers only."""
    return ",".join("" if number is None else f"{number:g}" for number in all_numbers(value_of(dataset, name)))
