"""Candidates of many single clicks at once, weighed at low resolution before anything is enlarged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from annotator.engine.sam2.fast_decoder import DecoderOutput

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GridAnswer:
    """K candidates of a batch of prompts.

    Attributes:
        prompt: K, the prompt that each answers; candidate: K, 0..2, which of its three.
        iou: K float32, predicted; logits: K x L x L float32, not clamped.
    """

    prompt: IntArray
    candidate: IntArray
    iou: FloatArray
    logits: FloatArray


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
