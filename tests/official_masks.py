"""What SAM 2's own automatic mask generator finds with a model's weights, and how much of it ours finds, too."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import ModelInfo, RgbArray
from annotator.engine.sam2.segmenter import Sam2Segmenter

SAME_IOU = 0.95


def official_masks(model: Any, image: RgbArray, settings: EverythingSettings) -> list[Mask]:
    """With the settings that the two have in common."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's and torch.jit's own deprecations
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        generator = SAM2AutomaticMaskGenerator(
            model,
            points_per_side=settings.points_per_side,
            pred_iou_thresh=settings.pred_iou_thresh,
            stability_score_thresh=settings.stability_score_thresh,
            box_nms_thresh=settings.box_nms_thresh,
            crop_n_layers=settings.crop_n_layers,
            crop_nms_thresh=settings.crop_nms_thresh,
            output_mode="coco_rle",
        )
        side = int(model.image_size)
        generator.predictor._bb_feat_sizes = [(side // level,) * 2 for level in (4, 8, 16)]  # it knows 1024 pixels only
        found = generator.generate(image)
    height, width = image.shape[:2]
    return [Mask.from_rle(one["segmentation"]["counts"].encode(), width, height) for one in found]


def our_masks(model: Any, image: RgbArray, settings: EverythingSettings) -> list[Mask]:
    """In float32; without the suppression by masks, which the official generator does not have."""
    info = ModelInfo("parity", "0" * 64, "cpu", "float32", int(model.image_size))
    segmenter = Sam2Segmenter(model, info, dtype=torch.float32)
    found: Sequence[Proposal] = ()
    for step in segmenter.everything(segmenter.encode(image, "parity"), image, replace(settings, mask_nms_thresh=1.0)):
        found = step.proposals or ()
    return [proposal.mask for proposal in found]


def matched(ours: Sequence[Mask], official: Sequence[Mask]) -> float:
    """Share of the official masks that one of ours equals (IoU >= 0.95)."""
    return float(np.mean([max((mask.iou(one) for one in ours), default=0.0) >= SAME_IOU for mask in official]))
