"""Objects carried from frame to frame without a trained memory: flow carries, three opinions vote.

The mask of the frame before is carried by optical flow. Flow itself, the model (asked with a dense prompt of flow and
of what a feature memory recognises) and the colours in a band round the outline each say what the mask is; the majority
of pixels wins. Flow keeps to the object, the model and the colours keep the outline sharp. They err alike from frame to
frame: so both are asked about the key frame, too, and what they get wrong there is taken off their answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import WHOLE_SHARE, Region, zoom_region
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Embedding
from annotator.domain.ports.tracking import TrackAnswer, TrackFrame, TrackSeed, TrackState
from annotator.domain.prompt import Prompts
from annotator.domain.tracks.confidence import LOST_BELOW, expected_iou
from annotator.engine.tracking.feature_memory import FeatureMemory, agreement
from annotator.engine.tracking.flow import FrameFlow, carried
from annotator.engine.tracking.outline_errors import OutlineErrors
from annotator.engine.tracking.piece_model import PieceModel
from annotator.engine.tracking.shapes import box_of, by_colour, deepest_point, overlap, without_crumbs

BoolArray = npt.NDArray[np.bool_]
LEAST_AREA_PX = 12
"""A carried mask of fewer pixels is no object any more."""
BOX_MARGIN = 0.03
SNAP = 6
"""Corners of pieces lie on a grid of so many to the object's box, so that neighbours share embeddings."""
WINDOW_LEAST_PX = 64
"""So far an object may go at least from frame to frame."""
FLOW_WEIGHT, MEMORY_WEIGHT, LOGIT_SCALE, LOGIT_LIMIT = 1.0, 0.5, 1.5, 12.0
MODEL_LEAST_OVERLAP = 0.3
"""Where the model answers something else than what flow carried, it has no vote."""
REMEMBER_OVERLAP, REMEMBER_IOU = 0.6, 0.5
"""A frame is remembered when flow and model agree more than this, the model's predicted IoU is higher than that, and
the object does not look lost."""
PIECES_KEPT = 8
_FIELD = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Track:
    frame: TrackFrame
    mask: Mask
    memory: FeatureMemory
    errors: OutlineErrors


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A region of a frame, encoded."""

    region: Region
    embedding: Embedding
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Vote:
    """Opinions in one window of the frame, and what became of them."""

    window: Region
    mask: BoolArray
    spread: float
    flow_and_model: float


class FlowTracker:
    """A :class:`~annotator.domain.ports.tracking.Propagator` on any model. Not for several threads at once."""

    note = "This model has no memory for video: outlines are carried by motion, check every tenth frame."
    finds_again = False

    def __init__(self, model: PieceModel) -> None:
        self._model = model
        self._tracks: dict[int, _Track] = {}
        self._flows: OrderedDict[tuple[int, int], FrameFlow] = OrderedDict()
        self._pieces: OrderedDict[tuple[str, Region], _Piece] = OrderedDict()

    def seed(self, frame: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        """See :class:`~annotator.domain.ports.tracking.Propagator`."""
        width, height = frame.size_wh
        pieces = [self._piece(frame, self._region(_mask_box(seed.mask), width, height), is_cancelled) for seed in seeds]
        for seed, piece in zip(seeds, pieces, strict=True):
            track = self._tracks.get(seed.track_id)
            memory = FeatureMemory() if track is None else track.memory
            descriptors = self._model.describe(piece.embedding, piece.pixels)
            memory.add(descriptors, _within(seed.mask, piece.region))
            errors = self._errors(frame, seed.mask, piece, memory.look(descriptors))
            self._tracks[seed.track_id] = _Track(frame, seed.mask, memory, errors)

    def step(
        self, frame: TrackFrame, track_ids: Sequence[int], *, is_cancelled: Callable[[], bool]
    ) -> list[TrackAnswer]:
        """See :class:`~annotator.domain.ports.tracking.Propagator`."""
        self._tracks = {track_id: self._tracks[track_id] for track_id in track_ids}
        carried_tracks = [(track_id, *self._carried(self._tracks[track_id], frame)) for track_id in track_ids]
        width, height = frame.size_wh
        pieces = {
            track_id: self._piece(frame, self._region(_mask_box(mask), width, height), is_cancelled)
            for track_id, mask, _ in carried_tracks
            if mask.area >= LEAST_AREA_PX
        }
        # Nothing was changed so far: what is cancelled above can be asked again.
        answers = []
        for track_id, mask, errors in carried_tracks:
            track, piece = self._tracks[track_id], pieces.get(track_id)
            if piece is None:
                gone = Mask.empty(width, height)
                answers.append(TrackAnswer(track_id, frame.position, gone, 0.0, TrackState.LOST, gone.rle()))
                continue
            answer = self._answered(track_id, replace(track, errors=errors), frame, mask, piece)
            self._tracks[track_id] = replace(track, frame=frame, mask=answer.mask, errors=errors)
            answers.append(answer)
        return answers

    # --- opinions -----------------------------------------------------------------------------------------------------

    def _errors(self, frame: TrackFrame, mask: Mask, piece: _Piece, seen: _FIELD) -> OutlineErrors:
        """What the model and the colours get wrong where the mask is known."""
        if mask.area < LEAST_AREA_PX:
            return OutlineErrors.none()
        found = _placed(self._asked(mask, piece, seen).mask, piece.region, frame.size_wh)
        window = _window(mask, piece.region, frame.size_wh)
        truth = _within(mask, window)
        colour = by_colour(frame.image[window.y0 : window.y1, window.x0 : window.x1], truth)
        return OutlineErrors.measured(window, truth, (_within(found, window), colour))

    def _carried(self, track: _Track, frame: TrackFrame) -> tuple[Mask, OutlineErrors]:
        """The mask of the track's last frame, carried by flow, and the errors that are known there."""
        width, height = frame.size_wh
        if track.mask.is_empty or track.frame.size_wh != frame.size_wh:
            return Mask.empty(width, height), OutlineErrors.none()
        x, y, w, h = track.mask.bbox_xywh
        reach = max(WINDOW_LEAST_PX, w, h)
        window = Region(max(0, x - reach), max(0, y - reach), min(width, x + w + reach), min(height, y + h + reach))
        flow = self._flow(track.frame, frame).backward(window)
        tight = track.mask.tight()
        moved = carried(tight.bits, flow, offset_xy=(tight.x - window.x0, tight.y - window.y0))
        errors = track.errors.carried(window, flow)
        if not moved.any():
            return Mask.empty(width, height), errors
        return Mask(without_crumbs(moved), window.x0, window.y0, width, height).tight(), errors

    def _answered(self, track_id: int, track: _Track, frame: TrackFrame, by_flow: Mask, piece: _Piece) -> TrackAnswer:
        descriptors = self._model.describe(piece.embedding, piece.pixels)
        seen = track.memory.look(descriptors)
        found = self._asked(by_flow, piece, seen)
        vote = _voted(frame, by_flow, _placed(found.mask, piece.region, frame.size_wh), piece.region, track.errors)
        mask = Mask(vote.mask, vote.window.x0, vote.window.y0, *frame.size_wh).tight()
        inside = _within(mask, piece.region)
        agreed = agreement(seen, inside)
        is_seen = agreed >= LOST_BELOW  # what took the object's place would be remembered as the object
        if is_seen and vote.flow_and_model > REMEMBER_OVERLAP and found.predicted_iou > REMEMBER_IOU:
            track.memory.add(descriptors, inside)
        state = TrackState.FOUND if is_seen else TrackState.LOST
        confidence = expected_iou(agreed, found.predicted_iou, vote.spread)
        return TrackAnswer(track_id, frame.position, mask, confidence, state, mask.rle())

    def _asked(self, by_flow: Mask, piece: _Piece, seen: _FIELD) -> Candidate:
        """The model's mask in the piece's pixels."""
        inside = _within(by_flow, piece.region)
        side = self._model.dense_side
        remembered = cv2.resize(seen, (side, side), interpolation=cv2.INTER_LINEAR)
        small = cv2.resize(inside.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        moved = cv2.GaussianBlur(small, (0, 0), 1.5)
        logits = FLOW_WEIGHT * _logit(moved) + MEMORY_WEIGHT * _logit(remembered)
        dense = np.clip(LOGIT_SCALE * logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
        point = deepest_point(inside)
        prompts = Prompts(() if point is None else (point,), box_of(inside, BOX_MARGIN))
        return self._model.ask(piece.embedding, prompts, dense).chosen

    # --- what is shared -----------------------------------------------------------------------------------------------

    def _flow(self, before: TrackFrame, now: TrackFrame) -> FrameFlow:
        """One for all objects that were on the same frame before."""
        key = (before.position, now.position)
        if key not in self._flows:
            self._flows[key] = FrameFlow(before.image, now.image)
            while len(self._flows) > 2:
                self._flows.popitem(last=False)
        return self._flows[key]

    def _piece(self, frame: TrackFrame, region: Region, is_cancelled: Callable[[], bool]) -> _Piece:
        key = (frame.image_key, region)
        if key not in self._pieces:
            pixels = np.ascontiguousarray(frame.image[region.y0 : region.y1, region.x0 : region.x1])
            place = f"{region.x0},{region.y0},{region.x1},{region.y1}"
            embedding = self._model.encode(pixels, f"{frame.image_key}|{place}", is_cancelled=is_cancelled)
            self._pieces[key] = _Piece(region, embedding, pixels)
            while len(self._pieces) > PIECES_KEPT:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(key)
        return self._pieces[key]

    def _region(self, box: Box, width: int, height: int) -> Region:
        """The piece for an object's box, its corners snapped."""
        step = max(8.0, max(box.width, box.height) / SNAP)
        low_x, low_y = np.floor(box.x0 / step) * step, np.floor(box.y0 / step) * step
        high_x, high_y = np.ceil(box.x1 / step) * step, np.ceil(box.y1 / step) * step
        snapped = Box(float(low_x), float(low_y), float(high_x), float(high_y)).clipped(width, height)
        region = zoom_region(snapped, width=width, height=height, margin=self._model.margin)
        is_whole = region.width * region.height >= WHOLE_SHARE * width * height
        return Region(0, 0, width, height) if is_whole else region


def _voted(frame: TrackFrame, by_flow: Mask, by_model: Mask, region: Region, errors: OutlineErrors) -> _Vote:
    """Flow, model and colours in the window that holds them all."""
    window = _window(by_flow, region, frame.size_wh)
    flow, model = _within(by_flow, window), _within(by_model, window)
    colour = by_colour(frame.image[window.y0 : window.y1, window.x0 : window.x1], flow)
    model, colour = errors.taken_off(window, (model, colour))
    both = overlap(flow, model)
    spread = (overlap(flow, colour) + both + overlap(colour, model)) / 3
    if both >= MODEL_LEAST_OVERLAP:
        mask = without_crumbs(flow.astype(np.uint8) + model + colour >= 2)
    else:
        mask = flow & colour if overlap(flow, colour) > 0.5 else flow
    return _Vote(window, mask if mask.any() else flow, spread, both)


def _window(mask: Mask, region: Region, size_wh: tuple[int, int]) -> Region:
    """What holds the piece and the mask with room round it."""
    width, height = size_wh
    x, y, w, h = mask.bbox_xywh
    reach = max(8, round(0.35 * max(w, h)))
    return Region(
        max(0, min(region.x0, x - reach)),
        max(0, min(region.y0, y - reach)),
        min(width, max(region.x1, x + w + reach)),
        min(height, max(region.y1, y + h + reach)),
    )


def _logit(share: npt.NDArray[Any]) -> _FIELD:
    inside = np.clip(np.asarray(share, np.float32), 0.02, 0.98)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)


def _mask_box(mask: Mask) -> Box:
    x, y, w, h = mask.bbox_xywh
    return Box(x, y, x + w, y + h)


def _within(mask: Mask, region: Region) -> BoolArray:
    """The mask's pixels in a region, as an array of its size."""
    out = np.zeros((region.height, region.width), np.bool_)
    h, w = mask.bits.shape
    x0, y0 = max(mask.x, region.x0), max(mask.y, region.y0)
    x1, y1 = min(mask.x + w, region.x1), min(mask.y + h, region.y1)
    if x0 < x1 and y0 < y1:
        bits = mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x]
        out[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = bits
    return out


def _placed(mask: Mask, region: Region, size_wh: tuple[int, int]) -> Mask:
    if mask.is_empty:
        return Mask.empty(*size_wh)
    return Mask(mask.bits, mask.x + region.x0, mask.y + region.y0, *size_wh)
