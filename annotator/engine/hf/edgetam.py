"""EdgeTAM: SAM 2 with a small encoder (RepViT) for phones."""

from __future__ import annotations

from annotator.engine.hf.door import open_model
from annotator.engine.hf.layout import Preprocessing
from annotator.engine.hf.loading import IMAGENET_MEAN, IMAGENET_STD, PromptNetwork, place_of, segmenter_of
from annotator.engine.hf.segmenter import HubSegmenter
from annotator.engine.specs import ModelSource


def load(source: ModelSource) -> HubSegmenter:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    model = open_model(place_of(source), "EdgeTamModel", model_types=("edgetam", "edgetam_video"))
    side = int(model.config.prompt_encoder_config.image_size)
    return segmenter_of(source, PromptNetwork(model, Preprocessing(side, IMAGENET_MEAN, IMAGENET_STD)))
