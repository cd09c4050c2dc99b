"""Segment everything: a grid of clicks over an image and its crops, weighed while it is still small.

The official generator enlarges every answer to the whole image before it asks whether the answer is any good: on two
cores that, the plain decoder and its batches take two minutes for 1024 clicks. Here predicted IoU is asked before masks
are made at all, stability is judged on the decoder's own grid, and only what passes, and is not the same object as a
better one, becomes pixels, in its box alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.everything import (
    Alike,
    Begun,
    EverythingSettings,
    FloatArray,
    GridAnswer,
    Proposal,
    blob_points,
    box_nms,
    crop_regions,
    grid_points,
    is_cut_off,
    mask_nms,
    pixel_stability,
    points_per_side,
    stabilities,
    touches_border,
    without_specks,
)
from annotator.domain.answering.logits import box_from_logits
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import EncodeCancelled
from annotator.domain.ports.engine import Embedding, EverythingStep, RgbArray
from annotator.engine.behind import one_behind
from annotator.engine.grid_answers import Found

if TYPE_CHECKING:
    import torch

FLAT_RANGE = 4
"""Grey levels: a place where the image varies by no more, over a cell of the grid, shows nothing to click at."""
STABILITY_DOUBT_CELLS = 12.8
"""A stability counted on a grid may be off by so much, over the cells of its side."""
GRID_BATCH, GRID_BATCH_ON_CARD = 4, 64
"""Clicks of a grid decoded at once: on a processor larger batches leave its caches and are slower."""
LOOKS = 8
"""How often what was found is shown before everything was asked."""


class GridDecoder(Protocol):
    """What answers many clicks at once, as :class:`~annotator.engine.sam2.segmenter.Sam2Segmenter` does."""

    def decode_grid(self, embedding: Embedding, points_xy: FloatArray, *, least_iou: float) -> GridAnswer: ...


class CropEncoder(GridDecoder, Protocol):
    """A segmenter that encodes crops as it does images."""

    @property
    def device(self) -> torch.device: ...

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> Embedding: ...


def everything_by_crops(
    segmenter: CropEncoder,
    embedding: Embedding,
    image: RgbArray,
    settings: EverythingSettings,
    *,
    has_to_yield: Callable[[], bool] | None,
    begun: Begun | None,
) -> Iterator[EverythingStep]:
    """:meth:`annotator.domain.ports.engine.AnswersEverything.everything` of a segmenter that encodes each crop anew.

    Raises:
        UserError: settings that make no sense.
    """
    whole = Region(0, 0, embedding.width, embedding.height)

    def embedding_of(region: Region) -> Embedding:
        if region == whole:
            return embedding
        pixels = np.ascontiguousarray(image[region.y0 : region.y1, region.x0 : region.x1])
        return segmenter.encode(pixels, f"{embedding.key}|{region}", is_cancelled=has_to_yield)

    batch = GRID_BATCH if segmenter.device.type == "cpu" else GRID_BATCH_ON_CARD
    return Everything(segmenter, image, embedding_of, settings.checked(), batch=batch, begun=begun).steps()


class Everything:
    """One run over one image; :meth:`steps` does it piece by piece, so that clicks can be answered in between.

    Args:
        decoder: answers batches of clicks.
        image: H x W x 3 uint8.
        embedding_of: the embedding of a region of the image; the whole image's is there already. An encode that it
            cancels is begun anew with the next step.
        settings: checked.
        batch: clicks decoded at once, where the settings leave it open.
        begun: an earlier run with the same settings, to go on from there.
    """

    def __init__(
        self,
        decoder: GridDecoder,
        image: RgbArray,
        embedding_of: Callable[[Region], Embedding],
        settings: EverythingSettings,
        *,
        batch: int,
        begun: Begun | None = None,
    ) -> None:
        self._decoder, self._image, self._embedding_of, self._settings = decoder, image, embedding_of, settings
        self._height, self._width = image.shape[:2]
        self._batch = settings.points_per_batch or batch
        regions = crop_regions(self._width, self._height, settings)
        self._blobs = self._blobs_by_crop(regions) if settings.finds_blobs and settings.crop_n_layers else {}
        if settings.skips_flat and np.ptp(image, axis=(0, 1)).max() <= FLAT_RANGE:
            regions = []  # of one colour: there is nothing to find
        self._crops = [(region, self._points(region, layer)) for region, layer in regions]
        self._begun = begun or Begun()
        self._kept: list[tuple[Region, list[Proposal]]] = []
        self._alike: Alike = {}

    @property
    def regions(self) -> list[Region]:
        """Whose embeddings are needed."""
        return [region for region, points in self._crops if len(points)]

    def steps(self) -> Iterator[EverythingStep]:
        """After every batch of clicks how far it is; now and then, and at the end, what was found so far.

        While the model answers a batch, the answers to the one before are weighed on another thread.
        """
        return one_behind(self._asked())

    def _asked(self) -> Iterator[Callable[[], EverythingStep | None] | None]:
        """Ask the model; what is to be done with each of its answers, in their order.

        Only that touches what was found.
        """
        total = sum(len(points) for _, points in self._crops)
        done, begun = 0, min(self._begun.done, total)
        shown = begun * LOOKS // max(total, 1)
        for region, points in self._crops:
            found = Found.of([one for one in self._begun.proposals if one.crop == region])
            first = min(max(begun - done, 0), len(points))
            if first == len(points):  # it was done before
                done += first
                yield partial(self._keep, region, list(found.proposals.values()))
                continue
            while True:
                try:
                    embedding = self._embedding_of(region)
                    break
                except EncodeCancelled:  # something more urgent waits; then the crop begins anew
                    yield None
                    yield partial(EverythingStep, done, total, None)
                    yield None
            for start in range(first, len(points), self._batch):
                batch = points[start : start + self._batch]
                answer = self._decoder.decode_grid(embedding, batch, least_iou=self._settings.pred_iou_thresh)
                now = done + start + len(batch)
                is_look, shown = now * LOOKS // total > shown, now * LOOKS // total
                step = EverythingStep(now, total, None) if now < total else None
                yield partial(self._weighed, region, batch, answer, found, step, is_look)
            done += len(points)
            yield partial(self._all_of, region, found)
        yield lambda: EverythingStep(total, total, self._together(None, []), is_last=True)

    def _weighed(
        self,
        region: Region,
        points: FloatArray,
        answer: GridAnswer,
        found: Found,
        step: EverythingStep | None,
        is_look: bool,
    ) -> EverythingStep | None:
        """Take what is worth it of an answer, and complete the step."""
        self._take(region, points, answer, found)
        if step is None or not is_look:
            return step
        return replace(step, proposals=self._together(region, self._survivors(region, found)))

    def _all_of(self, region: Region, found: Found) -> None:
        """A crop was asked at all of its points."""
        self._keep(region, self._survivors(region, found))

    def _keep(self, region: Region, proposals: list[Proposal]) -> None:
        self._kept.append((region, proposals))

    def _blobs_by_crop(self, regions: list[tuple[Region, int]]) -> dict[Region, FloatArray]:
        """Clicks in the pixels of each crop of the last layer: every blob in the crop whose middle is nearest."""
        settings = self._settings
        last = [region for region, layer in regions if layer == settings.crop_n_layers]
        most = len(last) * points_per_side(settings, settings.crop_n_layers) ** 2
        points = blob_points(self._image, most)
        middles = np.array([[(r.x0 + r.x1) / 2, (r.y0 + r.y1) / 2] for r in last], np.float32)
        nearest = np.hypot(*(points[:, None] - middles[None]).transpose(2, 0, 1)).argmin(1) if len(points) else points
        return {
            region: points[nearest == at] - np.array([region.x0, region.y0], np.float32) if len(points) else points
            for at, region in enumerate(last)
        }

    def _points(self, region: Region, layer: int) -> FloatArray:
        """Clicks in a crop's own pixels."""
        if region in self._blobs:
            return self._blobs[region]
        size = np.array([region.width, region.height], np.float32)
        per_side = points_per_side(self._settings, layer)
        points = grid_points(per_side) * size
        if not self._settings.skips_flat or layer == 0:
            return points
        pixels = self._image[region.y0 : region.y1, region.x0 : region.x1]
        return points[_is_lively(pixels, points, cell_px=(size / per_side).tolist())]

    def _take(self, region: Region, points: FloatArray, answer: GridAnswer, found: Found) -> None:
        """A batch of clicks. What the decoder's own grid tells well enough to be refused never becomes pixels."""
        settings = self._settings
        stability = stabilities(answer.logits, settings.stability_score_offset)
        least, doubt = settings.stability_score_thresh, STABILITY_DOUBT_CELLS / answer.logits.shape[1]
        likely = np.flatnonzero(stability >= least - doubt)
        size = {"width": region.width, "height": region.height}
        found_boxes: list[tuple[int, int, int, int]] = []
        passed: list[int] = []
        for index in likely.tolist():
            logits = answer.logits[index]
            if abs(stability[index] - least) < doubt and least > 0:
                stability[index] = pixel_stability(logits, settings.stability_score_offset, **size)
                if stability[index] < least:
                    continue
            box = box_from_logits(logits, **size)
            if box is not None:
                found_boxes.append(box)
                passed.append(index)
        if not passed:
            return
        corner = np.array([region.x0, region.y0, region.x0 - 1, region.y0 - 1], np.float32)
        boxes = np.array(found_boxes, np.float32) + corner
        keep = ~is_cut_off(boxes, region, width=self._width, height=self._height)
        if not settings.keeps_border:
            keep &= ~touches_border(boxes, width=self._width, height=self._height)
        chosen, rows = np.flatnonzero(keep), np.array(passed)[keep]
        found.add(
            [answer.logits[at] for at in rows],
            boxes=boxes[chosen],
            iou=answer.iou[rows],
            stability=stability[rows],
            points=points[answer.prompt[rows]],
        )

    def _survivors(self, region: Region, found: Found) -> list[Proposal]:
        """What is kept of a crop, as pixels of the image."""
        stay = found.best(self._settings.box_nms_thresh).tolist()
        for index in stay:
            if index not in found.proposals:
                found.proposals[index] = self._proposal(region, found, index)
        some = [found.proposals[index] for index in stay]
        return [one for one in some if not one.mask.is_empty]  # a sliver may lie between pixels

    def _proposal(self, region: Region, found: Found, index: int) -> Proposal:
        logits = found.logits[index]
        assert logits is not None  # those without have been proposals from the beginning
        mask = logits.mask(region, width=self._width, height=self._height)
        mask = without_specks(mask, self._settings.min_mask_region_area)
        x, y = found.points[index].tolist()
        place = (x + region.x0, y + region.y0)
        return Proposal(mask, float(found.iou[index]), float(found.stability[index]), place, region)

    def _together(self, region: Region | None, fresh: list[Proposal]) -> tuple[Proposal, ...]:
        """What the crops found, each object once: of the same in two crops the smaller crop's is taken."""
        crops = [*self._kept, *([(region, fresh)] if region is not None else [])]
        everything = [proposal for _, proposals in crops for proposal in proposals]
        if len(crops) > 1 and everything:
            boxes = np.array([proposal.box_xyxy for proposal in everything], np.float32)
            smaller_first = np.array([1 / (p.crop.width * p.crop.height) for p in everything], np.float32)
            everything = [everything[i] for i in box_nms(boxes, smaller_first, self._settings.crop_nms_thresh)]
        return tuple(mask_nms(everything, self._settings.mask_nms_thresh, self._alike))


def _is_lively(pixels: RgbArray, points: FloatArray, *, cell_px: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Whether the image varies round each point, over its cell of the grid."""
    size = (max(1, round(cell_px[0])), max(1, round(cell_px[1])))
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    kernel = np.ones((size[1], size[0]), np.uint8)
    spread = cv2.dilate(grey, kernel).astype(np.int16) - cv2.erode(grey, kernel)
    column = np.clip(points[:, 0].astype(int), 0, grey.shape[1] - 1)
    row = np.clip(points[:, 1].astype(int), 0, grey.shape[0] - 1)
    return np.asarray(spread[row, column] > FLAT_RANGE)
