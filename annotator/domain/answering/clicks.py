"""The simulated annotator of the interactive-segmentation literature.

First click: the deepest point of the object. Every next one: the deepest point of the deepest error region, positive
where the prediction misses, negative where it spills (Xu et al., CVPR 2016; Sofiiuk et al., "RITM", ICIP 2022).
Ties are broken by the lowest row, then the lowest column, so that a run can be repeated to the click.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SimulatedClick:
    """A click at a pixel's centre (x, y in pixels, so always something .5)."""

    x: float
    y: float
    is_positive: bool


def depth(region: BoolArray) -> npt.NDArray[np.float32]:
    """Euclidean distance to the nearest pixel outside the region; beyond the image is outside. H x W float32."""
    padded = np.pad(region.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1], np.float32)


def next_click(prediction: BoolArray, target: BoolArray) -> SimulatedClick | None:
    """Where the standard protocol clicks next, or None when the prediction is perfect.

    Args:
        prediction, target: bool, H x W, the same shape.
    """
    missed, spilled = depth(target & ~prediction), depth(prediction & ~target)
    is_positive = bool(missed.max(initial=0.0) >= spilled.max(initial=0.0))
    depths = missed if is_positive else spilled
    deepest = float(depths.max(initial=0.0))
    if deepest == 0.0:
        return None
    row, column = np.unravel_index(int(np.argmax(depths >= deepest - 1e-4)), depths.shape)
    return SimulatedClick(float(column) + 0.5, float(row) + 0.5, is_positive)
