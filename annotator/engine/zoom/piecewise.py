"""Pieces of an image, each encoded for itself: prompts go in, and answers come back in image pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from annotator.domain.answering.everything import FloatArray, GridAnswer
from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, RgbArray, Segmenter
from annotator.domain.prompt import Prompts
from annotator.engine.cache import StoredEmbedding
from annotator.engine.zoom.given_answers import GivenAnswer
from annotator.engine.zoom.pieces import carried, moved, placed

CROPS_KEPT = 24


class CropSegmenter(Segmenter, Protocol):
    """A segmenter on a torch device, as :class:`~annotator.engine.sam2.segmenter.Sam2Segmenter` is."""

    @property
    def device(self) -> torch.device: ...
    @property
    def adapter(self) -> Any: ...
    def set_adapter(self, adapter: Any) -> None: ...
    def stored(self, embedding: Embedding) -> StoredEmbedding: ...
    def restored(self, key: str, stored: StoredEmbedding, image: RgbArray) -> Embedding: ...
    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates:
        """See the engine's."""
        ...

    def decode_grid(self, embedding: Embedding, points_xy: FloatArray, *, least_iou: float) -> GridAnswer: ...
    def decode_each(self, requests: Sequence[tuple[Embedding, Prompts]], *, tidies: bool = False) -> list[Candidates]:
        """As decode, for first prompts on several embeddings."""
        ...


@dataclass(frozen=True, eq=False)
class ZoomEmbedding:
    """The whole image's embedding, the pixels, and the pieces that were looked at lately."""

    base: Embedding
    image: RgbArray
    crops: OrderedDict[Region, Embedding] = field(default_factory=OrderedDict)

    @property
    def key(self) -> str:
        return self.base.key

    @property
    def width(self) -> int:
        return self.base.width

    @property
    def height(self) -> int:
        return self.base.height

    @property
    def whole(self) -> Region:
        return Region(0, 0, self.width, self.height)

    @property
    def encode_ms(self) -> float:
        return self.base.encode_ms

    @property
    def nbytes(self) -> int:
        return self.base.nbytes * (1 + CROPS_KEPT) + self.image.nbytes


class Piecewise:
    """Asks a segmenter about pieces.

    Args:
        base: encodes and decodes them.
        tidies: whether small islands and holes are taken out of its masks (:mod:`annotator.domain.answering.tidy`).
    """

    def __init__(self, base: CropSegmenter, *, tidies: bool) -> None:
        self._base, self._tidies = base, tidies

    def decode(
        self, embedding: ZoomEmbedding, region: Region, prompts: Prompts, previous: GivenAnswer | None
    ) -> Candidates:
        """Candidates in image pixels from one piece."""
        logits = None if previous is None else carried(previous.candidate.logits, previous.region, region)
        embedded, inside = self._part(embedding, region, prompts)
        found = self._base.decode_from(logits, embedded, inside, tidies=self._tidies)
        return self._in_image(found, embedding, region)

    def decode_each(self, embedding: ZoomEmbedding, regions: Sequence[Region], prompts: Prompts) -> list[Candidates]:
        """First answers from several pieces, asked at once."""
        parts = [self._part(embedding, region, prompts) for region in regions]
        answers = self._base.decode_each(parts, tidies=self._tidies)
        return [self._in_image(found, embedding, region) for found, region in zip(answers, regions, strict=True)]

    def _part(self, embedding: ZoomEmbedding, region: Region, prompts: Prompts) -> tuple[Embedding, Prompts]:
        """A piece's embedding, and the prompts in its pixels."""
        if region == embedding.whole:
            return embedding.base, prompts
        return self.embedding(embedding, region), moved(prompts, region)

    def _in_image(self, found: Candidates, embedding: ZoomEmbedding, region: Region) -> Candidates:
        """A piece's answer in image pixels."""
        if region == embedding.whole:
            return found
        whole = (embedding.width, embedding.height)
        return replace(found, items=tuple(_in_image(c, region, whole) for c in found.items))

    def embedding(
        self, embedding: ZoomEmbedding, region: Region, is_cancelled: Callable[[], bool] | None = None
    ) -> Embedding:
        """A piece's own embedding; the latest ``CROPS_KEPT`` of an image are kept with it."""
        kept = embedding.crops.get(region)
        if kept is None:
            pixels = np.ascontiguousarray(embedding.image[region.y0 : region.y1, region.x0 : region.x1])
            place = f"{region.x0},{region.y0},{region.x1},{region.y1}"
            kept = self._base.encode(pixels, f"{embedding.key}|{place}", is_cancelled=is_cancelled)
            embedding.crops[region] = kept
            while len(embedding.crops) > CROPS_KEPT:
                embedding.crops.popitem(last=False)
        embedding.crops.move_to_end(region)
        return kept


def _in_image(candidate: Candidate, region: Region, whole: tuple[int, int]) -> Candidate:
    """A piece's candidate with its mask and its uncertainty in image pixels; the logits stay the piece's."""
    seen = candidate.uncertainty
    moved_map = None if seen is None else seen.moved(region.x0, region.y0)
    box = Box(region.x0, region.y0, region.x1, region.y1)
    return replace(candidate, mask=placed(candidate.mask, region, whole), uncertainty=moved_map, logits_box=box)
