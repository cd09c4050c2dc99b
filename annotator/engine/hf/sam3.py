"""SAM 3: all that words name, and all that is like boxes, in one pass for each phrase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.logits import mask_from_logits, stability
from annotator.domain.answering.named import named_proposal, settled
from annotator.domain.errors import PromptError
from annotator.domain.ports.concept import LEAST_SCORE, ConceptAsk, ConceptImage
from annotator.domain.ports.engine import EverythingStep, ModelInfo
from annotator.engine.devices import memory_errors
from annotator.engine.hf.door import open_model, open_processor
from annotator.engine.hf.info import info_of, on_device
from annotator.engine.hf.layout import Preprocessing
from annotator.engine.hf.loading import place_of
from annotator.engine.hf.words import token_ids
from annotator.engine.specs import ModelSource

HALF = (0.5, 0.5, 0.5)
EXAMPLES_ALONE = "visual"
"""The word that stands for examples without words."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the model knows of the last image."""

    key: str
    features: Any


class Sam3Finder:
    """Words and boxes of the same image to masks. Not for several threads at once."""

    def __init__(self, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self._model, self._tokenizer, self._info = model, tokenizer, info
        self._device: torch.device = next(model.parameters()).device
        self._preprocessing = Preprocessing(info.image_size, HALF, HALF)
        self._seen: _Seen | None = None
        self._texts: dict[str, tuple[Any, Tensor]] = {}

    @property
    def info(self) -> ModelInfo:
        return self._info

    def steps(
        self, image: ConceptImage, ask: ConceptAsk, *, has_to_yield: Callable[[], bool] | None = None
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.concept.Finder`: a step for the image, and one for each phrase."""
        phrases = ask.phrases.all if ask.phrases.wanted else ("", *ask.phrases.unwanted)
        total = len(phrases) + 1
        self._look(image)
        yield EverythingStep(1, total, None)
        found: list[Proposal] = []
        for done, phrase in enumerate(phrases, 2):
            found += self._found(image, ask, phrase)
            wanted = replace(ask.phrases, wanted=ask.phrases.wanted or ("",))
            yield EverythingStep(done, total, settled(found, wanted, ask.limit), is_last=done == total)

    @torch.inference_mode()
    def _look(self, image: ConceptImage) -> None:
        if self._seen is not None and self._seen.key == image.key:
            return
        self._seen = None
        with memory_errors("Close other programs or use a smaller model."):
            pixels = self._preprocessing.tensor(image.rgb, self._device).to(self._model.dtype)
            self._seen = _Seen(image.key, self._model.get_vision_features(pixel_values=pixels))

    @torch.inference_mode()
    def _found(self, image: ConceptImage, ask: ConceptAsk, phrase: str) -> list[Proposal]:
        assert self._seen is not None
        height, width = image.rgb.shape[:2]
        boxes, labels = self._examples(ask, width, height)
        is_wanted = phrase not in ask.phrases.unwanted
        text, mask = self._text(phrase or EXAMPLES_ALONE)
        with memory_errors("Close other programs or use a smaller model."):
            answer = self._model(
                vision_embeds=self._seen.features,
                text_embeds=text,
                attention_mask=mask,
                input_boxes=boxes if is_wanted else None,
                input_boxes_labels=labels if is_wanted else None,
            )
            scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0].float().cpu().numpy()
        if not np.isfinite(scores).all():
            raise PromptError("The model gave no numbers for these words and boxes.", "Try others.")
        found = []
        for at in np.argsort(-scores)[: ask.limit].tolist():
            if scores[at] < LEAST_SCORE:
                break
            logits = answer.pred_masks[0, at].float().cpu().numpy()
            cut = mask_from_logits(logits, width=width, height=height)
            if not cut.is_empty:
                found.append(named_proposal(cut, float(scores[at]), stability(logits), phrase))
        return found

    def _text(self, phrase: str) -> tuple[Any, Tensor]:
        known = self._texts.get(phrase)
        if known is None:
            most = int(self._model.config.text_config.max_position_embeddings)
            ids, mask = (part.to(self._device) for part in token_ids(self._tokenizer, [phrase], most=most))
            known = self._texts[phrase] = (self._model.get_text_features(input_ids=ids, attention_mask=mask), mask)
        return known

    def _examples(self, ask: ConceptAsk, width: int, height: int) -> tuple[Tensor | None, Tensor | None]:
        """1 x N x 4 as middle and size in 0..1, and 1 x N signs; None without examples."""
        rows, signs = [], []
        for example in ask.examples:
            box = example.box.clipped(width, height)
            if box.area > 0:
                x, y = box.center
                rows.append([x / width, y / height, box.width / width, box.height / height])
                signs.append(int(example.is_positive))
        if not rows:
            return None, None
        boxes = torch.tensor([rows], dtype=self._model.dtype, device=self._device)
        return boxes, torch.tensor([signs], device=self._device)


def load(source: ModelSource) -> Sam3Finder:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    tokenizer = open_processor(place, "AutoTokenizer")
    model = open_model(place, "Sam3Model", model_types=("sam3", "sam3_video"))
    model, device = on_device(model, source.device)
    side = int(model.config.vision_config.backbone_config.image_size)
    return Sam3Finder(model, tokenizer, info_of(source, model, device, side))
