"""The engine's session without Qt: a plain thread, or none, does what waits; the most urgent first."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.errors import EncodeCancelled, ModelError, PromptError
from annotator.domain.mask import Mask
from annotator.domain.phrase import split_phrases
from annotator.domain.ports.concept import ConceptAsk, ConceptRequest
from annotator.domain.ports.engine import EverythingStep, ModelInfo
from annotator.domain.ports.likeness import Examples, LikeQuestion, LikeRequest
from annotator.domain.ports.requests import (
    LOAD_EPOCH,
    SEARCH_EPOCH,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
    EverythingRequest,
    EverythingResult,
    WarmRequest,
)
from annotator.domain.ports.tracking import CarryResult
from annotator.domain.project import Annotation
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.finders import FinderShelf
from annotator.engine.mailboxes import Job, Lane, Mailboxes
from annotator.engine.session import EngineSession
from tests.fakes import FakeSegmenter, fake_engine

RGB = np.zeros((48, 64, 3), np.uint8)


@dataclass
class Heard:
    """What a session said, in order."""

    said: list[tuple[str, Any]] = field(default_factory=list)

    def on_loading(self, line: str) -> None:
        self.said.append(("loading", line))

    def on_loaded(self, info: ModelInfo, model: int) -> None:
        self.said.append(("loaded", model))

    def on_moved(self, info: ModelInfo, model: int) -> None:
        self.said.append(("moved", info))

    def on_adapter_set(self, adapter: object, took_ms: float, model: int) -> None:
        self.said.append(("adapter", adapter))

    def on_encode_started(self, image_key: str) -> None:
        self.said.append(("encode", image_key))

    def on_encoded(self, result: EncodeResult) -> None:
        self.said.append(("encoded", (result.image_key, result.was_cached)))

    def on_decoded(self, result: DecodeResult) -> None:
        self.said.append(("decoded", result.generation))

    def on_compared(self, result: DecodeResult) -> None:
        self.said.append(("compared", result.generation))

    def on_everything(self, result: EverythingResult) -> None:
        self.said.append(("everything", (result.generation, result.step.done)))

    def on_carried(self, result: CarryResult) -> None:
        self.said.append(("carried", (result.generation, result.position, [one.track_id for one in result.answers])))

    def on_failed(self, failure: EngineFailure) -> None:
        self.said.append(("failed", (failure.epoch, failure.message)))


def decode(generation: int, key: str = "a") -> DecodeRequest:
    return DecodeRequest(1, generation, key, RGB, Prompts((PointPrompt(20.0, 20.0),)))


def loaded(segmenter: FakeSegmenter, **keywords: int) -> tuple[Mailboxes, Heard, EngineSession]:
    mailboxes, heard = Mailboxes(), Heard()
    session = EngineSession(mailboxes, heard, **keywords)
    mailboxes.put(Job(Lane.LOAD, fake_engine(segmenter)))
    assert session.work() is None
    heard.said.clear()
    return mailboxes, heard, session


def test_nothing_is_taken_before_the_engine_is_there_and_then_all_of_it() -> None:
    mailboxes, heard = Mailboxes(), Heard()
    session = EngineSession(mailboxes, heard)
    mailboxes.put(Job(Lane.DECODE, decode(1)))
    session.work()
    assert heard.said == []
    mailboxes.put(Job(Lane.LOAD, fake_engine(FakeSegmenter())))
    session.work()
    assert heard.said == [("loading", "loading fake"), ("loaded", 1), ("encode", "a"), ("decoded", 1)]


def test_the_most_urgent_goes_first_and_the_newest_click_takes_the_place_of_one_that_waits() -> None:
    mailboxes, heard, session = loaded(FakeSegmenter())
    mailboxes.put(Job(Lane.PREFETCH, EncodeRequest(1, "c", RGB, is_prefetch=True)))
    mailboxes.put(Job(Lane.ENCODE, EncodeRequest(1, "b", RGB)))
    for generation in (1, 2, 3):
        mailboxes.put(Job(Lane.DECODE, decode(generation)))
    session.work()
    assert [what for what in heard.said if what[0] != "encode"] == [
        ("decoded", 3),
        ("encoded", ("b", False)),
        ("encoded", ("c", False)),
    ]


def test_what_waits_for_quiet_says_for_how_long() -> None:
    mailboxes, heard, session = loaded(FakeSegmenter(), prefetch_idle_ms=60_000)
    mailboxes.put(Job(Lane.PREFETCH, EncodeRequest(1, "c", RGB, is_prefetch=True)))
    again_s = session.work()
    assert again_s is not None
    assert 0 < again_s <= 60
    assert heard.said == []
    assert mailboxes.peek(Lane.PREFETCH) is not None


def test_errors_of_the_persons_world_and_bugs_end_a_job_and_not_the_session() -> None:
    segmenter = FakeSegmenter()
    mailboxes, heard, session = loaded(segmenter)
    segmenter.decode_errors = [PromptError("Nothing there.", "Click."), ZeroDivisionError()]
    for generation in (1, 2, 3):
        mailboxes.put(Job(Lane.DECODE, decode(generation)))
        session.work()
    kinds = [what for what, _ in heard.said]
    assert kinds == ["encode", "failed", "failed", "decoded"]
    assert heard.said[1][1] == (1, "Nothing there. Click.")
    assert "ZeroDivisionError" in heard.said[2][1][1]


def test_a_model_that_cannot_be_loaded_leaves_the_one_in_use() -> None:
    mailboxes, heard, session = loaded(FakeSegmenter())

    def broken(_report: object) -> Any:
        raise PromptError("No such model.", "")

    mailboxes.put(Job(Lane.LOAD, broken))
    mailboxes.put(Job(Lane.DECODE, decode(1)))
    session.work()
    assert [what for what, _ in heard.said] == ["failed", "encode", "decoded"]
    assert heard.said[0][1][0] == LOAD_EPOCH


def test_a_plain_thread_is_enough() -> None:
    segmenter = FakeSegmenter()
    mailboxes, heard, session = loaded(segmenter)
    segmenter.encode_gate.close()
    mailboxes.put(Job(Lane.ENCODE, EncodeRequest(1, "a", RGB)))
    thread = threading.Thread(target=session.work)
    thread.start()
    segmenter.encode_gate.wait_for_arrival()
    mailboxes.put(Job(Lane.DECODE, decode(1, "b")))  # a click on another image: the encode yields, and goes on after it
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.open()
    thread.join(20)
    assert not thread.is_alive()
    assert ("decoded", 1) in heard.said
    assert heard.said[-1] == ("encoded", ("a", False))


class Everything(FakeSegmenter):
    """Answers with as many steps as ``count``; ``between`` is called before each."""

    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.count = count
        self.between: list[Callable[[], None]] = []
        self.everything_settings = EverythingSettings()
        self.begun = 0

    def everything(self, embedding: Any, image: Any, settings: Any, **_: Any) -> Any:
        self.begun += 1

        def steps() -> Iterator[EverythingStep]:
            for done in range(1, self.count + 1):
                if self.between:
                    self.between.pop(0)()
                yield EverythingStep(done, self.count, (), is_last=done == self.count)

        return steps()


def everything(generation: int, key: str = "a") -> EverythingRequest:
    return EverythingRequest(1, generation, key, RGB)


def test_clicks_are_answered_between_the_steps_of_a_long_question() -> None:
    segmenter = Everything()
    mailboxes, heard, session = loaded(segmenter)
    segmenter.between = [lambda: None, lambda: mailboxes.put(Job(Lane.DECODE, decode(7))) and None]
    mailboxes.put(Job(Lane.EVERYTHING, everything(1)))
    session.work()
    said = [what for what in heard.said if what[0] != "encode"]
    assert said == [("everything", (1, 1)), ("everything", (1, 2)), ("decoded", 7), ("everything", (1, 3))]
    assert segmenter.begun == 1


class Cropping(Everything):
    """Encodes a piece for its second step, as models do that look at crops."""

    def everything(
        self, embedding: Any, image: Any, settings: Any, *, has_to_yield: Any = None, begun: Any = None
    ) -> Any:
        steps = super().everything(embedding, image, settings)
        yield next(steps)
        while True:
            try:
                self.encode(image, "a crop", is_cancelled=has_to_yield)
                break
            except EncodeCancelled:
                yield EverythingStep(1, self.count, None)
        yield from steps


def test_a_click_on_the_very_image_does_not_wait_for_a_crop_which_is_begun_anew() -> None:
    segmenter = Cropping()
    mailboxes, heard, session = loaded(segmenter)
    mailboxes.put(Job(Lane.ENCODE, EncodeRequest(1, "a", RGB)))
    session.work()
    while segmenter.encode_gate.arrived.acquire(blocking=False):
        pass
    heard.said.clear()
    segmenter.encode_gate.close()
    mailboxes.put(Job(Lane.EVERYTHING, everything(1)))
    thread = threading.Thread(target=session.work)
    thread.start()
    segmenter.encode_gate.wait_for_arrival()  # in the middle of the crop
    mailboxes.put(Job(Lane.WARM, WarmRequest(1, "a", 5.0, 5.0)))  # the pointer rests: that is no reason
    mailboxes.put(Job(Lane.DECODE, decode(7)))
    segmenter.encode_gate.wait_for_arrival()  # once more
    assert segmenter.cancelled == ["a crop"]
    assert ("decoded", 7) in heard.said
    segmenter.encode_gate.open()
    thread.join(20)
    assert not thread.is_alive()
    said = [("everything", (1, 1)), ("everything", (1, 1)), ("decoded", 7), ("everything", (1, 2))]
    assert heard.said == [*said, ("everything", (1, 3))]


def test_a_crop_ends_at_once_when_nobody_wants_the_answer_any_more() -> None:
    segmenter = Cropping()
    mailboxes, _heard, session = loaded(segmenter)
    segmenter.between = [lambda: segmenter.encode_gate.close()]
    mailboxes.put(Job(Lane.EVERYTHING, everything(1)))
    thread = threading.Thread(target=session.work)
    thread.start()
    for _ in range(2):
        segmenter.encode_gate.wait_for_arrival()  # the image itself, and a crop
    mailboxes.drop(Lane.EVERYTHING)
    thread.join(20)
    assert not thread.is_alive()
    assert segmenter.cancelled == ["a crop"]


def test_a_long_question_ends_when_it_is_dropped_or_another_takes_its_place() -> None:
    segmenter = Everything()
    mailboxes, heard, session = loaded(segmenter)
    segmenter.between = [lambda: None, lambda: mailboxes.put(Job(Lane.EVERYTHING, everything(2))) and None]
    mailboxes.put(Job(Lane.EVERYTHING, everything(1)))
    session.work()
    assert [what for what in heard.said if what[0] != "encode"][2:] == [("everything", (2, n)) for n in (1, 2, 3)]
    heard.said.clear()
    segmenter.between = [lambda: mailboxes.drop(Lane.EVERYTHING)]
    mailboxes.put(Job(Lane.EVERYTHING, everything(4)))
    session.work()
    assert heard.said == [("everything", (4, 1))]
    heard.said.clear()
    segmenter.between = [lambda: mailboxes.stop()]
    mailboxes.put(Job(Lane.EVERYTHING, everything(3)))
    session.work()
    assert heard.said == [("everything", (3, 1))]


class Like(Everything):
    """Looks for what is like examples, in three steps."""

    @property
    def likeness(self) -> Any:
        return self

    def steps(self, embedding: Any, image: Any, image_key: str, question: Any, known: Any, **_more: Any) -> Any:
        self.known = known
        return self.everything(embedding, image, EverythingSettings())


def like(generation: int, key: str = "a", *, is_ahead: bool = False) -> LikeRequest:
    mask = Mask(np.ones((4, 4), np.bool_), 2, 3, 64, 48)
    sound = Annotation(1, 1, 1, 2, 3, 4, 4, area=16, rle=mask.rle(), image_width=64, image_height=48)
    known = (sound, replace(sound, id=2, rle=b"damaged"))
    return LikeRequest(1, generation, key, RGB, LikeQuestion((Examples(RGB, "a", (mask,)),)), known, is_ahead)


def test_a_search_of_another_image_goes_last_and_goes_on_where_it_was() -> None:
    segmenter = Like()
    mailboxes, heard, session = loaded(segmenter)
    urgent = [
        lambda: mailboxes.put(Job(Lane.PREFETCH, EncodeRequest(1, "next", RGB, is_prefetch=True))) and None,
        lambda: mailboxes.put(Job(Lane.EVERYTHING, everything(2))) and None,
    ]
    segmenter.between = urgent
    mailboxes.put(Job(Lane.AHEAD, like(1, "b", is_ahead=True)))
    session.work()
    said = [what for what in heard.said if what[0] != "encode"]
    steps = [("everything", (2, n)) for n in (1, 2, 3)]
    ahead = [("everything", (1, n)) for n in (1, 2, 3)]
    assert said == [ahead[0], ("encoded", ("next", False)), ahead[1], *steps, ahead[2]]
    assert len(segmenter.known) == 1  # damaged runs are no reason to give up


def test_leaving_an_image_keeps_the_search_of_others() -> None:
    segmenter = Like()
    mailboxes, heard, session = loaded(segmenter)
    mailboxes.put(Job(Lane.AHEAD, like(1, "b", is_ahead=True)))
    mailboxes.put(Job(Lane.EVERYTHING, like(2)))
    mailboxes.clear()
    session.work()
    assert {what[1][0] for what in heard.said if what[0] == "everything"} == {1}
    mailboxes.put(Job(Lane.AHEAD, like(3, "b", is_ahead=True)))
    mailboxes.drop(Lane.AHEAD)
    heard.said.clear()
    session.work()
    assert heard.said == []


def test_a_model_that_cannot_says_so_and_a_failure_lets_the_next_begin_anew() -> None:
    mailboxes, heard, session = loaded(FakeSegmenter())
    mailboxes.put(Job(Lane.EVERYTHING, everything(1)))
    session.work()
    assert heard.said[-1] == ("failed", (1, "fake cannot segment everything. Choose another model."))
    mailboxes.put(Job(Lane.EVERYTHING, like(1)))
    session.work()
    assert heard.said[-1][1][1] == "fake cannot look for objects like others. Choose another model."
    segmenter = Everything()
    mailboxes, heard, session = loaded(segmenter)

    def fail() -> None:
        raise PromptError("No.", "")

    segmenter.between = [lambda: None, fail]
    request = everything(1)
    for _ in range(2):
        mailboxes.put(Job(Lane.EVERYTHING, request))
        session.work()
    assert [what for what, _ in heard.said].count("failed") == 1
    assert segmenter.begun == 2


def test_no_qt_comes_along_and_nothing_that_the_first_mask_does_not_need() -> None:
    late = ("PySide6", "scipy", "skimage", "pydicom")
    code = (
        f"import sys, annotator.engine.session, annotator.api; print([name for name in {late} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class WordFinder:
    """Finds nothing in three steps; the second asks for the image's embedding."""

    info = FakeSegmenter().info

    def __init__(self) -> None:
        self.asked: list[str] = []

    def steps(self, image: Any, ask: Any, *, has_to_yield: Any = None) -> Iterator[EverythingStep]:
        self.asked.append(ask.phrases.text)
        yield EverythingStep(1, 3, None)
        assert image.embedding().key
        yield EverythingStep(2, 3, ())
        yield EverythingStep(3, 3, (), is_last=True)


def test_words_are_answered_in_steps_by_a_model_beside_the_one_in_use() -> None:
    finder, loads = WordFinder(), []

    def load(name: str, role: str, **_more: Any) -> object:
        loads.append((name, role))
        if name == "absent":
            raise ModelError("There is none.", "Get one.")
        return finder

    mailboxes, heard = Mailboxes(), Heard()
    session = EngineSession(mailboxes, heard, finders=FinderShelf(load))
    mailboxes.put(Job(Lane.LOAD, fake_engine(FakeSegmenter())))
    session.work()
    heard.said.clear()

    def ask(generation: int, finder: str = "sam3") -> ConceptRequest:
        return ConceptRequest(SEARCH_EPOCH, generation, "a", RGB, ConceptAsk(split_phrases("cat, not dog")), finder)

    mailboxes.put(Job(Lane.EVERYTHING, ask(1)))
    mailboxes.put(Job(Lane.DECODE, decode(7)))
    session.work()
    assert [what for what in heard.said if what[0] != "encode"] == [
        ("decoded", 7),
        *(("everything", (1, done)) for done in (0, 1, 2, 3)),
    ]
    mailboxes.put(Job(Lane.EVERYTHING, ask(2)))
    session.work()
    assert loads == [("sam3", "finder")], "it stays loaded"
    assert finder.asked == ["cat, not dog"] * 2
    mailboxes.put(Job(Lane.EVERYTHING, ask(3, "absent")))
    session.work()
    assert heard.said[-1] == ("failed", (SEARCH_EPOCH, "There is none. Get one."))
