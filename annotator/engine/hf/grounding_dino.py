"""Grounding DINO and MM Grounding DINO: boxes from words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from annotator.domain.ports.engine import RgbArray
from annotator.engine.hf.boxes import BoxFinder, FoundBox, boxes_of, normalised, scaled, settings_of
from annotator.engine.hf.door import open_model, open_processor
from annotator.engine.hf.info import info_of, on_device
from annotator.engine.hf.loading import IMAGENET_MEAN, IMAGENET_STD, place_of
from annotator.engine.specs import ModelSource


class GroundingDino:
    """Grounding DINO and MM Grounding DINO: words in one sentence, a score for each of its tokens.

    Args:
        shorter, longer: sides that the image is scaled to, in pixels: the first, as far as the second allows.
    """

    def __init__(self, model: Any, tokenizer: Any, *, shorter: int = 800, longer: int = 1333) -> None:
        self.model, self._tokenizer, self._shorter, self._longer = model, tokenizer, shorter, longer
        self._device: torch.device = next(model.parameters()).device
        self._most = int(model.config.max_text_len)

    def boxes(self, image: RgbArray, phrases: Sequence[str]) -> list[FoundBox]:
        """Boxes of all phrases. A sentence that is too long is asked in several."""
        height, width = image.shape[:2]
        scale = min(self._shorter / min(width, height), self._longer / max(width, height))
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        pixels = normalised(scaled(image, size, self._device), IMAGENET_MEAN, IMAGENET_STD)
        found: list[FoundBox] = []
        for group in self._sentences(phrases):
            found += self._in_sentence(pixels, group, (width, height))
        return found

    def _sentences(self, phrases: Sequence[str]) -> Iterator[list[str]]:
        group: list[str] = []
        for phrase in phrases:
            if group and len(self._tokenizer(_sentence([*group, phrase]))["input_ids"]) > self._most:
                yield group
                group = []
            group.append(phrase)
        yield group

    def _in_sentence(self, pixels: Tensor, phrases: list[str], size: tuple[int, int]) -> list[FoundBox]:
        text = _sentence(phrases)
        read = self._tokenizer(
            text, truncation=True, max_length=self._most, return_tensors="pt", return_offsets_mapping=True
        )
        offsets = read["offset_mapping"][0].tolist()
        ids, mask = (read[name].to(self._device) for name in ("input_ids", "attention_mask"))
        answer = self.model(
            pixel_values=pixels,
            pixel_mask=torch.ones(pixels[:, 0].shape, dtype=torch.long, device=self._device),
            input_ids=ids,
            attention_mask=mask,
            token_type_ids=torch.zeros_like(ids),
        )
        tokens = answer.logits[0].float().sigmoid()
        scores, start = [], 0
        for phrase in phrases:
            span = (start, start + len(phrase))
            own = [at for at, (a, b) in enumerate(offsets) if b > a and a >= span[0] and b <= span[1]]
            scores.append(tokens[:, own].amax(1) if own else torch.zeros_like(tokens[:, 0]))
            start += len(phrase) + 2  # the dot and the blank
        return boxes_of(answer.pred_boxes[0].float(), torch.stack(scores, 1), phrases, size, size)


def _sentence(phrases: Sequence[str]) -> str:
    """Lower case, each phrase with a dot: what the model learned. The length of a phrase stays."""
    return " ".join(f"{_lowered(phrase)}." for phrase in phrases)


def _lowered(phrase: str) -> str:
    low = phrase.lower()
    return low if len(low) == len(phrase) else phrase


def load(source: ModelSource) -> BoxFinder:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    tokenizer = open_processor(place, "AutoTokenizer")
    is_mm = source.entry is not None and "mm" in source.entry.name.split("-")
    name = "MMGroundingDinoForObjectDetection" if is_mm else "GroundingDinoForObjectDetection"
    kind = "mm-grounding-dino" if is_mm else "grounding-dino"
    model, device = on_device(open_model(place, name, model_types=(kind,)), source.device)
    size = settings_of(place).get("size")
    sides = size if isinstance(size, dict) else {}
    shorter, longer = (min(4096, int(sides.get(f"{k}_edge", n))) for k, n in (("shortest", 800), ("longest", 1333)))
    return BoxFinder(
        GroundingDino(model, tokenizer, shorter=shorter, longer=longer), info_of(source, model, device, longer)
    )
