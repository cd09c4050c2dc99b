"""Zoom-in: an object that covers little of the image is decoded on a piece of it that was encoded again.

A small encoder sees a small object in a handful of cells. A box says where to look. Clicks do not say how large their
object is: the first is asked in pieces of several sizes round it, and the answers are rated against each other
(:mod:`annotator.domain.answering.hypotheses`). Later clicks go on in the piece of the answer that they correct, or with
another of the first answers when that explains all clicks better. Pieces are encoded once and kept with the image's
embedding. The person never sees any of this: masks come back in image pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from annotator.domain.answering.everything import Begun, EverythingSettings
from annotator.domain.answering.evidence import judge_click
from annotator.domain.answering.hypotheses import (
    SAME_IOU,
    USUAL,
    Calibration,
    Hypothesis,
    alternatives,
    is_cut,
    judge,
    pairwise_iou,
    rate,
    sampled_iou,
)
from annotator.domain.answering.nesting import names
from annotator.domain.answering.zoom import WHOLE_SHARE, Region, click_regions, zoom_region
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import (
    Candidate,
    Candidates,
    Embedding,
    EverythingStep,
    ModelInfo,
    RgbArray,
)
from annotator.domain.prompt import Prompts
from annotator.engine.cache import StoredEmbedding
from annotator.engine.like import LikeSearch
from annotator.engine.zoom.given_answers import GivenAnswer, GivenAnswers
from annotator.engine.zoom.pieces import is_finite, longer, mask_box, says_where, with_points
from annotator.engine.zoom.piecewise import CropSegmenter, Piecewise, ZoomEmbedding, looked
from annotator.engine.zoom.together import ZoomTogether, everything_run

SMALL_SHARE = 0.3
"""An object whose longer side is less than this share of its piece is looked at more closely."""
HYPOTHESES_KEPT = 32
CLOSER_LOOKS = 2
ALIKE_SIZES = 1.25
"""A piece this much smaller or larger than the last shows nothing new."""
ZOOMING_SETTINGS = EverythingSettings(
    points_per_side=20,
    pred_iou_thresh=0.3,
    stability_score_thresh=0.15,
    mask_nms_thresh=0.6,
    crop_n_layers=2,
    crop_n_points_downscale_factor=2,
    skips_flat=True,
    finds_blobs=True,
)
STAY_BONUS = 0.05
"""Added to the rating of an answer that goes on from what the person sees: it must not jump about."""


class ZoomSegmenter:
    """A segmenter that looks closer where the object is small. Not for several threads at once.

    Args:
        base: encodes and decodes pieces.
        margin: side of a piece over the longer side of the object's box; what the model was trained with.
        tidies: whether small islands and holes are taken out of its masks (:mod:`annotator.domain.answering.tidy`).
        calibration: how the model's answers are rated.
    """

    def __init__(
        self, base: CropSegmenter, *, margin: float, tidies: bool = False, calibration: Calibration = USUAL
    ) -> None:
        self._base, self._margin, self.calibration = base, margin, calibration
        self.pieces = Piecewise(base, tidies=tidies)
        self._given = GivenAnswers()
        self.together = ZoomTogether(self)
        self.likeness = LikeSearch(base, base_of=_base_of, tidies=tidies)

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

    @property
    def adapter(self) -> Any:
        return self._base.adapter

    def set_adapter(self, adapter: Any) -> None:
        """See :meth:`annotator.engine.sam2.segmenter.Sam2Segmenter.set_adapter`; pieces that are kept stay valid."""
        self._base.set_adapter(adapter)

    def embedding_key(self, image_key: str) -> str:
        """See :meth:`annotator.domain.ports.engine.Segmenter.embedding_key`."""
        return self._base.embedding_key(image_key)

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> ZoomEmbedding:
        """See :meth:`annotator.domain.ports.engine.Segmenter.encode`."""
        return ZoomEmbedding(self._base.encode(image, image_key, is_cancelled=is_cancelled), image)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """See :meth:`annotator.domain.ports.engine.Segmenter.decode`. Logits belong to the piece that was looked at."""
        started = time.perf_counter()
        embedding = _own(embedding)
        previous = None if continue_from is None else self._given.of(continue_from, embedding.whole)
        if not is_finite(prompts) or prompts.is_empty:
            return self._base.decode(embedding.base, prompts)  # refuses them
        if previous is not None:
            found = self._correct(embedding, prompts, previous)
        elif says_where(prompts):
            region = self.named_region(embedding, prompts)
            found = self.answered(self.pieces.decode(embedding, region, prompts, None), region)
        else:
            found = self._search(embedding, prompts)
        return replace(looked(found, embedding), decode_ms=(time.perf_counter() - started) * 1e3)

    def stored(self, embedding: Embedding) -> StoredEmbedding:
        """The whole image's embedding; pieces are quickly encoded again."""
        return self._base.stored(_own(embedding).base)

    def restored(self, key: str, stored: StoredEmbedding, image: RgbArray) -> ZoomEmbedding:
        """See :class:`annotator.engine.cache.EmbeddingCodec`."""
        return ZoomEmbedding(self._base.restored(key, stored, image), image)

    @property
    def everything_settings(self) -> EverythingSettings:
        """A small encoder sees small objects in crops alone, and its masks are softer than a large model's."""
        return ZOOMING_SETTINGS

    def everything(
        self,
        embedding: Embedding,
        image: RgbArray,
        settings: EverythingSettings,
        *,
        has_to_yield: Callable[[], bool] | None = None,
        begun: Begun | None = None,
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.engine.AnswersEverything`; crops are pieces, encoded once."""
        return everything_run(self, _own(embedding), image, settings, has_to_yield, begun).steps()

    def warm(self, embedding: Embedding, x: float, y: float, *, is_cancelled: Callable[[], bool]) -> bool:
        """Encode a piece that a click at (x, y) would need; false when there is nothing left to do.

        Called while the pointer rests, one piece at a time, so that a click finds the pieces ready.
        """
        if not isinstance(embedding, ZoomEmbedding):
            return False
        for region in click_regions(x, y, width=embedding.width, height=embedding.height)[1:]:
            if region not in embedding.crops:
                self.pieces.embedding(embedding, region, is_cancelled)
                return True
        return False

    # --- clicks alone: how large is it? -------------------------------------------------------------------------------

    def hypotheses(self, embedding: ZoomEmbedding, prompts: Prompts) -> list[Hypothesis]:
        """Answers to clicks alone, from pieces of several sizes and more closely round the best; none is empty."""
        return self._gather(embedding, prompts)[1]

    def _gather(
        self, embedding: ZoomEmbedding, prompts: Prompts
    ) -> tuple[Candidates, list[Hypothesis], npt.NDArray[np.float64]]:
        """The whole image's answer, all hypotheses, and how they overlap."""
        regions = self.regions_of_clicks(embedding, prompts)
        answers = self.pieces.decode_each(embedding, regions, prompts)
        plain = answers[0]
        found = [h for answer, region in zip(answers, regions, strict=True) for h in _hypotheses(answer, region)]
        overlaps = pairwise_iou([h.candidate.mask for h in found])
        for _ in range(CLOSER_LOOKS if found else 0):
            best = found[int(rate(found, prompts.points, self.calibration.ratings, overlaps).argmax())]
            wanted = self._wanted(embedding, with_points(_box_of(best), prompts))
            is_alike = 1 / ALIKE_SIZES < longer(wanted) / longer(best.region) < ALIKE_SIZES
            if is_alike or any(h.region == wanted for h in found):
                break
            found += _hypotheses(self.pieces.decode(embedding, wanted, prompts, None), wanted)
            overlaps = pairwise_iou([h.candidate.mask for h in found], overlaps)
        return plain, found, overlaps

    def _search(self, embedding: ZoomEmbedding, prompts: Prompts) -> Candidates:
        """The best of the hypotheses, and where that is asked for, others that differ from it."""
        plain, hypotheses, overlaps = self._gather(embedding, prompts)
        if not hypotheses:
            return self.answered(plain, embedding.whole)
        judged = judge_click(hypotheses, prompts.points, overlaps, self.calibration)
        ratings = judged.ratings
        count = 3 if prompts.is_ambiguous else 1
        shown = alternatives(hypotheses, ratings, count)
        shown += [i for i in np.argsort(-ratings, kind="stable").tolist() if i not in shown][: count - len(shown)]
        # The person sees the numbers beside each other: none promises more than the answer that was chosen for her.
        expected = np.minimum(judged.expected_iou, judged.expected_iou[shown[0]])
        chosen = [_expecting(hypotheses[i], expected[i]) for i in shown]
        empty = [Hypothesis(item, embedding.whole) for item in plain.items if item.mask.is_empty]
        return self._shown(chosen + empty[: count - len(chosen)], plain, tuple(hypotheses[:HYPOTHESES_KEPT]))

    def regions_of_clicks(self, embedding: ZoomEmbedding, prompts: Prompts) -> tuple[Region, ...]:
        """Pieces round the first positive click that hold all positive clicks."""
        wanted = [point for point in prompts.points if point.is_positive]
        if not wanted:
            return (embedding.whole,)
        regions = click_regions(wanted[0].x, wanted[0].y, width=embedding.width, height=embedding.height)
        return (regions[0], *(r for r in regions[1:] if all(r.contains(p.x, p.y) for p in wanted[1:])))

    def _shown(self, chosen: list[Hypothesis], plain: Candidates, others: tuple[Hypothesis, ...]) -> Candidates:
        """The chosen answers by area, the first of them to be shown."""
        order = sorted(range(len(chosen)), key=lambda i: chosen[i].candidate.mask.area)
        best = order.index(0)
        found = [chosen[i] for i in order]
        labels = names([h.candidate.mask for h in found], best) if len(found) == 3 else ("",) * len(found)
        items = [
            self._given.remembered(GivenAnswer(replace(h.candidate, label=label), h.region, others))
            for h, label in zip(found, labels, strict=True)
        ]
        return replace(plain, items=tuple(items), best=best)

    # --- corrections --------------------------------------------------------------------------------------------------

    def _correct(self, embedding: ZoomEmbedding, prompts: Prompts, previous: GivenAnswer) -> Candidates:
        """Go on from the answer that was shown, or from one of the others where that explains the clicks better."""
        region = self._region_after(embedding, prompts, previous)
        found = self.pieces.decode(embedding, region, prompts, previous)
        if not previous.others or prompts.box is not None or prompts.base_mask is not None:
            return self.answered(found, region)
        stayed = _hypotheses(found, region)
        other = self._best_other(prompts, previous, stayed)
        if other is None:
            return self.answered(found, region, previous.others)
        other_region = self._region_after(embedding, prompts, other)
        turned = _hypotheses(self.pieces.decode(embedding, other_region, prompts, other), other_region)
        pool = [*stayed, *turned, *previous.others]
        judged = judge(pool, prompts.points, calibration=self.calibration)
        ratings = judged.ratings[: len(stayed) + len(turned)]
        if not ratings.size:
            return self.answered(found, region, previous.others)
        bonus = np.where(np.arange(ratings.size) < len(stayed), STAY_BONUS, 0.0)
        best = int((ratings + bonus).argmax())
        shown = _expecting(pool[best], judged.expected_iou[best])
        return self._shown([shown], found, tuple(pool[:HYPOTHESES_KEPT]))

    def _best_other(self, prompts: Prompts, previous: GivenAnswer, stayed: list[Hypothesis]) -> GivenAnswer | None:
        """The best rated of the earlier answers that is not what there is already, if it is rated as high as that."""
        seen = [previous.candidate.mask, *(h.candidate.mask for h in stayed)]
        ratings = rate([*stayed, *previous.others], prompts.points, self.calibration.ratings)
        least = ratings[: len(stayed)].max(initial=-np.inf)
        others = ratings[len(stayed) :]
        for index in np.argsort(-others, kind="stable").tolist()[:6]:
            other = previous.others[index]
            if others[index] < least:
                break
            if all(sampled_iou(other.candidate.mask, mask) <= SAME_IOU for mask in seen):
                return GivenAnswer(other.candidate, other.region)
        return None

    def _region_after(self, embedding: ZoomEmbedding, prompts: Prompts, previous: GivenAnswer) -> Region:
        """Where to go on from an answer: its piece, a wider one when it is cut, a closer one when it is small there."""
        if previous.box is None:
            return previous.region
        box = with_points(previous.box, prompts)
        was_cut = is_cut(previous.candidate.mask, previous.region)
        is_large = max(box.width, box.height) >= SMALL_SHARE * longer(previous.region)
        if previous.region.covers(box) and not was_cut and is_large:
            return previous.region
        return self._wanted(embedding, box)

    # --- one piece ----------------------------------------------------------------------------------------------------

    def named_region(self, embedding: ZoomEmbedding, prompts: Prompts) -> Region:
        """The piece that a box, or a mask to refine, asks for."""
        box: Box | None = None
        if prompts.box is not None:
            clipped = prompts.box.clipped(embedding.width, embedding.height)
            box = clipped if clipped.area > 0 else None
        elif prompts.base_mask is not None:
            box = mask_box(prompts.base_mask)
        return embedding.whole if box is None else self._wanted(embedding, with_points(box, prompts))

    def _wanted(self, embedding: ZoomEmbedding, box: Box) -> Region:
        width, height = embedding.width, embedding.height
        region = zoom_region(box, width=width, height=height, margin=self._margin)
        return embedding.whole if region.width * region.height >= WHOLE_SHARE * width * height else region

    # --- what was given out -------------------------------------------------------------------------------------------

    def answered(self, found: Candidates, region: Region, others: tuple[Hypothesis, ...] = ()) -> Candidates:
        items = tuple(self._given.remembered(GivenAnswer(item, region, others)) for item in found.items)
        return replace(found, items=items)


def _hypotheses(found: Candidates, region: Region) -> list[Hypothesis]:
    return [Hypothesis(item, region) for item in found.items if not item.mask.is_empty]


def _own(embedding: Embedding) -> ZoomEmbedding:
    if not isinstance(embedding, ZoomEmbedding):
        raise TypeError("this engine decodes its own embeddings")
    return embedding


def _base_of(embedding: Embedding) -> Embedding:
    """The whole image's own."""
    return _own(embedding).base


def _expecting(hypothesis: Hypothesis, iou: float) -> Hypothesis:
    """With what its pieces together say as its predicted IoU: they know more than the model did with one of them."""
    return replace(hypothesis, candidate=replace(hypothesis.candidate, predicted_iou=float(iou)))


def _box_of(hypothesis: Hypothesis) -> Box:
    x, y, w, h = hypothesis.candidate.mask.bbox_xywh
    return Box(x, y, x + w, y + h)
