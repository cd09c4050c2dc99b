"""From measured values (16 bit, float, alpha) to the 8-bit RGB that is shown and encoded, as the file itself says.

Another window that the person has chosen is applied by :mod:`annotator.domain.windowing`.
"""

from __future__ import annotations

import cv2
import numpy as np

from annotator.domain.greys import (
    ALPHA_BACKGROUND,
    AnyArray,
    BoolArray,
    ByteArray,
    apply_window,
    flatten_alpha,
    percentile_range,
    scale_to_bytes,
)

__all__ = [
    "ALPHA_BACKGROUND",
    "DISPLAY_VERSION",
    "AnyArray",
    "BoolArray",
    "ByteArray",
    "apply_window",
    "flatten_alpha",
    "grey_to_rgb",
    "orient",
    "percentile_range",
    "scale_to_bytes",
    "stretch_to_bytes",
]

DISPLAY_VERSION = 2
"""Part of every image key: a change of the rules below must not find old embeddings."""


def stretch_to_bytes(values: AnyArray, *, where: BoolArray | None = None) -> tuple[ByteArray, float, float]:
    """The robust stretch: 8-bit values and the limits that were used.

    Args:
        where: as in :func:`annotator.domain.greys.percentile_range`.
    """
    origin = 0
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        # Numbers of 64 bits do not fit into a float: what counts is how far they are from the least one.
        kept = values if where is None or not where.any() else values[where]
        origin = int(kept.min())
        values = values.astype(np.uint64) - np.uint64(origin % 2**64)
    low, high = percentile_range(values, where=where)
    return scale_to_bytes(values, low, high), low + origin, high + origin


def grey_to_rgb(grey: ByteArray) -> ByteArray:
    """H x W to H x W x 3."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB), np.uint8)


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
