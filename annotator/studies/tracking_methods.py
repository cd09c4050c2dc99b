"""Simpler ways to carry an object, to compare the flow tracker with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.tracking import Propagator, TrackAnswer, TrackFrame, TrackSeed, TrackState
from annotator.domain.prompt import Prompts
from annotator.engine.tracking.flow import FrameFlow, carried
from annotator.engine.tracking.propagators import propagator_of
from annotator.engine.tracking.shapes import without_crumbs

METHODS = ("copy", "last box", "flow", "tracker")


class _Simple:
    """One object, no opinion of its own about how good it is."""

    note = ""
    finds_again = False

    def __init__(self) -> None:
        self.frame: TrackFrame | None = None
        self.mask: Mask | None = None

    def seed(self, frame: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        self.frame, self.mask = frame, seeds[0].mask

    def step(
        self, frame: TrackFrame, track_ids: Sequence[int], *, is_cancelled: Callable[[], bool]
    ) -> list[TrackAnswer]:
        assert self.frame is not None
        assert self.mask is not None
        if not self.mask.is_empty:
            self.mask = self.moved(self.frame, frame, self.mask)
        self.frame = frame
        return [TrackAnswer(track_ids[0], frame.position, self.mask, 1.0, TrackState.FOUND, self.mask.rle())]

    def moved(self, before: TrackFrame, now: TrackFrame, mask: Mask) -> Mask:
        """The mask on the next frame: the same one."""
        return mask


class _Flow(_Simple):
    """Flow alone."""

    def moved(self, before: TrackFrame, now: TrackFrame, mask: Mask) -> Mask:
        from annotator.domain.answering.zoom import Region

        whole = Region(0, 0, *now.size_wh)
        found = carried(mask.full(), FrameFlow(before.image, now.image).backward(whole), offset_xy=(0, 0))
        return Mask.from_full(without_crumbs(found)) if found.any() else Mask.empty(*now.size_wh)


class _LastBox(_Simple):
    """The box of the last mask, given to the model."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self._segmenter = segmenter

    def moved(self, before: TrackFrame, now: TrackFrame, mask: Mask) -> Mask:
        x, y, w, h = mask.bbox_xywh
        more = 0.05 * max(w, h)
        box = Box(x - more, y - more, x + w + more, y + h + more).clipped(*now.size_wh)
        found = self._segmenter.decode(self._segmenter.encode(now.image, now.image_key), Prompts(box=box)).chosen.mask
        return mask if found.is_empty else found


def loaded_methods(segmenter: Segmenter) -> Callable[[str], Propagator]:
    """Makes a propagator by the name of its method."""

    def make(method: str) -> Propagator:
        simple: dict[str, Callable[[], Propagator]] = {
            "copy": _Simple,
            "flow": _Flow,
            "last box": lambda: _LastBox(segmenter),
        }
        if method in simple:
            return simple[method]()
        return propagator_of(
            segmenter, frames=1, direction=1, embedding_of=lambda f, stop: segmenter.encode(f.image, f.image_key)
        )

    return make
