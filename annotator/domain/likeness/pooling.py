"""One vector for the pixels of a mask: the mean of a model's features over it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region
from annotator.domain.likeness.appearance import FloatArray
from annotator.domain.mask import Mask


def feature_grid(maps: Sequence[FloatArray], side: int) -> FloatArray:
    """All maps of an embedding on one grid: C x side x side float32.

    Args:
        maps: each C x h x w float32; the last one is RGB in 0..1, of which colour and spread are taken.
    """
    *levels, rgb = maps
    parts = [_to_side(level, side) for level in levels]
    colours = cv2.cvtColor(np.ascontiguousarray(rgb.transpose(1, 2, 0)), cv2.COLOR_RGB2LAB)
    lab = np.asarray(colours.transpose(2, 0, 1) / 100, np.float32)
    mean = _to_side(lab, side)
    spread = np.sqrt(np.clip(_to_side(lab * lab, side) - mean * mean, 0, None))
    return np.concatenate([*parts, mean, spread]).astype(np.float32)


def standard_of(grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of each of C channels over an image."""
    flat = grid.reshape(len(grid), -1)
    return flat.mean(1), flat.std(1) + np.float32(1e-4)


def pooled(grid: FloatArray, weight: FloatArray) -> FloatArray:
    """The mean over where ``weight`` (h x w, 0..1, stretched over the grid) is, C numbers."""
    side = grid.shape[1]
    small = _plane_to_side(weight, side)
    total = float(small.sum())
    return np.asarray((grid * small).sum((1, 2)) / max(total, 1e-6), np.float32)


def weight_in(mask: Mask, region: Region, side: int) -> FloatArray:
    """Which part of each cell a mask covers in a piece of its image: side x side, 0..1."""
    full = np.zeros((region.height, region.width), np.uint8)
    rows, columns = mask.bits.shape
    x0, y0 = max(mask.x, region.x0), max(mask.y, region.y0)
    x1, y1 = min(mask.x + columns, region.x1), min(mask.y + rows, region.y1)
    if x1 > x0 and y1 > y0:
        piece = mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x]
        full[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = piece * np.uint8(255)
    small = cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def cosine(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))


def _to_side(level: FloatArray, side: int) -> FloatArray:
    return np.stack([_plane_to_side(plane, side) for plane in level])


def _plane_to_side(plane: FloatArray, side: int) -> FloatArray:
    if plane.shape == (side, side):
        return plane
    how = cv2.INTER_AREA if plane.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=how), np.float32)
