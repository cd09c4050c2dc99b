"""Segment everything: a grid of clicks over an image and its crops, weighed while it is still small.

The official generator enlarges every answer to the whole image before it asks whether the answer is any good: on two
cores that, the plain decoder and its batches take two minutes for 1024 clicks. Here predicted IoU is asked before masks
are made at all, stability, boxes and duplicates are judged on the decoder's own grid, and only what is kept in the end
becomes pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.everything import (
    EverythingSettings,
    FloatArray,
    GridAnswer,
    Proposal,
    blob_points,
    box_nms,
    crop_regions,
    grid_points,
    is_cut_off,
    low_resolution_boxes,
    mask_nms,
    points_per_side,
    stabilities,
    touches_border,
    without_specks,
)
from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import EncodeCancelled
from annotator.domain.ports.engine import Embedding, EverythingStep, RgbArray
from annotator.engine.zoom.pieces import placed

NOTHING_LOGIT = -32.0
FLAT_RANGE = 4
"""Grey levels: a place where the image varies by no more, over a cell of the grid, shows nothing to click at."""
LOOKS = 8
"""How often what was found is shown before everything was asked."""

IntArray = npt.NDArray[np.int64]


class GridDecoder(Protocol):
    """What answers many clicks at once, as :class:`~annotator.engine.sam2.segmenter.Sam2Segmenter` does."""

    def decode_grid(self, embedding: Embedding, points_xy: FloatArray, *, least_iou: float) -> GridAnswer: ...


@dataclass(slots=True, eq=False)
class _Found:
    """The candidates of one crop that passed the filters: figures of all, logits of those that may be kept."""

    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    iou: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    stability: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    point: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    candidate: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    logits: dict[int, FloatArray] = field(default_factory=dict)
    proposals: dict[int, Proposal] = field(default_factory=dict)


class Everything:
    """One run over one image; :meth:`steps` does it piece by piece, so that clicks can be answered in between.

    Args:
        decoder: answers batches of clicks.
        image: H x W x 3 uint8.
        embedding_of: the embedding of a region of the image; the whole image's is there already. An encode that it
            cancels is begun anew with the next step.
        settings: checked.
        batch: clicks decoded at once, where the settings leave it open.
    """

    def __init__(
        self,
        decoder: GridDecoder,
        image: RgbArray,
        embedding_of: Callable[[Region], Embedding],
        settings: EverythingSettings,
        *,
        batch: int,
    ) -> None:
        self._decoder, self._image, self._embedding_of, self._settings = decoder, image, embedding_of, settings
        self._height, self._width = image.shape[:2]
        self._batch = settings.points_per_batch or batch
        regions = crop_regions(self._width, self._height, settings)
        self._blobs = self._blobs_by_crop(regions) if settings.finds_blobs and settings.crop_n_layers else {}
        self._crops = [(region, self._points(region, layer)) for region, layer in regions]
        self._kept: list[tuple[Region, list[Proposal]]] = []

    def steps(self) -> Iterator[EverythingStep]:
        """After every batch of clicks how far it is; now and then, and at the end, what was found so far."""
        total = sum(len(points) for _, points in self._crops)
        done, shown = 0, 0
        for region, points in self._crops:
            found = _Found()
            while len(points):
                try:
                    embedding = self._embedding_of(region)
                    break
                except EncodeCancelled:
                    yield EverythingStep(done, total, None)  # something more urgent waits; then the crop begins anew
            for start in range(0, len(points), self._batch):
                batch = points[start : start + self._batch]
                self._ask(embedding, region, batch, start, found)
                done += len(batch)
                if done < total:
                    is_look = done * LOOKS // total > shown
                    shown = done * LOOKS // total
                    fresh = self._survivors(embedding, region, points, found) if is_look else []
                    yield EverythingStep(done, total, self._together(region, fresh) if is_look else None)
            self._kept.append((region, self._survivors(embedding, region, points, found) if len(points) else []))
        yield EverythingStep(total, total, self._together(None, []), is_last=True)

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

    def _ask(self, embedding: Embedding, region: Region, points: FloatArray, first: int, found: _Found) -> None:
        settings = self._settings
        answer = self._decoder.decode_grid(embedding, points, least_iou=settings.pred_iou_thresh)
        if not answer.iou.size:
            return
        stability = stabilities(answer.logits, settings.stability_score_offset)
        cells = low_resolution_boxes(answer.logits)
        rows, columns = answer.logits.shape[1:]
        scale = np.array([region.width / columns, region.height / rows] * 2, np.float32)
        corner = np.array([region.x0, region.y0] * 2, np.float32)
        boxes = cells * scale + corner
        keep = (stability >= settings.stability_score_thresh) & (cells[:, 2] > cells[:, 0])
        keep &= ~is_cut_off(boxes, region, width=self._width, height=self._height)
        if not settings.keeps_border:
            keep &= ~touches_border(boxes, width=self._width, height=self._height)
        chosen = np.flatnonzero(keep)
        if not chosen.size:
            return
        old = len(found.iou)
        found.boxes = np.concatenate([found.boxes, boxes[chosen]])
        found.iou = np.concatenate([found.iou, answer.iou[chosen]])
        found.stability = np.concatenate([found.stability, stability[chosen]])
        found.point = np.concatenate([found.point, answer.prompt[chosen] + first])
        found.candidate = np.concatenate([found.candidate, answer.candidate[chosen]])
        # Only what no better one has replaced so far keeps its logits; who is kept in the end is judged over all.
        stay = set(self._suppressed(found).tolist())
        for place, index in enumerate(chosen.tolist()):
            if old + place in stay:
                found.logits[old + place] = answer.logits[index].copy()
        for index in [i for i in found.logits if i not in stay]:
            del found.logits[index]
            found.proposals.pop(index, None)

    def _suppressed(self, found: _Found) -> IntArray:
        return box_nms(found.boxes, found.iou, self._settings.box_nms_thresh)

    def _survivors(self, embedding: Embedding, region: Region, points: FloatArray, found: _Found) -> list[Proposal]:
        """What is kept of a crop, as pixels."""
        if not found.iou.size:
            return []
        stay = self._suppressed(found).tolist()
        self._ask_again(embedding, points, found, [index for index in stay if index not in found.logits])
        for index in stay:
            if index not in found.proposals:
                found.proposals[index] = self._proposal(region, points, found, index)
        return [found.proposals[index] for index in stay if not found.proposals[index].mask.is_empty]

    def _ask_again(self, embedding: Embedding, points: FloatArray, found: _Found, missing: list[int]) -> None:
        """Logits of those that were let go for a better one, which itself was not kept."""
        for start in range(0, len(missing), self._batch):
            some = missing[start : start + self._batch]
            answer = self._decoder.decode_grid(embedding, points[found.point[some]], least_iou=-np.inf)
            for place, index in enumerate(some):
                match = (answer.prompt == place) & (answer.candidate == found.candidate[index])
                found.logits[index] = answer.logits[int(np.flatnonzero(match)[0])].copy()

    def _proposal(self, region: Region, points: FloatArray, found: _Found, index: int) -> Proposal:
        mask = mask_from_logits(found.logits[index], width=region.width, height=region.height)
        mask = without_specks(placed(mask, region, (self._width, self._height)), self._settings.min_mask_region_area)
        x, y = points[found.point[index]].tolist()
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
        return tuple(mask_nms(everything, self._settings.mask_nms_thresh))


def _is_lively(pixels: RgbArray, points: FloatArray, *, cell_px: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Whether the image varies round each point, over its cell of the grid."""
    size = (max(1, round(cell_px[0])), max(1, round(cell_px[1])))
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    kernel = np.ones((size[1], size[0]), np.uint8)
    spread = cv2.dilate(grey, kernel).astype(np.int16) - cv2.erode(grey, kernel)
    column = np.clip(points[:, 0].astype(int), 0, grey.shape[1] - 1)
    row = np.clip(points[:, 1].astype(int), 0, grey.shape[0] - 1)
    return np.asarray(spread[row, column] > FLAT_RANGE)
