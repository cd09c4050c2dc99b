"""Stand-ins for the engine: fast, without torch, and stoppable at every step by gates instead of sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotator.domain.answering.everything import Begun, EverythingSettings
from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.errors import EncodeCancelled
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import (
    Candidate,
    Candidates,
    Embedding,
    Engine,
    EngineFactory,
    EverythingStep,
    ModelInfo,
    RgbArray,
)
from annotator.domain.ports.likeness import LikeQuestion
from annotator.domain.ports.tracking import EmbeddingOf, TrackAnswer, TrackFrame, TrackSeed, TrackState
from annotator.domain.prompt import Prompts
from annotator.domain.tracks.track import Direction

LOGITS_SIDE = 64
GATE_TIMEOUT_S = 20.0
CANCEL_POLL_S = 0.002


@dataclass(frozen=True)
class FakeEmbedding:
    key: str
    width: int
    height: int
    image: RgbArray
    nbytes: int = 1
    encode_ms: float = 12.5


class FakeCache:
    """A dictionary; ``gets`` lists what was asked for."""

    def __init__(self) -> None:
        self.embeddings: dict[str, Embedding] = {}
        self.gets: list[str] = []

    def get(self, key: str, image: RgbArray | None = None) -> Embedding | None:
        self.gets.append(key)
        return self.embeddings.get(key)

    def put(self, embedding: Embedding) -> None:
        self.embeddings[embedding.key] = embedding


@dataclass(frozen=True)
class DecodeCall:
    """One call of ``decode`` as it arrived."""

    image_key: str
    prompts: Prompts
    continue_from: Candidate | None
    thread_id: int


@dataclass
class Gate:
    """A place where the engine thread stops while ``is_open`` is not set.

    ``arrived`` is released once per arrival, so that a test can wait until the thread stands there.
    """

    is_open: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.is_open.set()

    def close(self) -> None:
        self.is_open.clear()

    def open(self) -> None:
        self.is_open.set()

    def wait_for_arrival(self) -> None:
        if not self.arrived.acquire(timeout=GATE_TIMEOUT_S):
            raise TimeoutError("nobody came to the gate")

    def pass_through(self, is_cancelled: Callable[[], bool] | None = None) -> None:
        """Raises EncodeCancelled when ``is_cancelled`` says so while the gate is closed."""
        self.arrived.release()
        if is_cancelled is None:
            if not self.is_open.wait(GATE_TIMEOUT_S):
                raise TimeoutError("the gate stayed closed")
            return
        for _ in range(int(GATE_TIMEOUT_S / CANCEL_POLL_S)):
            if is_cancelled():
                raise EncodeCancelled
            if self.is_open.wait(CANCEL_POLL_S):
                return
        raise TimeoutError("the gate stayed closed")


class FakeSegmenter:
    """Answers with a disc around the last positive click (else the box's centre), minus discs at negative clicks.

    An ambiguous click gives three discs, the middle one best. ``encode_gate`` and ``decode_gate`` hold the engine
    thread; ``encode_errors`` and ``decode_errors`` are raised by the next calls, first first.
    """

    def __init__(self, name: str = "fake", *, radius_px: float = 12.0) -> None:
        self.info = ModelInfo(name, f"sha-of-{name}", "cpu", "float32", LOGITS_SIDE * 4)
        self.radius_px = radius_px
        self.predicted_iou, self.object_score = 0.9, 5.0
        self.encode_gate, self.decode_gate = Gate(), Gate()
        self.encodes: list[str] = []
        self.cancelled: list[str] = []
        self.decodes: list[DecodeCall] = []
        self.thread_ids: set[int] = set()
        self.encode_errors: list[Exception] = []
        self.decode_errors: list[Exception] = []

    def embedding_key(self, image_key: str) -> str:
        return f"{self.info.name}:{image_key}"

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> FakeEmbedding:
        self.thread_ids.add(threading.get_ident())
        self.encodes.append(image_key)
        try:
            self.encode_gate.pass_through(is_cancelled)
        except EncodeCancelled:
            self.cancelled.append(image_key)
            raise
        if self.encode_errors:
            raise self.encode_errors.pop(0)
        height, width = image.shape[:2]
        return FakeEmbedding(self.embedding_key(image_key), width, height, image)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.thread_ids.add(threading.get_ident())
        image_key = embedding.key.split(":", 1)[1]
        self.decodes.append(DecodeCall(image_key, prompts, continue_from, threading.get_ident()))
        self.decode_gate.pass_through()
        if self.decode_errors:
            raise self.decode_errors.pop(0)
        scales = (0.6, 1.0, 1.6) if prompts.is_ambiguous else (1.0,)
        labels = ("part", "whole", "group") if prompts.is_ambiguous else ("",)
        items = tuple(
            self._candidate(embedding, prompts, self.radius_px * scale, label)
            for scale, label in zip(scales, labels, strict=True)
        )
        return Candidates(items, len(items) // 2, self.object_score, 3.5)

    def _candidate(self, embedding: Embedding, prompts: Prompts, radius_px: float, label: str) -> Candidate:
        width, height = embedding.width, embedding.height
        x, y = _centre(prompts)
        inside = _disc(x, y, radius_px, width, height)
        for point in prompts.points:
            if not point.is_positive:
                inside = np.minimum(inside, -_disc(point.x, point.y, radius_px / 2, width, height))
        logits = inside.astype(np.float32)
        mask = mask_from_logits(logits, width=width, height=height)
        return Candidate(logits, self.predicted_iou, 0.95, mask, label)


@dataclass(frozen=True, eq=False)
class FakeProposal:
    """What :class:`FakeFinder` finds."""

    mask: Mask
    predicted_iou: float = 0.9
    stability_score: float = 0.95
    phrase: str = ""


class FakeFinder(FakeSegmenter):
    """Answers the question for everything with ``found``, one more of them at each step; ``step_gate`` holds it."""

    def __init__(self, found: Sequence[FakeProposal], *, radius_px: float = 12.0) -> None:
        super().__init__(radius_px=radius_px)
        self.found = list(found)
        self.step_gate = Gate()
        self.everything_settings = EverythingSettings()
        self.begun = 0
        self.goes_on_from = 0
        self.questions: list[tuple[str, LikeQuestion, tuple[Mask, ...]]] = []
        """Of every search for what is like examples: the image's key, what was looked for, what was there."""
        self.is_at_once = False
        """Whether one step has all of it."""

    @property
    def likeness(self) -> FakeFinder:
        """Answers what is like examples in the same way."""
        return self

    def steps(
        self,
        embedding: Embedding,
        image: RgbArray,
        image_key: str,
        question: LikeQuestion,
        known: Sequence[Mask],
        *,
        has_to_yield: Callable[[], bool] | None = None,
    ) -> Iterator[EverythingStep]:
        self.questions.append((image_key, question, tuple(known)))
        return self.everything(embedding, image, self.everything_settings, has_to_yield=has_to_yield)

    def everything(
        self,
        embedding: Embedding,
        image: RgbArray,
        settings: EverythingSettings,
        *,
        has_to_yield: Callable[[], bool] | None = None,
        begun: Begun | None = None,
    ) -> Iterator[EverythingStep]:
        self.begun += 1
        self.goes_on_from = 0 if begun is None else begun.done
        found = list(self.found)
        if begun is not None:
            found[: begun.done] = begun.proposals  # type: ignore[assignment]
        if self.is_at_once or not found:
            yield EverythingStep(1, 1, tuple(found), is_last=True)  # type: ignore[arg-type]
            return
        for done in range(self.goes_on_from + 1, len(found) + 1):
            while done > 1 or len(found) == 1:
                try:
                    self.step_gate.pass_through(has_to_yield)
                    break
                except EncodeCancelled:
                    yield EverythingStep(done - 1, len(found), None)
            yield EverythingStep(done, len(found), tuple(found[:done]), is_last=done == len(found))  # type: ignore[arg-type]


class FakeCarrier(FakeSegmenter):
    """Carries masks as they are, one pixel further to the right each frame; ``carry_gate`` holds every step.

    ``looks`` says by position what an answer looks like: a confidence, or None for an object that is not there.
    """

    def __init__(self, *, radius_px: float = 9.0) -> None:
        super().__init__(radius_px=radius_px)
        self.carry_gate = Gate()
        self.looks: dict[int, float | None] = {}
        self.seeded: list[tuple[int, int]] = []
        """(position, track id)"""
        self.stepped: list[int] = []
        self.note, self.finds_again = "Masks are carried as they are.", False
        self._masks: dict[int, tuple[int, Mask]] = {}

    def propagator(self, *, frames: int, direction: Direction, embedding_of: EmbeddingOf) -> FakeCarrier:
        self._masks = {}
        return self

    def seed(self, frame: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        for seed in seeds:
            self.seeded.append((frame.position, seed.track_id))
            self._masks[seed.track_id] = (frame.position, seed.mask)

    def step(
        self, frame: TrackFrame, track_ids: Sequence[int], *, is_cancelled: Callable[[], bool]
    ) -> list[TrackAnswer]:
        self.carry_gate.pass_through(is_cancelled)
        self.stepped.append(frame.position)
        return [self._answer(frame, track_id) for track_id in track_ids]

    def _answer(self, frame: TrackFrame, track_id: int) -> TrackAnswer:
        look = self.looks.get(frame.position, 0.9)
        since, mask = self._masks[track_id]
        if look is None:
            mask = Mask.empty(mask.width, mask.height)
        else:
            mask = Mask(mask.bits, mask.x + frame.position - since, mask.y, mask.width, mask.height)
        state = TrackState.LOST if look is None else TrackState.FOUND
        return TrackAnswer(track_id, frame.position, mask, look or 0.0, state, mask.rle())


def block(x: int, y: int, w: int, h: int, *, width: int, height: int) -> Mask:
    """A rectangle of an image."""
    return Mask(np.ones((h, w), np.bool_), x, y, width, height)


def _centre(prompts: Prompts) -> tuple[float, float]:
    positive = [point for point in prompts.points if point.is_positive]
    if positive:
        return positive[-1].x, positive[-1].y
    if prompts.box is not None:
        return prompts.box.center
    if prompts.base_mask is not None:
        x, y, w, h = prompts.base_mask.bbox_xywh
        return x + w / 2, y + h / 2
    return -1e6, -1e6


def _disc(x: float, y: float, radius_px: float, width: int, height: int) -> np.ndarray:
    columns = (np.arange(LOGITS_SIDE) + 0.5) * width / LOGITS_SIDE
    rows = (np.arange(LOGITS_SIDE) + 0.5) * height / LOGITS_SIDE
    return radius_px - np.hypot(columns[None, :] - x, rows[:, None] - y)


def fake_engine(segmenter: FakeSegmenter, cache: FakeCache | None = None) -> EngineFactory:
    """A factory that reports one line of progress and hands out the given parts."""

    def factory(report: Callable[[str], None]) -> Engine:
        segmenter.thread_ids.add(threading.get_ident())
        report(f"loading {segmenter.info.name}")
        return Engine(segmenter, cache if cache is not None else FakeCache())

    return factory
