"""Candidates of many single clicks at once, weighed at low resolution before anything is enlarged."""

from __future__ import annotations

import numpy as np
import torch

from annotator.domain.answering.everything import GridAnswer
from annotator.engine.sam2.fast_decoder import DecoderOutput


def grid_answer(output: DecoderOutput, least_iou: float) -> GridAnswer:
    """The candidates above a predicted IoU. The upscaler, the dear half of a decode, sees no hopeless prompt."""
    good = output.iou[:, 1:4] > least_iou
    rows = torch.nonzero(good.any(1)).flatten()
    if not rows.numel():
        nothing = np.zeros(0, np.int64)
        return GridAnswer(nothing, nothing, np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32))
    masks = output.masks(1, 4, rows)
    place, candidate = torch.nonzero(good[rows], as_tuple=True)
    logits = masks[place, candidate].float().cpu().numpy()
    iou = output.iou[:, 1:4][rows][place, candidate].float().cpu().numpy()
    return GridAnswer(rows[place].cpu().numpy(), candidate.cpu().numpy(), iou, logits)
