"""What is the same for every promptable family of the library: from a file or folder to a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine import bundles
from annotator.engine.devices import pick_device
from annotator.engine.hf.layout import Preprocessing
from annotator.engine.hf.segmenter import HubSegmenter, Network, RawMasks
from annotator.engine.precision import in_best_precision
from annotator.engine.specs import ModelSource

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PromptNetwork:
    """A network whose ``get_image_embeddings`` and call are those that most families of the library share.

    Args:
        model: evaluation mode.
        preprocessing: of its images.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        self.model, self.preprocessing = model, preprocessing
        prompts = model.config.prompt_encoder_config
        self.mask_side = 4 * (int(prompts.image_size) // int(prompts.patch_size))

    def levels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """See :class:`annotator.engine.hf.segmenter.Network`."""
        found = self.model.get_image_embeddings(pixels)
        return tuple(found) if isinstance(found, list | tuple) else (found,)

    def answer(
        self,
        levels: tuple[Tensor, ...],
        *,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask: bool,
    ) -> RawMasks:
        """See :class:`annotator.engine.hf.segmenter.Network`."""
        found = self.model(
            image_embeddings=levels[0] if len(levels) == 1 else list(levels),
            input_points=points,
            input_labels=labels,
            input_boxes=boxes,
            input_masks=masks,
            multimask_output=multimask,
        )
        score = getattr(found, "object_score_logits", None)
        return RawMasks(found.pred_masks[0], found.iou_scores[0], None if score is None else score[0])


def place_of(source: ModelSource) -> Path:
    """Where a model lies.

    Raises:
        ModelError: it is not here.
    """
    if source.path is None:
        raise ModelError(f"The model {brief(source.name)} is not on this computer.")
    return source.path


def segmenter_of(source: ModelSource, network: Network) -> HubSegmenter:
    """A network on the device that was asked for, in the arithmetic that suits it.

    Raises:
        ModelError: no such device.
    """
    place, entry = place_of(source), source.entry
    device = pick_device(source.device)
    note = "" if source.is_verified else f"{brief(place.name)} is not verified"
    try:
        network.model.to(device)
    except torch.OutOfMemoryError:
        network.model.to("cpu")
        device, note = torch.device("cpu"), "The graphics card has too little memory; the processor is used."
    digest = bundles.digest_of(place)

    def build(kind: torch.dtype) -> HubSegmenter:
        info = ModelInfo(
            name=source.name,
            sha256=digest,
            device=device.type,
            dtype=str(kind).removeprefix("torch."),
            image_size=network.preprocessing.side,
            is_verified=source.is_verified,
            note=note,
            path="" if entry else str(place.absolute()),
        )
        return HubSegmenter(network, info, dtype=kind)

    return in_best_precision(build, device, source.dtype, weights_sha256=digest, say=source.say)
