"""Pieces of an image, each encoded for itself: prompts go in, and answers come back in image pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from annotator.domain.answering.box_reach import reaching
from annotator.domain.answering.everything import FloatArray, GridAnswer
from annotator.domain.answering.logits import stability
from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, RgbArray, Segmenter
from annotator.domain.ports.together import Asked
from annotator.domain.prompt import Prompts
from annotator.engine.cache import StoredEmbedding
from annotator.engine.zoom.given_answers import GivenAnswer, piece_of
from annotator.engine.zoom.pieces import carried, moved, placed

CROPS_KEPT = 24


class PiecesTogether(Protocol):
    """As :class:`annotator.engine.sam2.together.Sam2Together`."""

    def encode(self, images: Sequence[tuple[RgbArray, str]]) -> list[Embedding]: ...
    def decode(self, asked: Sequence[Asked], *, most: int, tidies: bool = False) -> list[Candidates]:
        """See the engine's."""
        ...

    def staying(self) -> AbstractContextManager[None]: ...


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

    @property
    def together(self) -> PiecesTogether: ...


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
        if previous is None:
            found = self._reaching(found, inside)
        return self._in_image(found, embedding, region)

    def decode_each(self, embedding: ZoomEmbedding, regions: Sequence[Region], prompts: Prompts) -> list[Candidates]:
        """First answers from several pieces, asked at once."""
        parts = [self._part(embedding, region, prompts) for region in regions]
        answers = self._base.decode_each(parts, tidies=self._tidies)
        return [self._in_image(found, embedding, region) for found, region in zip(answers, regions, strict=True)]

    def decode_together(self, asked: Sequence[tuple[ZoomEmbedding, Region, Prompts]], *, most: int) -> list[Candidates]:
        """First answers from a piece each, of any images."""
        parts = [self._part(embedding, region, prompts) for embedding, region, prompts in asked]
        answers = self._base.together.decode(
            [Asked(e, (inside,)) for e, inside in parts], most=most, tidies=self._tidies
        )
        return [
            self._in_image(self._reaching(found, inside), embedding, region)
            for found, (_, inside), (embedding, region, _) in zip(answers, parts, asked, strict=True)
        ]

    def _reaching(self, found: Candidates, inside: Prompts) -> Candidates:
        """A box's first answers, cut so that they reach its sides (:mod:`annotator.domain.answering.box_reach`).

        Measured on embedded models alone, which are those whose masks are tidied.
        """
        if not self._tidies or inside.box is None or inside.points or inside.base_mask is not None:
            return found
        return replace(found, items=tuple(_reaching(c, inside.box) for c in found.items))

    def encode_together(self, wanted: Iterable[tuple[ZoomEmbedding, Region]], *, most: int) -> None:
        """Encode those pieces that are not kept yet, so many in a pass."""
        missing = [(e, region) for e, region in dict.fromkeys(wanted) if region != e.whole and region not in e.crops]
        for start in range(0, len(missing), most):
            some = missing[start : start + most]
            embedded = self._base.together.encode([_cut(embedding, region) for embedding, region in some])
            for (embedding, region), kept in zip(some, embedded, strict=True):
                _keep(embedding, region, kept)

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
            kept = self._base.encode(*_cut(embedding, region), is_cancelled=is_cancelled)
            _keep(embedding, region, kept)
        embedding.crops.move_to_end(region)
        return kept


def _cut(embedding: ZoomEmbedding, region: Region) -> tuple[RgbArray, str]:
    """A piece's pixels and their key."""
    pixels = np.ascontiguousarray(embedding.image[region.y0 : region.y1, region.x0 : region.x1])
    return pixels, f"{embedding.key}|{region.x0},{region.y0},{region.x1},{region.y1}"


def _reaching(candidate: Candidate, box: Box) -> Candidate:
    better = reaching(candidate.mask, candidate.logits, box)
    if better is None:
        return candidate
    mask, logits = better
    logits.setflags(write=False)
    return replace(candidate, mask=mask, logits=logits, stability=stability(logits))


def _keep(embedding: ZoomEmbedding, region: Region, kept: Embedding) -> None:
    embedding.crops[region] = kept
    while len(embedding.crops) > CROPS_KEPT:
        embedding.crops.popitem(last=False)


def _in_image(candidate: Candidate, region: Region, whole: tuple[int, int]) -> Candidate:
    """A piece's candidate with its mask and its uncertainty in image pixels; the logits stay the piece's."""
    seen = candidate.uncertainty
    moved_map = None if seen is None else seen.moved(region.x0, region.y0)
    box = Box(region.x0, region.y0, region.x1, region.y1)
    return replace(candidate, mask=placed(candidate.mask, region, whole), uncertainty=moved_map, logits_box=box)


def looked(found: Candidates, embedding: ZoomEmbedding) -> Candidates:
    """With whether the answer to show was found in a piece."""
    return replace(found, looked_closer=piece_of(found.chosen, embedding.whole) != embedding.whole)
