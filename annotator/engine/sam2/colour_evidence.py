"""Colour evidence: how much more a cell's colour looks like the object than like its surroundings.

The classical idea of interactive segmentation (Boykov and Jolly, ICCV 2001; GrabCut, SIGGRAPH 2004): colour models of
foreground and background, taken from what the prompts say, compared cell by cell. Here the models are smoothed
histograms and nothing is cut: the network that reads the evidence decides where the object ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA_BINS, CHROMA_BINS = 16, 8
LIMIT_LOGIT = 4.0
_SPREAD_FLOOR = (0.03, 0.015, 0.015)
_SMOOTHING = 2e-4


def colour_bins(thumbnail: Tensor) -> Tensor:
    """The histogram bin of every cell, relative to the picture's own contrast.

    Args:
        thumbnail: B x 3 x h x w float RGB in 0..1.

    Returns:
        B x h*w int64 in 0..LUMA_BINS * CHROMA_BINS ** 2 - 1.
    """
    red, green, blue = thumbnail.float().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = torch.stack([luma, blue - luma, red - luma], 1).flatten(2)
    floor = planes.new_tensor(_SPREAD_FLOOR)[None, :, None]
    centred = planes - planes.mean(2, keepdim=True)
    spread = centred.square().mean(2, keepdim=True).sqrt()  # on a CPU much quicker than std
    share = torch.sigmoid(1.6 * (centred / spread.clamp_min(floor)))  # about uniform for bell-shaped values
    sizes = (LUMA_BINS, CHROMA_BINS, CHROMA_BINS)
    luma_bin, blue_bin, red_bin = ((share[:, i] * n).long().clamp(0, n - 1) for i, n in enumerate(sizes))
    return (luma_bin * CHROMA_BINS + blue_bin) * CHROMA_BINS + red_bin


def log_ratio(bins: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """log p(colour | object) - log p(colour | surroundings) for every cell.

    Args:
        bins: B x n from :func:`colour_bins`; inside, outside: B x n weights >= 0.

    Returns:
        B x n float32 within +-LIMIT_LOGIT; 0 where there is nothing to learn a model from.
    """
    count = LUMA_BINS * CHROMA_BINS * CHROMA_BINS
    weights = torch.stack([inside, outside], 1)
    histogram = weights.new_zeros(bins.shape[0], 2, count)
    histogram.scatter_add_(2, bins[:, None].expand(-1, 2, -1), weights)
    total = histogram.sum(2, keepdim=True)
    grid = histogram.view(-1, 2, LUMA_BINS, CHROMA_BINS, CHROMA_BINS)
    for axis in (2, 3, 4):
        grid = _blurred(grid, axis)
    share = grid.flatten(2) / total.clamp_min(1e-6) + _SMOOTHING
    ratio = (share[:, 0] / share[:, 1]).log().clamp(-LIMIT_LOGIT, LIMIT_LOGIT)
    ratio = torch.where((total > 0).all(1), ratio, torch.zeros_like(ratio))
    return ratio.gather(1, bins)


def _blurred(grid: Tensor, axis: int) -> Tensor:
    """1 2 1 along an axis; what would leave the grid stays at its edge."""
    size = grid.shape[axis]
    first, last = grid.narrow(axis, 0, 1), grid.narrow(axis, size - 1, 1)
    below = torch.cat([first, grid.narrow(axis, 0, size - 1)], axis)
    above = torch.cat([grid.narrow(axis, 1, size - 1), last], axis)
    return 0.25 * below + 0.5 * grid + 0.25 * above


def mean_of_nine(grid: Tensor) -> Tensor:
    """The mean of every cell and its neighbours, up to nine: B x K x h x w. Quicker than avg_pool2d on a CPU."""
    for axis in (2, 3):
        size = grid.shape[axis]
        total = grid.clone()
        total.narrow(axis, 1, size - 1).add_(grid.narrow(axis, 0, size - 1))
        total.narrow(axis, 0, size - 1).add_(grid.narrow(axis, 1, size - 1))
        count = torch.full((size, 1) if axis == 2 else (size,), 3.0, device=grid.device)
        count[0] -= 1
        count[-1] -= 1
        grid = total.div_(count)
    return grid


def colour_evidence(
    thumbnail: Tensor, prior: Tensor, allowed: Tensor, *, trusted: Tensor | None = None, rounds: int = 3
) -> Tensor:
    """Evidence for the object from colour alone, learned from a prior and sharpened by its own answer.

    Args:
        thumbnail: B x 3 x h x w float RGB in 0..1 (B may be 1).
        prior: B x 1 x h x w in 0..1, how likely a cell belongs to the object before its colour is looked at.
        allowed: B x 1 x h x w in 0..1; where it is 0 the object cannot be (outside a box).
        trusted: B x 1 x h x w in 0..1, how much a cell may teach the background's model; all when None.
        rounds: how often the models are learned.

    Returns:
        B x 1 x h x w float32 within +-LIMIT_LOGIT.
    """
    batch, _, rows, columns = prior.shape
    bins = colour_bins(thumbnail).expand(batch, -1)
    start = prior.float().flatten(1).clamp(0.0, 1.0)
    gate = allowed.float().flatten(1)
    teaches = torch.ones_like(start) if trusted is None else trusted.float().flatten(1)
    prior_logit = torch.logit(start, eps=1e-3)
    belief = start * gate
    ratio = torch.zeros_like(start)
    for _ in range(rounds):
        ratio = log_ratio(bins, belief, (1.0 - belief) * teaches)
        smooth = mean_of_nine(ratio.view(batch, 1, rows, columns))
        belief = torch.sigmoid(prior_logit + smooth.flatten(1)) * gate
    return smooth
