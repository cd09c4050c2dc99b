"""A memory without training: what the object and its surroundings looked like, and where that is seen again.

Every cell of a new piece looks at the cells of remembered pieces that are most like it and takes over their label
(as in space-time memory networks; Oh et al., ICCV 2019), with an encoder's own features as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 40
"""Cells along a side of a piece."""
NEIGHBOURS = 8
TEMPERATURE = 0.07
RADIUS = 0.35
"""Only cells within this share of the piece are looked at: things do not jump across it between frames."""
KEPT = 3
"""Pieces: the first for ever, and the newest others."""


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    keys: Tensor
    """D x N, of unit length."""
    labels: Tensor
    """N, share of the cell that the object has."""


class FeatureMemory:
    """Of one object."""

    def __init__(self) -> None:
        self._bank: list[_Remembered] = []

    def add(self, descriptors: Tensor, inside: npt.NDArray[np.bool_]) -> None:
        """Remember a piece.

        Args:
            descriptors: D x CELLS x CELLS float32.
            inside: h x w, the object in the piece.
        """
        share = cv2.resize(inside.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
        labels = torch.from_numpy(share).reshape(-1).to(descriptors.device)
        self._bank.append(_Remembered(_unit(descriptors), labels))
        if len(self._bank) > KEPT:
            del self._bank[1]

    @torch.inference_mode()
    def look(self, descriptors: Tensor) -> npt.NDArray[np.float32]:
        """CELLS x CELLS float32 in 0..1: how much of each cell the object seems to have.

        Raises:
            ValueError: nothing is remembered.
        """
        if not self._bank:
            raise ValueError("nothing is remembered")
        keys = torch.cat([one.keys for one in self._bank], 1)
        labels = torch.cat([one.labels for one in self._bank])
        similarity = _unit(descriptors).T @ keys
        similarity.masked_fill_(_far(descriptors.device).repeat(1, len(self._bank)), -1.0)
        best, where = similarity.topk(NEIGHBOURS, dim=1)
        weights = torch.softmax(best / TEMPERATURE, dim=1)
        return np.asarray((weights * labels[where]).sum(1).reshape(CELLS, CELLS).cpu().numpy(), np.float32)


def agreement(seen: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> float:
    """IoU of what the memory sees with a mask of the piece, on the memory's cells, 0..1."""
    small = cv2.resize(inside.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA) >= 0.5
    either = np.count_nonzero(small | (seen > 0.5))
    return 1.0 if either == 0 else float(np.count_nonzero(small & (seen > 0.5)) / either)


def joined(parts: list[tuple[Tensor, float]], *, plain: tuple[Tensor, float]) -> Tensor:
    """Maps of one piece as one of CELLS x CELLS; (D1 + D2 + ...) x CELLS x CELLS float32.

    Args:
        parts: 1 x D x h x w each, with a weight; every cell's part is of unit length before it is weighted.
        plain: the same, but it keeps its length.
    """
    maps = [_at_cells(part).mul(weight) for part, weight in parts]
    return torch.cat([*maps, F.adaptive_avg_pool2d(plain[0].float(), CELLS).mul(plain[1])], 1)[0]


def plain_descriptors(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Of a piece's pixels (h x w x 3) alone, for models whose features are not known: colour, and edges at two scales
    and four directions."""
    small = cv2.resize(pixels, (4 * CELLS, 4 * CELLS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 255 - 0.5
    grey = lab[..., 0]
    edges = []
    for sigma in (1.0, 3.0):
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        edges += [np.abs(dx), np.abs(dy), np.abs(dx + dy), np.abs(dx - dy), smooth]
    stack = np.dstack([*(3 * lab[..., at] for at in range(3)), *edges])
    return torch.from_numpy(cv2.resize(stack, (CELLS, CELLS), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)


def _at_cells(part: Tensor) -> Tensor:
    unit = F.normalize(part.float(), dim=1)
    if unit.shape[-1] > CELLS:
        return F.normalize(F.adaptive_avg_pool2d(unit, CELLS), dim=1)
    if unit.shape[-1] < CELLS:
        return F.normalize(F.interpolate(unit, size=(CELLS, CELLS), mode="bilinear"), dim=1)
    return unit


def _unit(descriptors: Tensor) -> Tensor:
    return F.normalize(descriptors.float().reshape(descriptors.shape[0], -1), dim=0)


def _far(device: torch.device) -> Tensor:
    """N x N: which cells are too far from each other."""
    rows, columns = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
    places = torch.stack([rows.reshape(-1), columns.reshape(-1)], 1).float() / CELLS
    return (torch.cdist(places, places) > RADIUS).to(device)
