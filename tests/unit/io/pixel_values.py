"""Numbers that images of every kind are made of, and what must be seen of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.io.images.display import ALPHA_BACKGROUND
from annotator.io.images.reading import load_image, load_thumbnail, read_size

RNG = np.random.default_rng(7)
SIDE = (24, 36)
RAMP = np.add.outer(np.arange(24) * 36, np.arange(36)).astype(np.float64) / (24 * 36 - 1)
COLOUR = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1] ** 2])
COLOUR8 = np.rint(COLOUR * 200 + 20).astype(np.uint8)
Values = npt.NDArray[Any]
NUMBERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


def stretched(values: Values, keep: Values | None = None) -> Values:
    """The rule, once more: 0.2 and 99.8 percentile of what is data to 0 and 255."""
    data = values if keep is None else values[keep]
    low, high = np.percentile(data.astype(np.longdouble).astype(np.float64), (0.2, 99.8))
    return np.asarray(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255)


def of_type(unit: Values, kind: str) -> Values:
    """0..1 to a range well inside the type's, off its ends."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return (unit * 900 - 300).astype(dtype)
    span = min(2.0 ** (8 * dtype.itemsize), 2.0**40)
    least = 0.1 * span - (span / 2 if dtype.kind == "i" else 0)
    return np.rint(unit * span * 0.7 + least).astype(dtype)


def on_grey(rgb: Values, share: Values) -> Values:
    return np.asarray(rgb * share[:, :, None] + ALPHA_BACKGROUND * (1 - share[:, :, None]))


def differs(path: Path, wanted: Values) -> float:
    loaded = load_image(path)
    wanted = wanted if wanted.ndim == 3 else np.dstack([wanted] * 3)
    assert loaded.rgb.shape == wanted.shape
    assert read_size(path) == (loaded.width, loaded.height)
    assert load_thumbnail(path, max_side=9).shape[2] == 3
    return float(np.abs(loaded.rgb.astype(np.float64) - wanted).max())


SILENT = """
import sys, warnings
from annotator.domain.errors import ImageError
from annotator.io.images.reading import load_image, load_thumbnail, read_size
for path in sys.argv[1:]:
    for work in (load_image, load_thumbnail, read_size):
        try:
            work(path)
        except ImageError:
            pass
"""
