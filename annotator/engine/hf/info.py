"""Where a model of the library runs, and what is recorded of it."""

from __future__ import annotations

from typing import Any

import torch

from annotator.domain.brevity import brief
from annotator.domain.ports.engine import ModelInfo
from annotator.engine import bundles
from annotator.engine.devices import pick_device
from annotator.engine.hf.loading import place_of
from annotator.engine.specs import ModelSource


def on_device(model: Any, wanted: str) -> tuple[Any, torch.device]:
    """The model on a device, or on the processor where the graphics card has no room for it.

    Raises:
        ModelError: no such device.
    """
    device = pick_device(wanted)
    try:
        return model.to(device), device
    except torch.OutOfMemoryError:
        return model.to("cpu"), torch.device("cpu")


def info_of(source: ModelSource, model: Any, device: torch.device, side: int) -> ModelInfo:
    """For every record of what the model has found."""
    place = place_of(source)
    return ModelInfo(
        name=source.name,
        sha256=bundles.digest_of(place),
        device=device.type,
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        image_size=side,
        is_verified=source.is_verified,
        note="" if source.is_verified else f"{brief(place.name)} is not verified",
        path="" if source.entry else str(place.absolute()),
    )
