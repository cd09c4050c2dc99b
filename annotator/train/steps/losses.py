"""Losses on low-resolution logits, one number per sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Of the parts of :func:`mask_loss`.

    Attributes:
        cross_entropy, focal, dice: of the three losses.
        edge: how much more a cell of the outline counts in the cross entropy (0: as much as any other).
    """

    cross_entropy: float = 2.0
    focal: float = 5.0
    dice: float = 1.0
    edge: float = 0.0


DEFAULT_WEIGHTS = LossWeights()


def mask_loss(logits: Tensor, target: Tensor, weights: LossWeights = DEFAULT_WEIGHTS) -> Tensor:
    """Cross entropy, focal loss and dice per sample (focal: Lin et al. 2017, gamma 2; dice: Milletari et al. 2016).

    Args:
        logits: B x K x h x w; target: B x 1 x h x w in 0..1 (soft edges allowed), broadcast over K.
        weights: of the parts; 2, 5, 1 when not given.

    Returns:
        B x K.
    """
    target = target.expand_as(logits)
    x, t = logits.flatten(2), target.flatten(2)
    cross_entropy = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    p = x.sigmoid()
    miss = (p - t).abs()
    focal = (miss.square() * cross_entropy).mean(2)
    dice = 1 - (2 * (p * t).sum(2) + 1) / (p.sum(2) + t.sum(2) + 1)
    if weights.edge > 0:
        cross_entropy = cross_entropy * (1 + weights.edge * outline(target).flatten(2))
    return weights.cross_entropy * cross_entropy.mean(2) + weights.focal * focal + weights.dice * dice


def outline(target: Tensor) -> Tensor:
    """1 on the cells within one cell of an edge of ``target`` (B x K x h x w in 0..1), else 0."""
    inside = (target > 0.5).to(target.dtype)
    widest = F.max_pool2d(inside, 3, 1, 1)
    narrowest = -F.max_pool2d(-inside, 3, 1, 1)
    return widest - narrowest


def teacher_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy of a student's masks with a teacher's probabilities (Hinton et al. 2015), a mean over all.

    Args:
        logits, teacher: B x K x h x w logits of the same candidates.
    """
    return F.binary_cross_entropy_with_logits(logits, teacher.sigmoid())


@torch.no_grad()
def hard_iou(logits: Tensor, target: Tensor, hidden: Tensor | None = None) -> Tensor:
    """IoU of ``logits > 0`` with ``target > 0.5``, B x K; 1 when both are empty.

    Args:
        hidden: B, area of the true object beyond the window in cells, counted as missed; none when not given.
    """
    inside, truth = logits > 0, (target > 0.5).expand_as(logits)
    both = (inside & truth).flatten(2).sum(2)
    either = (inside | truth).flatten(2).sum(2) + (0 if hidden is None else hidden[:, None])
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both, dtype=torch.float32))
