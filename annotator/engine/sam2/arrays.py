"""Prompts in image pixels as the tensors that a model takes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from annotator.domain.errors import PromptError
from annotator.domain.geometry import clamp_point
from annotator.domain.ports.engine import LogitsArray
from annotator.domain.prompt import Prompts
from annotator.engine.sam2.candidates import FED_BACK_LIMIT
from annotator.engine.sam2.mask_prompt import mask_to_logits


def prompt_arrays(
    prompts: Prompts, size: tuple[int, int], *, model_size: int, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Box corners and points scaled to the model's S x S square, or None, None for a mask prompt alone.

    Args:
        size: width and height of the image in pixels; points outside are pulled to its edge.

    Returns:
        1 x N x 2 float32 (x, y) and 1 x N int labels: 1 positive, 0 negative, 2 / 3 box corners.

    Raises:
        PromptError: a prompt is not finite, or the box covers nothing of the image.
    """
    width, height = size
    xy: list[tuple[float, float]] = []
    labels: list[int] = []
    try:
        if prompts.box is not None:
            box = prompts.box.clipped(width, height)
            if not all(math.isfinite(v) for v in prompts.box.as_xyxy()) or box.area <= 0:
                raise PromptError("The box does not cover any of the image.", "Draw it over the object.")
            xy += [(box.x0, box.y0), (box.x1, box.y1)]
            labels += [2, 3]
        for point in prompts.points:
            xy.append(clamp_point(point.x, point.y, width=width, height=height))
            labels.append(int(point.is_positive))
    except ValueError as error:
        raise PromptError("A prompt is not a position in the image.", str(error)) from error
    if not xy:
        return None, None
    scale = torch.tensor([model_size / width, model_size / height], dtype=torch.float32)
    points = torch.tensor([xy], dtype=torch.float32) * scale
    return points.to(device), torch.tensor([labels], dtype=torch.int, device=device)


def mask_input_of(
    prompts: Prompts, previous_logits: LogitsArray | None, *, side: int, device: torch.device
) -> Tensor | None:
    """The dense prompt 1 x 1 x side x side: the logits of the answer before, else the mask that is refined, else None.

    Raises:
        PromptError: the logits are of another model.
    """
    if previous_logits is not None:
        given = torch.from_numpy(np.array(previous_logits, np.float32))  # a copy: candidates are read-only
        if given.shape != (side, side):
            raise PromptError(f"Previous logits must be {side} x {side}.", "Start the object again.")
        return given.clamp(-FED_BACK_LIMIT, FED_BACK_LIMIT)[None, None].to(device)
    if prompts.base_mask is not None:
        return torch.from_numpy(mask_to_logits(prompts.base_mask, side))[None, None].to(device)
    return None
