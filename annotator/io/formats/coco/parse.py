"""COCO JSON from anywhere: what can be trusted in it. Nothing here allocates by a number that the file claims."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from annotator.domain import budget
from annotator.domain.mask import Mask
from annotator.domain.polygon import Ring, rings_to_mask

_MAX_DEPTH = 16
# COCO's rasteriser walks along every outline in steps of a fifth of a pixel and keeps each: 80 MB for this length.
_MAX_OUTLINE_PX = 2_000_000.0
_CROP_COPIES = 4
MAX_CROP_BYTES = 400_000_000
"""Of one mask's crop, a byte a pixel; decoding takes three times as much for a moment."""
_MAX_COUNTS_CHARS = 16_000_000
"""Of one object's run lengths as text; decoding takes thirty bytes a character."""
_MAX_ID = 2**53  # what every JSON reader takes as a whole number
_BYTES_REPR = re.compile(r"""b(['"])(.*)\1""", re.DOTALL)


def decode_segmentation(segmentation: Any, *, width: int, height: int) -> tuple[Mask, tuple[str, ...]]:
    """The pixels of a COCO segmentation in an image of known size, and what had to be left out of it.

    Polygons are drawn by COCO's own rasteriser.

    Raises:
        ValueError: nothing usable; the text says why.
    """
    if isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], dict):
        segmentation = segmentation[0]  # a list round the run lengths: what some programs make of one object
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


def _max_crop_bytes() -> int:
    """Of a mask's crop: several copies of it are made on the way, within what one thing may take."""
    return min(MAX_CROP_BYTES, budget.limit_bytes() // _CROP_COPIES)


def _decode_runs(segmentation: dict[str, Any], width: int, height: int) -> Mask:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or [whole_number(v) for v in size] != [height, width]:
        raise ValueError(f"has run lengths for another size than the image's [{height}, {width}]")
    if isinstance(counts, str):
        # Python's text of bytes, b'...': written by programs that forgot to decode what the library gave them.
        wrapped = _BYTES_REPR.fullmatch(counts)
        plain = counts if wrapped is None else wrapped[2].replace("\\\\", "\\")
        if len(plain) > _MAX_COUNTS_CHARS:
            raise ValueError(f"has run lengths of {len(plain):,} characters, more than the limit")
        return _mask_of_runs(lambda most: Mask.from_rle(plain, width, height, max_crop_bytes=most))
    if not isinstance(counts, list):
        raise ValueError(f"has run lengths of type {type(counts).__name__}")
    numbers = [whole_number(v) for v in counts]
    if any(v is None or v < 0 for v in numbers):
        raise ValueError("has run lengths that are not whole numbers from 0")
    runs = np.array(numbers, np.int64)
    return _mask_of_runs(lambda most: Mask.from_counts(runs, width, height, max_crop_bytes=most))


def _mask_of_runs(make: Callable[[int], Mask]) -> Mask:
    """Raises:
    ValueError: what is said of the object.
    """
    try:
        return make(_max_crop_bytes())
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("covers") else f"has damaged run lengths: {text}") from error


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
    corners = np.clip(np.concatenate(rings), 0.0, (width, height))
    covered = int(np.prod(np.ptp(corners, axis=0)))
    if covered > _max_crop_bytes():
        raise ValueError(f"covers {covered:,} pixels with its box, more than the limit of {_max_crop_bytes():,}")
    return rings_to_mask(rings, width=width, height=height, max_crop_bytes=_max_crop_bytes()), tuple(lost)


def _ring(polygon: Any) -> Ring:
    if not isinstance(polygon, list):
        raise ValueError("is not a list of numbers")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"has {len(polygon)} numbers (an even count from 6 is needed)")
    if not set(map(type, polygon)) <= {int, float}:
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
