"""From measured values (16 bit, float, alpha) to the 8-bit RGB that is shown and encoded. Deterministic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
AnyArray = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]

DISPLAY_VERSION = 2
"""Part of every image key: a change of the rules below must not find old embeddings."""

LOW_PERCENT, HIGH_PERCENT = 0.2, 99.8
"""The stretch: outliers (hot pixels, burnt-in marks) must not darken everything else."""

ALPHA_BACKGROUND = 128
"""Transparent pixels are laid on mid-grey: both dark and light cut-outs stay visible, and it is near the mean that
segmentation models subtract."""

_SAMPLE_VALUES = 4_000_000


def percentile_range(values: AnyArray, *, where: BoolArray | None = None) -> tuple[float, float]:
    """The 0.2 and 99.8 percentile of finite values (their extremes when those coincide; (0, 1) when there are none).

    Args:
        values: any shape, real numbers; large arrays are sampled on a fixed grid.
        where: of the same shape; False for values that mean "no data" and do not count.
    """
    step = max(1, -(-values.size // _SAMPLE_VALUES))
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


def scale_to_bytes(values: AnyArray, low: float, high: float) -> ByteArray:
    """``low`` and below become 0, ``high`` and above 255, linear between; NaN becomes 0; equal limits give 0.

    Works in blocks of rows, so that a large image does not cost several float copies of itself.
    """
    out = np.zeros(values.shape, np.uint8)
    if not high > low:
        return out
    shrink = 1.0 if math.isfinite(high - low) else 0.25  # the whole range of float64 has no width in float64
    for start in range(0, values.shape[0], 256):
        block = values[start : start + 256].astype(np.float64)
        np.clip(block, low, high, out=block)  # NaN stays
        block *= shrink
        block -= low * shrink
        block /= (high - low) if shrink == 1.0 else high * shrink - low * shrink
        np.nan_to_num(block, copy=False, nan=0.0)
        block *= 255.0
        out[start : start + 256] = np.rint(block).astype(np.uint8)
    return out


def stretch_to_bytes(values: AnyArray, *, where: BoolArray | None = None) -> tuple[ByteArray, float, float]:
    """The robust stretch: 8-bit values and the limits that were used.

    Args:
        where: as in :func:`percentile_range`.
    """
    origin = 0
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        # Numbers of 64 bits do not fit into a float: what counts is how far they are from the least one.
        kept = values if where is None or not where.any() else values[where]
        origin = int(kept.min())
        values = values.astype(np.uint64) - np.uint64(origin % 2**64)
    low, high = percentile_range(values, where=where)
    return scale_to_bytes(values, low, high), low + origin, high + origin


def apply_window(values: AnyArray, centre: float, width: float, function: str = "LINEAR") -> ByteArray:
    """A DICOM window (PS3.3 C.11.2.1.2): values to 0..255.

    Args:
        values: after the rescale, so in the window's own units.
        centre, width: of the window; a width below 1 is taken as 1 (LINEAR's own lower limit).
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".
    """
    x = values.astype(np.float64)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.rint(255.0 / (1.0 + np.exp(-4.0 * (x - centre) / max(width, 1e-6)))).astype(np.uint8)
    if function == "LINEAR_EXACT":
        half = max(width, 1e-6) / 2.0
        return scale_to_bytes(x, centre - half, centre + half)
    width = max(width, 1.0)
    low, high = centre - 0.5 - (width - 1.0) / 2.0, centre - 0.5 + (width - 1.0) / 2.0
    if high > low:
        return scale_to_bytes(x, low, high)
    return np.where(x > low, 255, 0).astype(np.uint8)


def grey_to_rgb(grey: ByteArray) -> ByteArray:
    """H x W to H x W x 3."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def flatten_alpha(rgb: ByteArray, alpha: ByteArray) -> ByteArray:
    """Lay H x W x 3 colours with H x W opacity on the mid-grey background."""
    if bool((alpha == 255).all()):
        return rgb
    out = np.empty_like(rgb)
    for start in range(0, rgb.shape[0], 256):
        a = alpha[start : start + 256, :, None].astype(np.uint32)
        mixed = rgb[start : start + 256] * a + np.uint32(ALPHA_BACKGROUND) * (255 - a)
        out[start : start + 256] = ((mixed + 127) // 255).astype(np.uint8)
    return out


def orient(array: AnyArray, orientation: int) -> AnyArray:
    """Turn an H x W (x C) array upright by its EXIF/TIFF orientation 1..8 (other values: as it is)."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }
    return turned[orientation](array) if orientation in turned else array


def _data_values(values: AnyArray, where: BoolArray | None, step: int) -> AnyArray:
    flat = values.reshape(-1)[::step]
    kept = flat if where is None else flat[where.reshape(-1)[::step]]
    return kept[np.isfinite(kept)] if kept.dtype.kind == "f" else kept
