"""Detectors that are asked in words: their boxes prompt the model in use, whose masks are proposed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.named import named_proposal, settled, without_herds
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.concept import ConceptAsk, ConceptImage
from annotator.domain.ports.engine import EverythingStep, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.engine.devices import memory_errors

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LEAST_BOX_SCORE = 0.15
"""Of the boxes below it most are noise, and each costs a decode."""
SAME_BOX_IOU = 0.7
LOOK_EVERY = 4
"""Boxes between two looks at what was found so far."""


@dataclass(frozen=True, slots=True)
class FoundBox:
    """A box in image pixels, its score 0..1, and its phrase."""

    box: Box
    score: float
    phrase: str


class Detector(Protocol):
    """Finds boxes. Attributes: model, of the library."""

    model: Any

    def boxes(self, image: RgbArray, phrases: Sequence[str]) -> list[FoundBox]: ...


class BoxFinder:
    """A detector and the model in use, one after the other. Not for several threads at once."""

    def __init__(self, detector: Detector, info: ModelInfo) -> None:
        self._detector, self._info = detector, info

    @property
    def info(self) -> ModelInfo:
        return self._info

    def steps(
        self, image: ConceptImage, ask: ConceptAsk, *, has_to_yield: Callable[[], bool] | None = None
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.concept.Finder`: a step for the boxes, and one for each of them."""
        with memory_errors("Close other programs or use a smaller model."), torch.inference_mode():
            boxes = self._detector.boxes(image.rgb, ask.phrases.all)
        boxes = best_boxes(boxes)[: ask.limit]
        total = len(boxes) + 1
        yield EverythingStep(1, total, None if boxes else (), is_last=not boxes)
        if not boxes:
            return
        embedding = None
        while embedding is None:
            try:
                embedding = image.embedding()
            except EncodeCancelled:  # something more urgent waits
                yield EverythingStep(1, total, None)
        found: list[Proposal] = []
        for done, one in enumerate(boxes, 2):
            try:
                answer = image.segmenter.decode(embedding, Prompts((), one.box)).chosen
            except PromptError:  # a box beside the image
                answer = None
            if answer is not None and not answer.mask.is_empty:
                score = one.score * min(max(answer.predicted_iou, 0.0), 1.0)
                found.append(named_proposal(answer.mask, score, answer.stability, one.phrase))
            is_last = done == total
            looks = is_last or done % LOOK_EVERY == 0
            yield EverythingStep(
                done, total, settled(found, ask.phrases, ask.limit) if looks else None, is_last=is_last
            )


def best_boxes(found: Sequence[FoundBox]) -> list[FoundBox]:
    """The best first: no herds, and of boxes that are nearly the same the most likely one."""
    kept: list[FoundBox] = []
    for phrase in dict.fromkeys(one.phrase for one in found):
        own = [one for one in found if one.phrase == phrase]
        kept += [own[at] for at in without_herds([one.box.as_xyxy() for one in own])]
    chosen: list[FoundBox] = []
    for one in sorted(kept, key=lambda one: -one.score):
        if all(_iou(one.box, other.box) <= SAME_BOX_IOU for other in chosen):
            chosen.append(one)
    return chosen


def _iou(one: Box, other: Box) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(0.0, width) * max(0.0, height)
    return both / max(one.area + other.area - both, 1e-9)


def boxes_of(
    boxes: Tensor, scores: Tensor, phrases: Sequence[str], scale_xy: tuple[float, float], size: tuple[int, int]
) -> list[FoundBox]:
    """Boxes N x 4 (middle and size in 0..1) with scores N x phrases, in image pixels.

    Args:
        scale_xy: pixels that 1 stands for; size: width and height of the image.

    Raises:
        PromptError: the model gave no numbers.
    """
    best, which = scores.max(1)
    if not bool(torch.isfinite(best).all()) or not bool(torch.isfinite(boxes).all()):
        raise PromptError("The model gave no numbers for these words.", "Try others.")
    found = []
    for at in torch.nonzero(best >= LEAST_BOX_SCORE).flatten().tolist():
        x, y, width, height = (boxes[at].double().cpu().numpy() * np.array([*scale_xy, *scale_xy])).tolist()
        box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2).clipped(*size)
        if box.width >= 1 and box.height >= 1:
            found.append(FoundBox(box, float(best[at]), phrases[int(which[at])]))
    return found


def scaled(image: RgbArray, size_wh: tuple[int, int], device: torch.device) -> Tensor:
    """H x W x 3 uint8 to 1 x 3 x height x width float32 in 0..1."""
    whole = torch.from_numpy(np.array(image, np.uint8, copy=not image.flags.writeable, order="C"))
    pixels = whole.permute(2, 0, 1)[None].to(device).float() / 255
    return F.interpolate(pixels, (size_wh[1], size_wh[0]), mode="bilinear", antialias=True)


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (pixels - torch.tensor(mean, device=pixels.device).view(1, 3, 1, 1)) / torch.tensor(
        std, device=pixels.device
    ).view(1, 3, 1, 1)


def settings_of(folder: Path) -> dict[str, Any]:
    """What a folder says of the preprocessing of images; nothing where it does not."""
    try:
        found = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
