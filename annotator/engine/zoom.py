"""Zoom-in: an object that covers little of the image is decoded on a piece of it that was encoded again.

A small encoder sees a small object in a handful of cells. So the box, or the first answer on the whole image, says
where to look, that piece is encoded once (kept with the image's embedding), and the object goes on there; back to a
wider piece when it grows over the edge. The person never sees it: masks come back in image pixels.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import cv2
import numpy as np
import torch

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports import Candidate, Candidates, Embedding, LogitsArray, ModelInfo, RgbArray, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.zoom import Region, zoom_region

WHOLE_SHARE = 0.6
"""A piece of more than this share of the image is not worth it: the whole image is taken."""
SMALL_SHARE = 0.3
"""An object whose longer side is less than this share of its piece is looked at more closely."""
OUTSIDE_LOGIT = -6.0
CROPS_KEPT = 4
ANSWERS_KEPT = 256


class CropSegmenter(Segmenter, Protocol):
    """A segmenter on a torch device, as :class:`~annotator.engine.sam2_backend.Sam2Segmenter` is."""

    @property
    def device(self) -> torch.device: ...


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
    def encode_ms(self) -> float:
        return self.base.encode_ms

    @property
    def nbytes(self) -> int:
        return self.base.nbytes * (1 + CROPS_KEPT) + self.image.nbytes


@dataclass(frozen=True, slots=True)
class _Answer:
    """Logits that were given out (kept, so that their identity stays theirs), where they lie, and the mask's box."""

    logits: LogitsArray
    region: Region
    box: Box | None


class ZoomSegmenter:
    """A segmenter that looks closer where the object is small. Not for several threads at once.

    Args:
        base: encodes and decodes pieces.
        margin: side of a piece over the longer side of the object's box; what the model was trained with.
    """

    def __init__(self, base: CropSegmenter, *, margin: float) -> None:
        self._base, self._margin = base, margin
        self._answers: OrderedDict[int, _Answer] = OrderedDict()

    @property
    def info(self) -> ModelInfo:
        return self._base.info

    @property
    def device(self) -> torch.device:
        return self._base.device

    @property
    def base(self) -> CropSegmenter:
        """The segmenter without zoom-in."""
        return self._base

    def embedding_key(self, image_key: str) -> str:
        """See :meth:`annotator.domain.ports.Segmenter.embedding_key`."""
        return self._base.embedding_key(image_key)

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> ZoomEmbedding:
        """See :meth:`annotator.domain.ports.Segmenter.encode`."""
        return ZoomEmbedding(self._base.encode(image, image_key, is_cancelled=is_cancelled), image)

    def decode(
        self, embedding: Embedding, prompts: Prompts, *, previous_logits: LogitsArray | None = None
    ) -> Candidates:
        """See :meth:`annotator.domain.ports.Segmenter.decode`. Logits belong to the piece that was looked at."""
        started = time.perf_counter()
        if not isinstance(embedding, ZoomEmbedding):
            raise TypeError("this engine decodes its own embeddings")
        previous = self._known(previous_logits)
        region = self._region(embedding, prompts, previous)
        found = self._decode_in(embedding, region, prompts, previous)
        if prompts.box is None and previous is None and prompts.base_mask is None:
            found, region = self._look_closer(embedding, prompts, found, region)
        for item in found.items:
            self._remember(item, region)
        return replace(found, decode_ms=(time.perf_counter() - started) * 1e3)

    def _look_closer(
        self, embedding: ZoomEmbedding, prompts: Prompts, found: Candidates, region: Region
    ) -> tuple[Candidates, Region]:
        """Clicks alone: the first answer says where to look, the second whether that was wide enough."""
        for _ in range(2):
            box = _mask_box(found.chosen.mask)
            if box is None:
                break
            wanted = self._wanted(embedding, _with_points(box, prompts))
            if wanted == region or (_longer(wanted) > 0.75 * _longer(region) and not _is_cut(box, region, embedding)):
                break
            region = wanted
            found = self._decode_in(embedding, region, prompts, None)
        return found, region

    def _region(self, embedding: ZoomEmbedding, prompts: Prompts, previous: _Answer | None) -> Region:
        whole = Region(0, 0, embedding.width, embedding.height)
        if not _is_finite(prompts):
            return whole  # where the segmenter refuses them
        if previous is not None:
            if previous.box is None:
                return previous.region
            box = _with_points(previous.box, prompts)
            fits = previous.region.covers(box) and not _is_cut(previous.box, previous.region, embedding)
            is_large = max(box.width, box.height) >= SMALL_SHARE * _longer(previous.region)
            return previous.region if fits and is_large else self._wanted(embedding, box)
        if prompts.box is not None:
            clipped = prompts.box.clipped(embedding.width, embedding.height)
            return self._wanted(embedding, _with_points(clipped, prompts)) if clipped.area > 0 else whole
        if prompts.base_mask is not None:
            box_of_mask = _mask_box(prompts.base_mask)
            return whole if box_of_mask is None else self._wanted(embedding, _with_points(box_of_mask, prompts))
        return whole

    def _wanted(self, embedding: ZoomEmbedding, box: Box) -> Region:
        width, height = embedding.width, embedding.height
        region = zoom_region(box, width=width, height=height, margin=self._margin)
        if region.width * region.height >= WHOLE_SHARE * width * height:
            return Region(0, 0, width, height)
        return region

    def _decode_in(
        self, embedding: ZoomEmbedding, region: Region, prompts: Prompts, previous: _Answer | None
    ) -> Candidates:
        """Candidates in image pixels from one piece."""
        whole = (embedding.width, embedding.height)
        logits = None if previous is None else _carried(previous, region)
        if (region.width, region.height) == whole:
            return self._base.decode(embedding.base, prompts, previous_logits=logits)
        piece = self._crop(embedding, region)
        found = self._base.decode(piece, _moved(prompts, region), previous_logits=logits)
        return replace(found, items=tuple(replace(c, mask=_placed(c.mask, region, whole)) for c in found.items))

    def _crop(self, embedding: ZoomEmbedding, region: Region) -> Embedding:
        kept = embedding.crops.get(region)
        if kept is None:
            pixels = np.ascontiguousarray(embedding.image[region.y0 : region.y1, region.x0 : region.x1])
            place = f"{region.x0},{region.y0},{region.x1},{region.y1}"
            kept = self._base.encode(pixels, f"{embedding.key}|{place}")
            embedding.crops[region] = kept
            while len(embedding.crops) > CROPS_KEPT:
                embedding.crops.popitem(last=False)
        embedding.crops.move_to_end(region)
        return kept

    def _known(self, logits: LogitsArray | None) -> _Answer | None:
        """Where given-back logits belong; None for logits too old to be remembered (the prompts then start anew)."""
        answer = None if logits is None else self._answers.get(id(logits))
        return answer if answer is not None and answer.logits is logits else None

    def _remember(self, candidate: Candidate, region: Region) -> None:
        self._answers[id(candidate.logits)] = _Answer(candidate.logits, region, _mask_box(candidate.mask))
        self._answers.move_to_end(id(candidate.logits))
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)


def _is_finite(prompts: Prompts) -> bool:
    values = [v for p in prompts.points for v in (p.x, p.y)]
    return all(map(math.isfinite, (*values, *(prompts.box.as_xyxy() if prompts.box else ()))))


def _longer(region: Region) -> int:
    return max(region.width, region.height)


def _mask_box(mask: Mask) -> Box | None:
    x, y, w, h = mask.bbox_xywh
    return None if w == 0 else Box(x, y, x + w, y + h)


def _with_points(box: Box, prompts: Prompts) -> Box:
    """The box widened to the positive clicks (a negative click outside it has nothing to take away)."""
    points = [point for point in prompts.points if point.is_positive]
    return Box(
        min([box.x0, *(p.x for p in points)]),
        min([box.y0, *(p.y for p in points)]),
        max([box.x1, *(p.x for p in points)]),
        max([box.y1, *(p.y for p in points)]),
    )


def _is_cut(box: Box, region: Region, embedding: ZoomEmbedding) -> bool:
    """Whether a mask reaches an edge of its piece that is not the image's edge."""
    return (
        (region.x0 > 0 and box.x0 <= region.x0)
        or (region.y0 > 0 and box.y0 <= region.y0)
        or (region.x1 < embedding.width and box.x1 >= region.x1)
        or (region.y1 < embedding.height and box.y1 >= region.y1)
    )


def _moved(prompts: Prompts, region: Region) -> Prompts:
    """Prompts in a piece's pixels; a negative click beyond it is later pulled to its edge, where nothing is."""
    points = tuple(PointPrompt(p.x - region.x0, p.y - region.y0, p.is_positive) for p in prompts.points)
    box, base = prompts.box, prompts.base_mask
    if box is not None:
        box = Box(box.x0 - region.x0, box.y0 - region.y0, box.x1 - region.x0, box.y1 - region.y0)
        box = box.clipped(region.width, region.height)
    if base is not None:
        base = _cut_out(base, region)
    return Prompts(points, box, base)


def _cut_out(mask: Mask, region: Region) -> Mask:
    h, w = mask.bits.shape
    x0, y0 = max(mask.x, region.x0), max(mask.y, region.y0)
    x1, y1 = max(x0, min(mask.x + w, region.x1)), max(y0, min(mask.y + h, region.y1))
    bits = mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x].copy()
    return Mask(bits, x0 - region.x0, y0 - region.y0, region.width, region.height)


def _placed(mask: Mask, region: Region, whole: tuple[int, int]) -> Mask:
    if mask.is_empty:
        return Mask.empty(*whole)
    return Mask(mask.bits, mask.x + region.x0, mask.y + region.y0, *whole)


def _carried(answer: _Answer, region: Region) -> LogitsArray:
    """An answer's logits on another piece: bilinear, ``OUTSIDE_LOGIT`` where the answer did not look."""
    if answer.region == region:
        return answer.logits
    rows, columns = answer.logits.shape
    scale_x, scale_y = region.width / answer.region.width, region.height / answer.region.height
    shift_x = (region.x0 - answer.region.x0) * columns / answer.region.width
    shift_y = (region.y0 - answer.region.y0) * rows / answer.region.height
    # Cell centres at +0.5 on both grids.
    matrix = np.array(
        [[scale_x, 0, shift_x + 0.5 * scale_x - 0.5], [0, scale_y, shift_y + 0.5 * scale_y - 0.5]], np.float64
    )
    carried = cv2.warpAffine(
        np.array(answer.logits, np.float32),
        matrix,
        (columns, rows),
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE_LOGIT,
    )
    return cast(LogitsArray, np.asarray(carried, np.float32))
