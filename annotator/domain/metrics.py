"""How well two masks agree, and how many clicks it took.

Masks are boolean arrays, H x W, of the whole image. All functions are symmetric in their two masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


def iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union, 0..1; two empty masks agree (1).

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(first, second)
    either = int(np.count_nonzero(first | second))
    return 1.0 if either == 0 else int(np.count_nonzero(first & second)) / either


def dice(first: BoolArray, second: BoolArray) -> float:
    """Twice the intersection over the sum of areas, 0..1; two empty masks agree (1).

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(first, second)
    areas = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if areas == 0 else 2 * int(np.count_nonzero(first & second)) / areas


def boundary_iou(first: BoolArray, second: BoolArray, *, band: float = 0.02) -> float:
    """Intersection over union of the inner boundary bands (Cheng et al., "Boundary IoU", CVPR 2021), 0..1.

    The band of a mask is the mask without its erosion by a square of ``band`` times the image's diagonal (in pixels,
    rounded, at least 1). Beyond the image is background, so a mask's edge along the image's border counts.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(first, second)
    width_px = band_width_px(first.shape[1], first.shape[0], band=band)
    window = _common_window(first, second)
    if window is None:
        return 1.0
    return iou(_inner_band(first[window], width_px), _inner_band(second[window], width_px))


def band_width_px(width: int, height: int, *, band: float = 0.02) -> int:
    """Width of the boundary band in an image of ``width`` x ``height`` pixels."""
    return max(1, round(band * math.hypot(width, height)))


def hd95(first: BoolArray, second: BoolArray) -> float:
    """95th percentile Hausdorff distance of the outlines in pixels: the larger one of the two directions.

    The outline is made of the pixels with a neighbour (left, right, above, below) outside the mask; beyond the image is
    outside. Two empty masks are 0 apart, an empty and a filled one infinitely far.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(first, second)
    window = _common_window(first, second)
    if window is None:
        return 0.0
    one, two = _outline(first[window]), _outline(second[window])
    if not one.any() or not two.any():
        return math.inf
    return max(_directed_95(one, two), _directed_95(two, one))


def noc(ious: Sequence[float], threshold: float, *, cap: int) -> int:
    """Number of clicks until the IoU reaches ``threshold``; failures count as ``cap`` (the protocol's rule).

    Args:
        ious: after click 1, 2, ...
        threshold: 0..1, reached when IoU >= threshold.
        cap: largest number of clicks, at least 1.

    Raises:
        ValueError: cap is not positive.
    """
    if cap < 1:
        raise ValueError(f"the largest number of clicks must be positive, not {cap}")
    for clicks, value in enumerate(ious[:cap], start=1):
        if value >= threshold:
            return clicks
    return cap


def _check_shapes(first: BoolArray, second: BoolArray) -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"masks of one image are needed, not {first.shape} and {second.shape}")
    if first.dtype != np.bool_ or second.dtype != np.bool_:
        raise ValueError(f"boolean masks are needed, not {first.dtype} and {second.dtype}")


def _common_window(first: BoolArray, second: BoolArray) -> tuple[slice, slice] | None:
    """The smallest window that holds both masks; None when both are empty.

    Everything beyond it is background of both, inside and outside the image alike.
    """
    either = first | second
    rows = np.flatnonzero(either.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(either[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _inner_band(mask: BoolArray, width_px: int) -> BoolArray:
    # A square beyond the window's size erodes all there is: no need for a larger one.
    reach = min(width_px, max(mask.shape))
    padded = np.pad(mask.astype(np.uint8), reach)
    eroded: npt.NDArray[np.generic] = np.asarray(cv2.erode(padded, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
    return np.asarray(mask & (eroded[reach:-reach, reach:-reach] == 0))


def _outline(mask: BoolArray) -> BoolArray:
    cross = np.asarray(cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    eroded: npt.NDArray[np.generic] = np.asarray(cv2.erode(np.pad(mask.astype(np.uint8), 1), cross))
    return np.asarray(mask & (eroded[1:-1, 1:-1] == 0))


def _directed_95(outline: BoolArray, other: BoolArray) -> float:
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.percentile(np.asarray(distance)[outline], 95))
