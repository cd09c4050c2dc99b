"""Measured values to 8-bit greys: robust limits, linear scales, the windows of DICOM, opacity. Deterministic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
AnyArray = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]

LOW_PERCENT, HIGH_PERCENT = 0.2, 99.8
"""The stretch: outliers (hot pixels, burnt-in marks) must not darken everything else."""

ALPHA_BACKGROUND = 128
"""Transparent pixels are laid on mid-grey: both dark and light cut-outs stay visible, and it is near the mean that
segmentation models subtract."""

SAMPLE_VALUES = 4_000_000
_BLOCK_ROWS = 256
_BLOCK_VALUES = 1 << 18


def percentile_range(values: AnyArray, *, where: BoolArray | None = None) -> tuple[float, float]:
    """The 0.2 and 99.8 percentile of finite values (their extremes when those coincide; (0, 1) when there are none).

    Args:
        values: any shape, real numbers; large arrays are sampled on a fixed grid.
        where: of the same shape; False for values that mean "no data" and do not count.
    """
    step = max(1, -(-values.size // SAMPLE_VALUES))
    kept = _data_values(values, where, step)
    if kept.size == 0 and step > 1:
        kept = _data_values(values, where, 1)
    if kept.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(kept.astype(np.float64), (LOW_PERCENT, HIGH_PERCENT)))
    if high <= low:
        everything = _data_values(values, where, 1)
        low, high = float(everything.min()), float(everything.max())
    return low, high


def counted_percentile_range(units: npt.NDArray[np.float64], often: npt.NDArray[np.int64]) -> tuple[float, float]:
    """As :func:`percentile_range`, to the bit, of finite values in any order that occur so often; at most
    ``SAMPLE_VALUES`` in all."""
    if units.size == 0:
        return 0.0, 1.0
    order = np.argsort(units, kind="stable")
    ordered, ends = units[order], np.cumsum(often[order])
    places = np.array((LOW_PERCENT, HIGH_PERCENT)) / 100.0 * (int(ends[-1]) - 1)
    before, last = np.floor(places), ends[-1] - 1
    below, above = (ordered[np.searchsorted(ends, np.minimum(at, last), "right")] for at in (before, before + 1))
    share, step = places - before, above - below
    low, high = (float(v) for v in np.where(share >= 0.5, above - step * (1 - share), below + step * share))
    return (low, high) if high > low else (float(ordered[0]), float(ordered[-1]))


def has_few_numbers(values: AnyArray) -> bool:
    """Whether there are so few possible numbers that all are worked out once: whole ones of up to 16 bits."""
    return values.dtype.kind in "iu" and values.dtype.itemsize <= 2


def count_numbers(values: AnyArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The numbers that occur, rising, and how often each does; of arrays that :func:`has_few_numbers`."""
    if values.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    least = int(values.min())
    counts = np.bincount(values.reshape(-1).astype(np.int64) - least)
    present = np.flatnonzero(counts)
    return present + least, counts[present]


def scale_to_unit(values: AnyArray, low: float, high: float) -> npt.NDArray[np.float64]:
    """``low`` and below become 0, ``high`` and above 1, linear between; NaN stays; equal limits give 0."""
    out = values.astype(np.float64)
    if not high > low:
        return np.where(np.isnan(out), out, 0.0)
    shrink = 1.0 if math.isfinite(high - low) else 0.25  # the whole range of float64 has no width in float64
    np.clip(out, low, high, out=out)  # NaN stays
    out *= shrink
    out -= low * shrink
    out /= (high - low) if shrink == 1.0 else high * shrink - low * shrink
    return out


def unit_to_bytes(unit: npt.NDArray[np.float64]) -> ByteArray:
    """0..1 to 0..255; NaN becomes 0."""
    return np.rint(np.nan_to_num(unit, nan=0.0) * 255.0).astype(np.uint8)


def scale_to_bytes(values: AnyArray, low: float, high: float) -> ByteArray:
    """``low`` and below become 0, ``high`` and above 255, linear between; NaN becomes 0; equal limits give 0.

    Works in blocks of rows, so that a large image does not cost several float copies of itself; of a line of numbers a
    block is as large as one of a picture.
    """
    out = np.zeros(values.shape, np.uint8)
    if high > low and values.size:
        step = max(_BLOCK_ROWS, _BLOCK_VALUES // (values.size // values.shape[0]))
        for start in range(0, values.shape[0], step):
            rows = slice(start, start + step)
            out[rows] = unit_to_bytes(scale_to_unit(values[rows], low, high))
    return out


def linear_limits(centre: float, width: float) -> tuple[float, float]:
    """The values of a DICOM window of the function LINEAR that are the last black and the first white (PS3.3
    C.11.2.1.2.1); equal for a width of 1. A width below 1 is taken as 1."""
    half = (max(width, 1.0) - 1.0) / 2.0
    return centre - 0.5 - half, centre - 0.5 + half


def apply_window(values: AnyArray, centre: float, width: float, function: str = "LINEAR") -> ByteArray:
    """A DICOM window (PS3.3 C.11.2.1.2): values to 0..255.

    Args:
        values: after the rescale, so in the window's own units.
        centre, width: of the window; a width below 1 is taken as 1 (LINEAR's own lower limit).
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".
    """
    x = values.astype(np.float64)
    if function == "SIGMOID":
        return np.rint(255.0 * sigmoid(x, centre, width)).astype(np.uint8)
    if function == "LINEAR_EXACT":
        half = max(width, 1e-6) / 2.0
        return scale_to_bytes(x, centre - half, centre + half)
    low, high = linear_limits(centre, width)
    if high > low:
        return scale_to_bytes(x, low, high)
    return np.where(x > low, 255, 0).astype(np.uint8)


def sigmoid(values: npt.NDArray[np.float64], centre: float, width: float) -> npt.NDArray[np.float64]:
    """DICOM's SIGMOID (PS3.3 C.11.2.1.3.1), 0..1."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / max(width, 1e-6)))


def flatten_alpha(rgb: ByteArray, alpha: ByteArray) -> ByteArray:
    """Lay H x W x 3 colours with H x W opacity on the mid-grey background."""
    if bool((alpha == 255).all()):
        return rgb
    out = np.empty_like(rgb)
    for start in range(0, rgb.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        a = alpha[rows, :, None].astype(np.uint32)
        mixed = rgb[rows] * a + np.uint32(ALPHA_BACKGROUND) * (255 - a)
        out[rows] = ((mixed + 127) // 255).astype(np.uint8)
    return out


def _data_values(values: AnyArray, where: BoolArray | None, step: int) -> AnyArray:
    flat = values.reshape(-1)[::step]
    kept = flat if where is None else flat[where.reshape(-1)[::step]]
    return kept[np.isfinite(kept)] if kept.dtype.kind == "f" else kept
