"""Small things done to masks while they are carried: boxes, parts, the deepest point, and what the colours say."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import RgbArray
from annotator.domain.prompt import PointPrompt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
KEPT_SHARE = 0.15
"""Parts smaller than this share of the largest one are torn off by flow, and go."""
BAND_SHARE = 0.1
"""How far from the outline colours decide, over the square root of the area."""
BAND_SIDE_PX = 320
_ROUNDS = 2
_LEAST_SAMPLES = 12


def box_of(mask: BoolArray, margin: float = 0.0) -> Box:
    """The box of a mask that is not empty, widened by a share of its longer side, inside the array."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    more = margin * max(x1 - x0, y1 - y0)
    height, width = mask.shape
    return Box(max(0.0, x0 - more), max(0.0, y0 - more), min(float(width), x1 + more), min(float(height), y1 + more))


def without_crumbs(mask: BoolArray) -> BoolArray:
    """Without parts that are much smaller than the largest."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = np.asarray(stats)[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.isin(labels, np.flatnonzero(areas >= KEPT_SHARE * areas.max()))


def deepest_point(mask: BoolArray) -> PointPrompt | None:
    """A click on the pixel that is furthest from the outline; None in a mask that is thinner than two pixels."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return None if depth[row, column] < 2 else PointPrompt(column - 0.5, row - 0.5, True)


def signed_distance(mask: BoolArray) -> FloatArray:
    """Distance to the outline in pixels, positive inside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return cast(FloatArray, inside - outside)


def by_colour(image: RgbArray, mask: BoolArray) -> BoolArray:
    """The mask with its outline moved to where colours change, in a band round it (GrabCut; Rother et al. 2004).

    Args:
        image: h x w x 3 uint8; mask: h x w, not empty.
    """
    box = box_of(mask, 0.35)
    x0, y0, x1, y1 = (int(value) for value in box.as_xyxy())
    scale = min(1.0, BAND_SIDE_PX / max(x1 - x0, y1 - y0))
    size = (max(8, round((x1 - x0) * scale)), max(8, round((y1 - y0) * scale)))
    small = cv2.resize(np.ascontiguousarray(image[y0:y1, x0:x1]), size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask[y0:y1, x0:x1].astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < _LEAST_SAMPLES:
        return mask
    distance = signed_distance(inside)
    band = max(1.5, BAND_SHARE * float(np.sqrt(np.count_nonzero(inside))))
    cut = _grab_cut(np.asarray(small, np.uint8), distance, band)
    if cut is None:
        return mask
    whole = (x1 - x0, y1 - y0)
    new = cv2.resize(cut.astype(np.float32), whole, interpolation=cv2.INTER_LINEAR) > 0.5
    near = cv2.resize((np.abs(distance) <= band).astype(np.uint8), whole, interpolation=cv2.INTER_NEAREST) > 0
    out = mask.copy()
    out[y0:y1, x0:x1] = np.where(near, new, mask[y0:y1, x0:x1])
    return without_crumbs(out) if out.any() else mask


def _grab_cut(small: RgbArray, distance: FloatArray, band: float) -> BoolArray | None:
    """None where the colours cannot be distinguished at all."""
    maybe = np.where(distance > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    trimap = np.where(distance > band, cv2.GC_FGD, np.where(distance < -band, cv2.GC_BGD, maybe)).astype(np.uint8)
    if not (np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).any() and np.isin(trimap, (cv2.GC_BGD, cv2.GC_PR_BGD)).any()):
        return None
    cv2.setRNGSeed(0)
    box: Any = None
    try:
        picture = np.ascontiguousarray(small)
        cv2.grabCut(picture, trimap, box, np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few different colours for its mixtures
        return None
    return np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))


def overlap(one: BoolArray, other: BoolArray) -> float:
    """IoU, 0..1; two empty masks agree (1)."""
    either = np.count_nonzero(one | other)
    return 1.0 if either == 0 else np.count_nonzero(one & other) / either
