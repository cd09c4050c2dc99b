"""COCO JSON from anywhere: what can be trusted in it. Nothing here allocates by a number that the file claims."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.polygon import Ring, rings_to_mask

MAX_FILE_BYTES = 2 << 30
_MAX_DEPTH = 16
# COCO's rasteriser walks along every outline in steps of a fifth of a pixel and keeps each: 80 MB for this length.
_MAX_OUTLINE_PX = 2_000_000.0
_MAX_ID = 2**53  # what every JSON reader takes as a whole number
_WANTED = "A COCO file has the lists images, annotations and categories."


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The three lists and the licences, each entry still unchecked; ``notes`` are for the person."""

    images: list[Any]
    annotations: list[Any]
    categories: list[Any]
    licences: dict[int, dict[str, Any]]
    notes: tuple[str, ...] = ()


def read_coco(path: Path) -> CocoFile:
    """Read the outer structure.

    Raises:
        ImportFormatError: missing, unreadable, too large, not UTF-8, not JSON, nested too deeply, or not COCO.
    """
    data = _parse(path)
    if isinstance(data, list):
        raise ImportFormatError(f"{path.name} is a list (COCO results?), not a data set.", _WANTED)
    if not isinstance(data, dict):
        raise ImportFormatError(f"{path.name} is not a COCO data set.", _WANTED)
    lists: dict[str, list[Any]] = {}
    notes: list[str] = []
    for key in ("images", "annotations", "categories"):
        found = data.get(key)
        if found is None and key != "images":
            notes.append(f"the file has no {key}")
            found = []
        if not isinstance(found, list):
            raise ImportFormatError(f"{path.name} is not a COCO data set: it has no list {key!r}.", _WANTED)
        lists[key] = found
    return CocoFile(lists["images"], lists["annotations"], lists["categories"], _licences(data), tuple(notes))


def decode_segmentation(segmentation: Any, *, width: int, height: int) -> tuple[Mask, tuple[str, ...]]:
    """The pixels of a COCO segmentation in an image of known size, and what had to be left out of it.

    Polygons are drawn by COCO's own rasteriser.

    Raises:
        ValueError: nothing usable; the text says why.
    """
    if isinstance(segmentation, dict):
        return _decode_runs(segmentation, width, height), ()
    if isinstance(segmentation, list):
        return _decode_polygons(segmentation, width, height)
    if segmentation is None:
        raise ValueError("has no segmentation")
    raise ValueError(f"has a segmentation of type {type(segmentation).__name__}")


def plain_json(value: Any, *, depth: int = 0) -> Any:
    """The value itself when it is data that can be stored and written again.

    Raises:
        ValueError: NaN or infinity, text that is not Unicode, or nesting of more than sixteen levels.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("is nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds NaN or infinity")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [plain_json(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): plain_json(item, depth=depth + 1) for key, item in value.items()}
    return value


def clean_text(text: str) -> str:
    """Raises:
    ValueError: half a surrogate pair, which JSON can hold and no file can.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("holds text that is not Unicode") from error
    return text


def whole_number(value: Any) -> int | None:
    """An id or a size as it should be; None for everything else (true, 1.5, "1", too large)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if abs(value) <= _MAX_ID else None


def text_id(row: dict[str, Any], key: str = "id") -> str:
    """What is wrong with an id that is a number as text ("7"), as some tools write it; empty for every other one."""
    value = row.get(key)
    return f"{key} {value[:40]!a} is text; COCO ids are whole numbers" if isinstance(value, str) else ""


def shown(value: Any) -> str:
    """A value from the file for a message: short, and safe for any type."""
    return str(value)[:40] if isinstance(value, str | int | float | None) else f"of type {type(value).__name__}"


def _parse(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFormatError(f"{path.name} is larger than 2 GB.", "Split the data set.")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{path.name} is not UTF-8 text.", "Is it a JSON file?") from error
    except FileNotFoundError as error:
        raise ImportFormatError(f"There is no file {path}.", "Check the name.") from error
    except OSError as error:
        raise ImportFormatError(f"{path.name} cannot be read ({error.strerror}).", "Check its permissions.") from error
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ImportFormatError(f"{path.name} is nested too deeply.", _WANTED) from error
    except MemoryError as error:
        raise ImportFormatError(f"{path.name} does not fit into memory.", "Split the data set.") from error
    except ValueError as error:
        raise ImportFormatError(f"{path.name} is not JSON ({str(error)[:120]}).", "Is it complete?") from error


def _licences(data: dict[str, Any]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    rows = data.get("licenses")
    for row in rows if isinstance(rows, list) else []:
        number = whole_number(row.get("id")) if isinstance(row, dict) else None
        if number is not None and number > 0:
            try:
                found[number] = {**plain_json(row), "id": number}
            except ValueError:  # an odd licence is not worth a failed import; its images lose the reference
                continue
    return found


def _decode_runs(segmentation: dict[str, Any], width: int, height: int) -> Mask:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or [whole_number(v) for v in size] != [height, width]:
        raise ValueError(f"has run lengths for another size than the image's [{height}, {width}]")
    if isinstance(counts, str):
        return Mask.from_rle(counts, width, height)
    if not isinstance(counts, list):
        raise ValueError(f"has run lengths of type {type(counts).__name__}")
    numbers = [whole_number(v) for v in counts]
    if any(v is None or v < 0 for v in numbers):
        raise ValueError("has run lengths that are not whole numbers from 0")
    return Mask.from_counts(np.array(numbers, np.int64), width, height)


def _decode_polygons(segmentation: list[Any], width: int, height: int) -> tuple[Mask, tuple[str, ...]]:
    if not segmentation:
        raise ValueError("has an empty segmentation")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    rings: list[Ring] = []
    lost: list[str] = []
    for number, polygon in enumerate(polygons, start=1):
        try:
            rings.append(_ring(polygon))
        except ValueError as error:
            lost.append(f"polygon {number} {error}")
    if not rings:
        raise ValueError(f"has no usable polygon ({lost[0]})")
    if sum(_length(ring) for ring in rings) > _MAX_OUTLINE_PX:
        raise ValueError("has an outline of more than two million pixels")
    return rings_to_mask(rings, width=width, height=height), tuple(lost)


def _ring(polygon: Any) -> Ring:
    if not isinstance(polygon, list):
        raise ValueError("is not a list of numbers")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"has {len(polygon)} numbers (an even count from 6 is needed)")
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in polygon):
        raise ValueError("holds something that is not a number")
    try:
        points = np.array(polygon, np.float64).reshape(-1, 2)
    except OverflowError as error:
        raise ValueError("holds a number that is too large") from error
    if not bool(np.isfinite(points).all()):
        raise ValueError("holds NaN or infinity")
    return points


def _length(ring: Ring) -> float:
    steps = np.abs(np.diff(ring, axis=0, append=ring[:1]))
    return float(steps.max(axis=1).sum() + ring.shape[0])
