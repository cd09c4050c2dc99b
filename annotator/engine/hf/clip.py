"""CLIP and SigLIP: which words a picture of an object goes with. They rank masks, and name objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.named import named_proposal, settled
from annotator.domain.brevity import brief
from annotator.domain.errors import EncodeCancelled, ModelError
from annotator.domain.mask import Mask
from annotator.domain.ports.concept import LEAST_SCORE, ConceptAsk, ConceptImage
from annotator.domain.ports.engine import AnswersEverything, EverythingStep, ModelInfo, RgbArray
from annotator.domain.ports.naming import NameGuess
from annotator.engine.devices import memory_errors
from annotator.engine.hf.boxes import CLIP_MEAN, CLIP_STD, normalised
from annotator.engine.hf.door import open_model, open_processor
from annotator.engine.hf.info import info_of, on_device
from annotator.engine.hf.loading import place_of
from annotator.engine.hf.surroundings import with_surroundings
from annotator.engine.hf.words import token_ids
from annotator.engine.specs import ModelSource

MARGIN = 0.1
"""How much of its surroundings a picture of an object shows on each side, of its longer side."""
BATCH = 8
TEMPLATES = ("a photo of a {}.", "a close-up of a {}.", "a picture of the {}.", "many {}.", "{}")
OTHERS = (
    *("background", "texture", "wall", "floor", "sky", "shadow", "grass", "water", "paper", "edge"),
    *("person", "animal", "plant", "vehicle", "building", "furniture", "tool", "text", "food", "stone"),
)
"""What else a thing may be: without them whatever was asked for would always be there."""


class ClipRanker:
    """Vectors of pictures and of words, compared. Not for several threads at once."""

    def __init__(self, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self._model, self._tokenizer, self._info = model, tokenizer, info
        self._device: torch.device = next(model.parameters()).device
        self._words: dict[str, Tensor] = {}
        is_siglip = "siglip" in str(model.config.model_type)
        self._mean, self._std = ((0.5,) * 3, (0.5,) * 3) if is_siglip else (CLIP_MEAN, CLIP_STD)
        self._source = "siglip" if is_siglip else "clip"

    @property
    def info(self) -> ModelInfo:
        return self._info

    def steps(
        self, image: ConceptImage, ask: ConceptAsk, *, has_to_yield: Callable[[], bool] | None = None
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.concept.Finder`: everything first, then its masks in batches."""
        segmenter = image.segmenter
        if not isinstance(segmenter, AnswersEverything):
            raise ModelError(f"{brief(segmenter.info.name)} cannot segment everything.", "Choose another model.")
        masks: tuple[Proposal, ...] = ()
        settings = segmenter.everything_settings
        done = total = 1
        embedding = None
        while embedding is None:
            try:
                embedding = image.embedding()
            except EncodeCancelled:  # something more urgent waits
                yield EverythingStep(0, 0, None)
        for step in segmenter.everything(embedding, image.rgb, settings, has_to_yield=has_to_yield):
            masks = step.proposals if step.proposals is not None else masks
            done, total = step.done, step.total
            yield EverythingStep(done, 2 * total, None)
        found: list[Proposal] = []
        for start in range(0, len(masks), BATCH):
            found += self._ranked(image.rgb, masks[start : start + BATCH], ask)
            share = total * (start + BATCH) // len(masks)
            if start + BATCH < len(masks):
                yield EverythingStep(total + share, 2 * total, settled(found, ask.phrases, ask.limit))
        yield EverythingStep(2 * total, 2 * total, settled(found, ask.phrases, ask.limit), is_last=True)

    def names(self, image: RgbArray, mask: Mask, classes: Sequence[str]) -> tuple[NameGuess, ...]:
        """See :class:`annotator.domain.ports.naming.Namer`: one of the classes, or nothing."""
        if not classes:
            return ()
        scores = self._scores(image, [mask], list(classes))[0]
        order = np.argsort(-scores).tolist()
        return tuple(NameGuess(classes[at], float(scores[at]), self._source, self._info.name) for at in order)

    def _ranked(self, image: RgbArray, masks: Sequence[Proposal], ask: ConceptAsk) -> list[Proposal]:
        scores = self._scores(image, [one.mask for one in masks], list(ask.phrases.all))
        found = []
        for one, row in zip(masks, scores, strict=True):
            best = int(row.argmax())
            score = float(row[best]) * min(max(one.predicted_iou, 0.0), 1.0)
            if score >= LEAST_SCORE:
                found.append(named_proposal(one.mask, score, one.stability_score, ask.phrases.all[best]))
        return found

    @torch.inference_mode()
    def _scores(self, image: RgbArray, masks: Sequence[Mask], phrases: list[str]) -> npt.NDArray[np.float64]:
        """Masks x phrases, 0..1: the share of a phrase among all phrases and :data:`OTHERS`."""
        side = int(self._model.config.vision_config.image_size)
        known = {phrase.casefold() for phrase in phrases}
        others = [word for word in OTHERS if word not in known]
        with memory_errors("Close other programs or use a smaller model."):
            words = torch.stack([self._word(phrase) for phrase in (*phrases, *others)])
            crops = np.stack([crop for mask in masks for crop in crops_of(image, mask, side)])
            pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).to(self._device).float() / 255
            found = self._model.get_image_features(pixel_values=normalised(pixels, self._mean, self._std))
            vectors = _unit(getattr(found, "pooler_output", found)).reshape(len(masks), 2, -1).mean(1)
            logits = _unit(vectors) @ words.T * self._model.logit_scale.exp()
        shares = logits.double().softmax(1)[:, : len(phrases)]
        result: npt.NDArray[np.float64] = shares.cpu().numpy()
        return result

    def _word(self, phrase: str) -> Tensor:
        known = self._words.get(phrase)
        if known is None:
            most = int(self._model.config.text_config.max_position_embeddings)
            texts = [template.format(phrase.replace("{", "(")) for template in TEMPLATES]
            ids, mask = (part.to(self._device) for part in token_ids(self._tokenizer, texts, most=most))
            found = self._model.get_text_features(input_ids=ids, attention_mask=mask)
            known = self._words[phrase] = _unit(_unit(getattr(found, "pooler_output", found)).mean(0))
        return known


def crops_of(image: RgbArray, mask: Mask, side: int) -> tuple[RgbArray, RgbArray]:
    """An object as it lies in the image, and alone on the mean colour: two squares of side x side x 3."""
    piece, inside = with_surroundings(image, mask, MARGIN)
    alone = np.where(inside[..., None], piece, piece.reshape(-1, 3).mean(0).astype(np.uint8))
    plain, bare = (
        np.asarray(cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA), np.uint8) for one in (piece, alone)
    )
    return plain, bare


def load(source: ModelSource) -> ClipRanker:
    """As a family of the registry, for words and for names.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    tokenizer = open_processor(place, "AutoTokenizer")
    model, device = on_device(open_model(place, "AutoModel", model_types=("clip", "siglip")), source.device)
    return ClipRanker(model, tokenizer, info_of(source, model, device, int(model.config.vision_config.image_size)))


def _unit(vectors: Tensor) -> Tensor:
    found: Tensor = vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min(1e-9)
    return found
