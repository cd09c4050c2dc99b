"""OWLv2: boxes from words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from annotator.domain.ports.engine import RgbArray
from annotator.engine.hf.boxes import CLIP_MEAN, CLIP_STD, BoxFinder, FoundBox, boxes_of, normalised, scaled
from annotator.engine.hf.door import open_model, open_processor
from annotator.engine.hf.info import info_of, on_device
from annotator.engine.hf.loading import place_of
from annotator.engine.hf.words import token_ids
from annotator.engine.specs import ModelSource


class Owl:
    """OWLv2: a score for each phrase; the image lies in a grey square."""

    READS = 16
    """Tokens of a phrase; more raise an error in the library."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self._tokenizer = model, tokenizer
        self._device: torch.device = next(model.parameters()).device

    def boxes(self, image: RgbArray, phrases: Sequence[str]) -> list[FoundBox]:
        """Boxes of all phrases."""
        height, width = image.shape[:2]
        side, longer = int(self.model.config.vision_config.image_size), max(width, height)
        size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
        pixels = F.pad(scaled(image, size, self._device), (0, side - size[0], 0, side - size[1]), value=0.5)
        ids, mask = (part.to(self._device) for part in token_ids(self._tokenizer, phrases, most=self.READS))
        answer = self.model(pixel_values=normalised(pixels, CLIP_MEAN, CLIP_STD), input_ids=ids, attention_mask=mask)
        scores = answer.logits[0].float().sigmoid()
        return boxes_of(answer.pred_boxes[0].float(), scores, phrases, (longer, longer), (width, height))


def load(source: ModelSource) -> BoxFinder:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    tokenizer = open_processor(place, "AutoTokenizer")
    model, device = on_device(open_model(place, "Owlv2ForObjectDetection", model_types=("owlv2",)), source.device)
    side = int(model.config.vision_config.image_size)
    return BoxFinder(Owl(model, tokenizer), info_of(source, model, device, side))
