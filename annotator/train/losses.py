"""Losses on low-resolution logits, one number per sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """2 BCE + 5 focal + dice per sample (focal: Lin et al. 2017, gamma 2; dice: Milletari et al. 2016).

    Args:
        logits: B x K x h x w; target: B x 1 x h x w in 0..1 (soft edges allowed), broadcast over K.

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
    return 2 * cross_entropy.mean(2) + 5 * focal + dice


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
