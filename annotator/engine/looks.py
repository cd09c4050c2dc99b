"""What examples look like, what is to be said of an answer beside them, and how both change with what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.likeness import pooling
from annotator.domain.likeness.appearance import Channels, FloatArray, PixelLooks, Size, learn_pixels, size_of, together
from annotator.domain.likeness.rating import MOST_TIMES_LARGER, Answer, heat_of
from annotator.domain.likeness.seeds import Pattern, patterns_of
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Embedding, RgbArray


@runtime_checkable
class ShowsFeatures(Protocol):
    """An embedding that can be looked into."""

    def feature_maps(self) -> tuple[FloatArray, ...]:
        """Feature levels, each C x h x w float32, the finest first, and at last RGB in 0..1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What the examples of a question look like.

    Attributes:
        vector: their mean pooled features, standardised by their own image.
        masks: of all of them, each with the key of its image.
        unlike: what of the image that is searched is not like them.
    """

    size: Size
    pixels: PixelLooks
    patterns: tuple[Pattern, ...]
    vector: FloatArray
    masks: tuple[tuple[str, Mask], ...]
    unlike: tuple[Mask, ...] = ()

    def are_of(self, scene: Scene) -> bool:
        """Whether all examples are of this image."""
        return all(key == scene.image_key for key, _ in self.masks)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image that is looked at: its pixels, the embedding of all of it, and that one's features."""

    image: RgbArray
    image_key: str
    embedding: Embedding
    maps: tuple[FloatArray, ...]
    standard: tuple[FloatArray, FloatArray]

    @property
    def whole(self) -> Region:
        return Region(0, 0, self.image.shape[1], self.image.shape[0])

    @property
    def deep(self) -> tuple[FloatArray, ...]:
        return self.maps[:2]


def answer_of(
    candidate: Candidate, grid: FloatArray, scene: Scene, looks: Looks, heat: FloatArray, at: int
) -> Answer | None:
    """What is to be said of a candidate; None for one that is no object like the examples by its size alone."""
    mask = candidate.mask.tight()
    log_size = math.log(max(mask.area, 1) / looks.size.area_px)
    if mask.is_empty or abs(log_size) > math.log(MOST_TIMES_LARGER):
        return None
    weight = np.asarray(1 / (1 + np.exp(-candidate.logits)), np.float32)
    vector = standardised(pooling.pooled(grid, weight), scene)
    inside, around = heat_of(mask, heat, looks.size.side_px)
    predicted = min(max(candidate.predicted_iou, 0.0), 1.0)
    alike = pooling.cosine(vector, looks.vector)
    return Answer(mask, predicted, candidate.stability, inside, around, alike, log_size, at, vector)


def learned_from(looks: Looks, found: Sequence[Answer], scene: Scene, channels: Channels) -> Looks:
    """What they look like, as the examples and what was found with certainty in the image that is searched say.

    An example counts twice as much as what was found.
    """
    masks = [one.mask for one in found]
    size = size_of([*(mask for _, mask in looks.masks), *masks])
    own = [mask for key, mask in looks.masks if key == scene.image_key]
    pixels = learn_pixels(channels, [*own, *masks], looks.unlike, size.side_px)
    if len(own) < len(looks.masks):
        pixels = together((looks.pixels, pixels))
    double = 2 * len(looks.masks)
    total = double * looks.vector + np.sum([one.vector for one in found], axis=0)
    vector = np.asarray(total / (double + len(found)), np.float32)
    patterns = patterns_of(scene.image, [*own, *masks], size)
    return replace(looks, size=size, pixels=pixels, patterns=patterns, vector=vector)


def seen_anew(answer: Answer, looks: Looks, heat: FloatArray) -> Answer:
    """An answer beside other looks, with their heat map."""
    inside, around = heat_of(answer.mask, heat, looks.size.side_px)
    alike = pooling.cosine(answer.vector, looks.vector)
    log_size = math.log(answer.mask.area / looks.size.area_px)
    return replace(answer, heat_inside=inside, heat_around=around, cosine=alike, log_size=log_size)


def maps_of(embedding: Embedding) -> tuple[FloatArray, ...]:
    if not isinstance(embedding, ShowsFeatures):
        raise TypeError("this engine looks into its own embeddings")
    return embedding.feature_maps()


def grid_of(maps: Sequence[FloatArray]) -> FloatArray:
    """All on the grid of the second level."""
    return pooling.feature_grid(maps, maps[1].shape[1])


def standardised(vector: FloatArray, scene: Scene) -> FloatArray:
    mean, spread = scene.standard
    return np.asarray((vector - mean) / spread, np.float32)
