"""Encoded windows as the tensors of a training pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator.engine.sam2.adapter_network import guide_input
from annotator.train.data.encoded import CachedWindow
from annotator.train.steps.adapter_losses import uncertain_band


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one batch of objects, B of them: features in float32, targets at label resolution and a quarter."""

    features: tuple[Tensor, Tensor, Tensor]
    thumbnail: Tensor
    guide_input: Tensor
    owner: Tensor
    masks: npt.NDArray[np.uint8]
    target: Tensor
    band: Tensor


def batch_of(windows: list[CachedWindow], device: torch.device) -> Batch:
    """Windows as tensors on a device, one row per object."""

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(w, name) for w in windows])

    def there(name: str) -> Tensor:
        return stacked(name).to(device).float()  # a card is sent half precision

    owner = torch.tensor([i for i, w in enumerate(windows) for _ in w.targets], device=device)
    masks = np.concatenate([w.targets for w in windows])
    bands = np.stack([uncertain_band(mask) for mask in masks])
    band = F.avg_pool2d(torch.from_numpy(bands)[:, None].float(), 4).to(device)
    return Batch(
        features=(there("fine"), there("coarse"), there("low")),
        thumbnail=there("thumbnail")[owner],
        guide_input=guide_input(stacked("thumbnail")).to(device),  # edges are found on the processor
        owner=owner,
        masks=masks,
        target=torch.from_numpy(masks)[:, None].to(device).float(),
        band=band,
    )
