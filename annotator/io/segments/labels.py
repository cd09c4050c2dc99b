"""Label maps in NIfTI and NRRD (also Slicer's ``.seg.nrrd`` with its layers), laid onto pictures by their places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.mask import Mask
from annotator.domain.planes import Plane
from annotator.io.images.grid import Grid, unpacked
from annotator.io.images.nifti import NiftiReader
from annotator.io.images.nrrd import label_grid
from annotator.io.segments.found import CLASS_TAG, MOST_SEGMENTS, Found, Picture, Segment

_SEGMENT = re.compile(r"Segment(\d{1,5})_(ID|Name|LabelValue|Layer|Color|Tags)")
_LAYERS = 1 << 20
"""Keys of segments are value + layer x this."""
_CODES = re.compile(r"~([^~^]+)\^([^~^]+)\^([^~^]*)")


def read_labels(stream: BinaryIO, name: str, kind: str, pictures: Sequence[Picture]) -> Found:
    """Every label of the pictures.

    Raises:
        ImageError: the numbers are no labels, or the file is cut off.
    """
    if kind == "nifti":
        header: dict[str, Any] = {}
        grid = NiftiReader().grid(stream, name)
    else:
        grid, header = label_grid(stream, name)
    if grid.dtype.kind not in "iuf" or (kind == "nifti" and grid.samples > 1):
        raise ImageError(f"{brief(name)} holds no labels.", "Export a label map of whole numbers.")
    i, j, slices, times = grid.shape
    found = Found(shape=(i, j, slices, times), has_space=grid.has_space and not grid.is_guess)
    named = _named(header)
    found.segments = list(named.values())
    if not pictures:
        return found
    volume = _volume(stream, grid, name)
    seen: set[int] = set()
    for at, picture in enumerate(pictures):
        labels = _labels_of(volume, grid, picture)
        if labels is None:
            continue
        for layer in range(labels.shape[2]):
            plane = labels[:, :, layer]
            for value in _values(plane, name):
                key = value + layer * _LAYERS
                seen.add(key)
                found.masks.append((at, key, Mask.from_full(plane == value).rle().decode("ascii")))
    if len(seen) > MOST_SEGMENTS:
        raise ImageError(f"{brief(name)} has {len(seen):,} different numbers: it is no label map.", "Export labels.")
    found.segments = [named.get(key, Segment(key)) for key in sorted(seen)]
    return found


def _volume(stream: BinaryIO, grid: Grid, name: str) -> npt.NDArray[Any]:
    """All numbers: times, slices, rows, columns, layers."""
    budget.ask(name, 2 * grid.nbytes, error=ImageError)
    data, _ = unpacked(stream, grid, name)
    data.seek(grid.offset)
    raw = data.read(grid.nbytes)
    if len(raw) < grid.nbytes:
        raise ImageError(f"{brief(name)} is cut off: {grid.nbytes - len(raw):,} bytes are missing.", "Copy it again.")
    i, j, slices, times = grid.shape
    values = np.frombuffer(raw, grid.dtype).reshape(times, slices, j, i, grid.samples)
    if grid.slope != 1 or grid.intercept != 0:
        return values * grid.slope + grid.intercept
    return values


def _labels_of(volume: npt.NDArray[Any], grid: Grid, picture: Picture) -> npt.NDArray[Any] | None:
    """Height x width x layers; None where the picture lies outside."""
    times, slices, rows, columns, _ = volume.shape
    if picture.time >= times:
        return None
    if picture.plane is None:
        if picture.slot >= slices:
            return None
        plane: npt.NDArray[Any] = volume[picture.time, picture.slot]
        return plane if plane.shape[:2] == (picture.height, picture.width) else None
    inverse = np.linalg.inv(grid.affine)
    axes = indices_on(inverse, picture.plane, picture.width, picture.height)
    limits = (columns, rows, slices)
    is_inside = np.ones((picture.height, picture.width), np.bool_)
    for axis, limit in zip(axes, limits, strict=True):
        is_inside &= (axis >= 0) & (axis < limit)
    if not is_inside.any():
        return None
    i, j, k = (np.clip(axis, 0, limit - 1) for axis, limit in zip(axes, limits, strict=True))
    found: npt.NDArray[Any] = volume[picture.time][k, j, i]
    found[~is_inside] = 0
    return found


def indices_on(inverse: npt.NDArray[Any], plane: Plane, width: int, height: int) -> list[npt.NDArray[np.int64]]:
    """For each axis of a volume, height x width: the index that the centre of every pixel lies nearest to."""
    x, y = np.arange(width), np.arange(height)[:, None]
    start = (inverse @ [*plane.origin, 1.0])[:3]
    ways = inverse[:3, :3] @ plane.axes
    # Half-way places (a label map of twice the size) go the same way for all slices.
    return [
        np.floor(start[axis] + x * ways[axis, 0] + y * ways[axis, 1] + 0.5 + 1e-6).astype(np.int64) for axis in range(3)
    ]


def _values(plane: npt.NDArray[Any], name: str) -> list[int]:
    """The labels of a plane, without 0.

    Raises:
        ImageError: they are no whole numbers, or too many.
    """
    values = np.unique(plane)
    is_float = values.dtype.kind == "f"
    if is_float and not (np.isfinite(values).all() and np.allclose(values, np.round(values), atol=1e-6, rtol=0)):
        raise ImageError(f"{brief(name)} holds numbers that are no labels.", "Export a label map of whole numbers.")
    if values.size > MOST_SEGMENTS or (values.size and (values.min() < 0 or values.max() >= _LAYERS)):
        raise ImageError(
            f"{brief(name)} holds numbers that are no labels.", "Export a label map of whole numbers from 0."
        )
    return [int(value) for value in values if value != 0]


def _named(header: dict[str, Any]) -> dict[int, Segment]:
    """Slicer's segments by key."""
    parts: dict[str, dict[str, str]] = {}
    for key, value in header.items():
        match = _SEGMENT.fullmatch(str(key))
        if match:
            parts.setdefault(match[1], {})[match[2]] = str(value)
    found: dict[int, Segment] = {}
    for about in parts.values():
        value, layer = about.get("LabelValue", ""), about.get("Layer", "0")
        if value.isdigit() and layer.isdigit() and int(value) < _LAYERS:
            number = int(value) + int(layer) * _LAYERS
            words = about.get("Name", ""), _colour(about.get("Color", "")), about.get("ID", "")
            found[number] = Segment(number, *words, _code(about), _category(about))
    return found


def _colour(text: str) -> str:
    """Slicer's three shares as ``#rrggbb``."""
    try:
        shares = [float(word) for word in text.split()]
    except ValueError:
        return ""
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares):
        return ""
    return "#" + "".join(f"{round(255 * share):02x}" for share in shares)


def _category(about: dict[str, str]) -> str:
    """What an export of ours says of its class."""
    named = (part for part in about.get("Tags", "").split("|") if part.startswith(CLASS_TAG))
    return next(named, "").removeprefix(CLASS_TAG)


def _code(about: dict[str, str]) -> dict[str, list[str]]:
    """Category and type of Slicer's terminology entry."""
    for part in about.get("Tags", "").split("|"):
        if part.startswith(("TerminologyEntry:", "Segmentation.TerminologyEntry:")):
            codes = _CODES.findall(part)
            if len(codes) >= 2:
                return {"category": list(codes[0]), "type": list(codes[1])}
    return {}
