"""The paper's losses, equally weighted: final mask, refined / coarse mask where each is asked for, uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator.engine.sam2.adapter_network import AdapterMaps, upsampled
from annotator.train.steps.losses import hard_iou

BAND_SHARE = 0.005
"""Of the image's diagonal, on both sides of the outline."""
CELL_PX = 16
IOU_WEIGHT = 0.5
"""Of the predicted IoU's error. Not in the paper; but the tool ranks candidates by it, and the adapter moves its
token."""


@dataclass(frozen=True, slots=True)
class LossParts:
    """One batch's mean losses and mean IoU of the shown mask; ``total`` is what is trained on."""

    total: Tensor
    mask: float
    maps: float
    uncertainty: float
    iou: float


def bce_dice(logits: Tensor, target: Tensor, region: Tensor | None = None) -> Tensor:
    """BCE + dice per sample, inside of a region.

    Args:
        logits: B x K x H x W; target: B x 1 x H x W in 0..1; region: B x 1 x H x W of 0 and 1, None for everywhere.

    Returns:
        B x K; 0 where the region is empty.
    """
    target = target.expand_as(logits)
    inside = torch.ones_like(logits) if region is None else region.expand_as(logits)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    size = inside.flatten(2).sum(2)
    mean = (cross * inside).flatten(2).sum(2) / size.clamp_min(1)
    p = logits.sigmoid() * inside
    both, either = (p * target).flatten(2).sum(2), p.flatten(2).sum(2) + (target * inside).flatten(2).sum(2)
    dice = 1 - (2 * both + 1) / (either + 1)
    return (mean + dice) * (size > 0)


def adapter_loss(
    masks: Tensor, iou: Tensor, maps: AdapterMaps | None, target: Tensor, band: Tensor, *, is_ambiguous: bool
) -> LossParts:
    """All losses of a batch.

    Args:
        masks: B x 4 x 4h x 4w logits; iou: B x 4 predicted; maps: at h x w.
        target: B x 1 x S x S in 0..1, label resolution; band: B x 1 x 4h x 4w, share of the uncertain band.
        is_ambiguous: one click: the best of the three candidates learns, too, or they would be left behind.
    """
    size, quarter = target.shape[-2:], (int(masks.shape[-2]), int(masks.shape[-1]))
    small_target = F.interpolate(target, quarter, mode="area")
    shown, losses = masks[:, :1], bce_dice(_at(masks[:, :1], size), target)[:, 0]
    true_iou = hard_iou(masks, small_target)
    if is_ambiguous:
        candidates = bce_dice(masks[:, 1:], small_target)
        best = candidates.argmin(1, keepdim=True)
        losses = losses + candidates.gather(1, best)[:, 0] + 0.1 * candidates.mean(1)
        shown = masks.gather(1, (iou[:, 1:].argmax(1) + 1)[:, None, None, None].expand(-1, 1, *quarter))
        iou_loss = F.mse_loss(iou, true_iou)
    else:
        iou_loss = F.mse_loss(iou[:, :1], true_iou[:, :1])
    mask_loss = losses.mean()
    map_loss = uncertainty_loss = mask_loss.new_zeros(())
    if maps is not None:
        grid_hw = (quarter[0] // 4, quarter[1] // 4)
        uncertain, refined, coarse = (
            upsampled(m, grid_hw, quarter) for m in (maps.uncertainty, maps.refined, maps.coarse)
        )
        doubtful = (uncertain.detach() >= 0).float()
        in_doubt = bce_dice(refined, small_target, doubtful)
        elsewhere = bce_dice(coarse, small_target, 1 - doubtful)
        map_loss = (in_doubt + elsewhere).mean()
        uncertainty_loss = F.binary_cross_entropy_with_logits(uncertain, band)
    total = mask_loss + map_loss + uncertainty_loss + IOU_WEIGHT * iou_loss
    seen = float(hard_iou(shown, small_target).mean())
    return LossParts(total, float(mask_loss.detach()), float(map_loss.detach()), float(uncertainty_loss.detach()), seen)


def uncertain_band(target: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The band round an object's outline, on both sides.

    It is :data:`BAND_SHARE` of the diagonal wide, and half a cell of the embedding at least: on small inputs a thinner
    one could not be drawn on the decoder's grid (at 1024 pixels the two are the same).

    Args:
        target: S x S uint8 0/1.
    """
    side_px = max(target.shape)
    radius = round(max(BAND_SHARE * math.hypot(*target.shape), min(CELL_PX / 2, side_px / 16)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = cv2.dilate(target, kernel)
    # Beyond the window the object may go on: its edge along the window's border is no outline.
    shrunk = cv2.erode(target, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(grown - shrunk, np.uint8)


def _at(logits: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(logits, (int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
