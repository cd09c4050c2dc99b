"""Small vision-language models: what an outlined object is, in a word or a line. What they say is data, never done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from annotator.domain.brevity import brief
from annotator.domain.errors import EncodeCancelled, ModelError
from annotator.domain.mask import Mask
from annotator.domain.naming import same_word
from annotator.domain.phrase import clean_phrase
from annotator.domain.ports.engine import ModelInfo, RgbArray
from annotator.domain.ports.naming import Description, NameGuess
from annotator.engine.devices import memory_errors
from annotator.engine.hf.door import open_model, open_processor
from annotator.engine.hf.info import info_of, on_device
from annotator.engine.hf.loading import place_of
from annotator.engine.hf.surroundings import with_surroundings
from annotator.engine.specs import ModelSource

MODEL_TYPES = ("idefics3", "qwen2_vl")
"""That were tried: SmolVLM's and Qwen2-VL's."""
LONGEST_SIDE, MARGIN = 384, 0.15
"""Of the picture that it is shown, in pixels; surroundings on each side, of the object's longer side."""
NAME_TOKENS, LINE_TOKENS = 12, 48
MOST_CLASSES = 40
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_OUTLINE = (255, 40, 40)
_SOURCE = "vlm"


class VisionLanguage:
    """Not for several threads at once."""

    def __init__(self, model: Any, processor: Any, info: ModelInfo) -> None:
        self._model, self._processor, self._info = model, processor, info
        self._device: torch.device = next(model.parameters()).device

    @property
    def info(self) -> ModelInfo:
        return self._info

    def names(self, image: RgbArray, mask: Mask, classes: Sequence[str]) -> tuple[NameGuess, ...]:
        """See :class:`annotator.domain.ports.naming.Namer`: one of the classes, or a noun that is none of them."""
        listed = ", ".join(classes[:MOST_CLASSES])
        which = f"Which of these is the outlined object: {listed}? Answer with one of them, or" if listed else "Answer"
        text, score = self._said(image, mask, f"{which} with a short noun.", NAME_TOKENS, lambda: False)
        text = _ARTICLE.sub("", text.strip(" .,:;!?\"'“”"))
        if not text:
            return ()
        known = next((one for one in classes if same_word(one, text)), text)
        return (NameGuess(known, score, _SOURCE, self._info.name),)

    def describes(self, image: RgbArray, mask: Mask, *, is_cancelled: Callable[[], bool]) -> Description:
        """See :class:`annotator.domain.ports.naming.Describer`."""
        question = "What is the outlined object? Describe it in one short sentence."
        text, score = self._said(image, mask, question, LINE_TOKENS, is_cancelled)
        return Description(text, score, _SOURCE, self._info.name, self._info.sha256)

    @torch.inference_mode()
    def _said(
        self, image: RgbArray, mask: Mask, question: str, most_tokens: int, is_cancelled: Callable[[], bool]
    ) -> tuple[str, float]:
        """The first line of its answer, cleaned, and the mean share of what it said among all that it could have."""
        content = [{"type": "image", "image": outlined(image, mask)}, {"type": "text", "text": question}]
        with memory_errors("Close other programs or use a smaller model."):
            asked = self._processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            ).to(self._device)
            found = self._model.generate(
                **asked,
                max_new_tokens=most_tokens,
                do_sample=False,
                num_beams=1,
                output_scores=True,
                return_dict_in_generate=True,
                stopping_criteria=[_stop_when(is_cancelled)],
            )
        if is_cancelled():
            raise EncodeCancelled
        said = found.sequences[0, asked["input_ids"].shape[1] :]
        shares = [
            float(step[0].float().log_softmax(-1)[token]) for step, token in zip(found.scores, said, strict=False)
        ]
        text = self._processor.decode(said, skip_special_tokens=True)
        lines = [line for one in text.splitlines() if (line := clean_phrase(one))]
        return (lines or [""])[0], math.exp(sum(shares) / len(shares)) if shares else 0.0


def outlined(image: RgbArray, mask: Mask) -> RgbArray:
    """An object with its surroundings and a red line round it, at most :data:`LONGEST_SIDE` pixels wide and high."""
    piece, own = with_surroundings(image, mask, MARGIN)
    scale = min(1.0, LONGEST_SIDE / max(piece.shape[:2]))
    size = (max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale)))
    piece = np.ascontiguousarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA))
    inside = np.asarray(cv2.resize(own.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST))
    rings, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(piece, rings, -1, _OUTLINE, 2)
    return np.asarray(piece, np.uint8)


def load(source: ModelSource) -> VisionLanguage:
    """As a family of the registry, for names and descriptions.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    processor = open_processor(place, "AutoProcessor")
    if getattr(processor, "chat_template", None) is None:
        raise ModelError(
            f"{brief(place.name)} has no chat template: it is no instruct model.", "Get the instruct model."
        )
    opened = open_model(place, "AutoModelForImageTextToText", model_types=MODEL_TYPES)
    model, device = on_device(opened, source.device)
    return VisionLanguage(model, processor, info_of(source, model, device, LONGEST_SIDE))


def _stop_when(is_cancelled: Callable[[], bool]) -> Callable[..., Any]:
    def stop(ids: torch.Tensor, _scores: Any, **_more: Any) -> torch.Tensor:
        return torch.full((len(ids),), is_cancelled(), dtype=torch.bool, device=ids.device)

    return stop
