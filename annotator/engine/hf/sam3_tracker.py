"""SAM 3 for clicks: its tracker, out of a folder of its own or of the one that holds the whole model."""

from __future__ import annotations

from annotator.engine.hf.door import open_model
from annotator.engine.hf.layout import Preprocessing
from annotator.engine.hf.loading import PromptNetwork, place_of, segmenter_of
from annotator.engine.hf.segmenter import HubSegmenter
from annotator.engine.specs import ModelSource

HALF = (0.5, 0.5, 0.5)


def load(source: ModelSource) -> HubSegmenter:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    model = open_model(place_of(source), "Sam3TrackerModel", model_types=("sam3_tracker", "sam3_video"))
    side = int(model.config.prompt_encoder_config.image_size)
    return segmenter_of(source, PromptNetwork(model, Preprocessing(side, HALF, HALF)))
