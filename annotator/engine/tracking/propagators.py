"""From a model to what carries objects with it."""

from __future__ import annotations

from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.tracking import EmbeddingOf, Propagator, Trackable
from annotator.domain.tracks.track import Direction
from annotator.engine.tracking.flow_tracker import FlowTracker
from annotator.engine.tracking.piece_model import PlainPieces
from annotator.engine.zoom.segmenter import ZoomSegmenter


def propagator_of(segmenter: Segmenter, *, frames: int, direction: Direction, embedding_of: EmbeddingOf) -> Propagator:
    """The model's own way, else the flow tracker on it. Pieces of frames are small already: nothing zooms in further.

    Args:
        frames: in the whole series; ``embedding_of`` is for models that look at whole frames.
    """
    if isinstance(segmenter, ZoomSegmenter):
        return propagator_of(segmenter.base, frames=frames, direction=direction, embedding_of=embedding_of)
    if isinstance(segmenter, Trackable):
        return segmenter.propagator(frames=frames, direction=direction, embedding_of=embedding_of)
    return FlowTracker(PlainPieces(segmenter))
