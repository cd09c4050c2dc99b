"""Which models may encode the next image while they answer about this one."""

from __future__ import annotations

from annotator.domain.ports.engine import Segmenter
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter


def encodes_beside(segmenter: Segmenter) -> bool:
    """Whether one thread may encode while one other asks. Not on a card, which the model leaves when it is full."""
    base = segmenter.base if isinstance(segmenter, ZoomSegmenter) else segmenter
    return isinstance(base, Sam2Segmenter) and base.device.type == "cpu"
