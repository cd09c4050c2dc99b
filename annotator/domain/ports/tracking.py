"""What carries objects from image to image of a series: one direction and one run, on the engine's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Embedding, ModelInfo, RgbArray
from annotator.domain.tracks.track import Direction


@dataclass(frozen=True, slots=True, eq=False)
class TrackFrame:
    """One image of a series.

    Attributes:
        position: in the series, from 0.
        image: H x W x 3 uint8 RGB, as shown.
        image_key: names the pixels, as for :meth:`annotator.domain.ports.engine.Segmenter.encode`.
    """

    position: int
    image: RgbArray
    image_key: str

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class TrackSeed:
    """What is certain: where an object is on a frame. ``mask`` is not empty and of the frame's size."""

    track_id: int
    mask: Mask


class TrackState(StrEnum):
    """What a propagator thinks of its answer."""

    FOUND = "found"
    LOST = "lost"
    """The object does not look as remembered, or is hardly there any more; the mask may be empty."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackAnswer:
    """An object on a frame.

    Attributes:
        confidence: expected IoU of the mask, 0..1.
        rle: of the mask (:meth:`annotator.domain.mask.Mask.rle`), made where it does not hold up the window.
    """

    track_id: int
    position: int
    mask: Mask
    confidence: float
    state: TrackState
    rle: bytes


class Propagator(Protocol):
    """Carries several objects in one pass over the frames of a series, in their order or against it."""

    @property
    def note(self) -> str:
        """One sentence for the person about how it works; may be empty."""
        ...

    @property
    def finds_again(self) -> bool:
        """Whether an object that was lost may be found again some frames later."""
        ...

    def seed(self, frame: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        """Take objects up on a frame. A track that is known already has been corrected there, or goes on from there.

        Raises:
            EncodeCancelled: ``is_cancelled`` said so; nothing was taken up, the call can be repeated.
        """
        ...

    def step(
        self, frame: TrackFrame, track_ids: Sequence[int], *, is_cancelled: Callable[[], bool]
    ) -> list[TrackAnswer]:
        """Where these objects are on the next frame; others are forgotten.

        Raises:
            EncodeCancelled: ``is_cancelled`` said so; the call can be repeated.
            DeviceMemoryError: there is no room for it.
        """
        ...


EmbeddingOf = Callable[[TrackFrame, Callable[[], bool]], Embedding]
"""The embedding of a frame, from the cache where it is there; the other argument is ``is_cancelled``."""


@runtime_checkable
class Trackable(Protocol):
    """A segmenter with a propagator of its own; others are carried by motion (:mod:`annotator.engine.tracking`)."""

    def propagator(self, *, frames: int, direction: Direction, embedding_of: EmbeddingOf) -> Propagator:
        """A new run over a series of so many frames."""
        ...


CARRY_EPOCH = -4
"""The epoch of everything that is carried: a run is no part of the visit of an image."""


@dataclass(frozen=True, slots=True, eq=False)
class CarryRequest:
    """One frame of a run.

    Attributes:
        generation: of the pass; another one begins with a new propagator.
        wanted: tracks to be answered on the frame.
        seeded: frames and what is certain on them, taken up in this order after the answers; the last may be the frame
            itself.
        frames: in the whole series.
    """

    generation: int
    frame: TrackFrame
    wanted: tuple[int, ...]
    seeded: tuple[tuple[TrackFrame, tuple[TrackSeed, ...]], ...]
    direction: Direction
    frames: int
    epoch: int = CARRY_EPOCH

    @property
    def image_key(self) -> str:
        return self.frame.image_key


@dataclass(frozen=True, slots=True, eq=False)
class CarryResult:
    """Where the wanted tracks are on the frame; ``note`` and ``finds_again`` are the propagator's."""

    generation: int
    position: int
    answers: tuple[TrackAnswer, ...]
    note: str
    finds_again: bool
    model: ModelInfo
    adapter: str = ""
