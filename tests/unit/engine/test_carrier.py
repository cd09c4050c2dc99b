"""Carrying on the engine's thread: frame by frame, behind clicks, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from annotator.domain.errors import EncodeCancelled
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Embedding
from annotator.domain.ports.tracking import CARRY_EPOCH, CarryRequest, TrackAnswer, TrackFrame, TrackSeed
from annotator.engine.mailboxes import Job, Lane
from annotator.engine.tracking.carrier import Carrier
from tests.fakes import FakeCarrier, fake_engine
from tests.unit.engine.test_session import decode, loaded

RGB = np.zeros((48, 64, 3), np.uint8)
MASK = Mask(np.ones((6, 6), np.bool_), 10, 10, 64, 48)


def frame(position: int) -> TrackFrame:
    return TrackFrame(position, RGB, f"frame {position}")


def request(position: int, *, wanted: tuple[int, ...] = (), starts: tuple[int, ...] = (), run: int = 1) -> CarryRequest:
    seeded = ((frame(position), tuple(TrackSeed(one, MASK) for one in starts)),) if starts else ()
    return CarryRequest(run, frame(position), wanted, seeded, 1, 10)


def test_a_run_is_answered_frame_by_frame_with_one_propagator() -> None:
    mailboxes, heard, session = loaded(FakeCarrier())
    for one in (request(0, starts=(1, 2)), request(1, wanted=(1, 2)), request(2, wanted=(2,))):
        mailboxes.put(Job(Lane.CARRY, one))
        session.work()
    carried = [what for kind, what in heard.said if kind == "carried"]
    assert carried == [(1, 0, []), (1, 1, [1, 2]), (1, 2, [2])]


def test_a_click_goes_first() -> None:
    mailboxes, heard, session = loaded(FakeCarrier())
    mailboxes.put(Job(Lane.CARRY, request(0, starts=(1,))))
    mailboxes.put(Job(Lane.DECODE, decode(1)))
    session.work()
    assert [kind for kind, _ in heard.said if kind in ("decoded", "carried")] == ["decoded", "carried"]


def test_a_step_that_gave_way_to_a_click_on_another_image_comes_back() -> None:
    segmenter = FakeCarrier()
    mailboxes, heard, session = loaded(segmenter)
    mailboxes.put(Job(Lane.CARRY, request(0, starts=(1,))))
    session.work()
    step = segmenter.step
    calls = 0

    def interrupted(at: TrackFrame, ids: Sequence[int], *, is_cancelled: Callable[[], bool]) -> list[TrackAnswer]:
        nonlocal calls
        calls += 1
        if calls == 1:
            mailboxes.put(Job(Lane.DECODE, decode(7, "elsewhere")))
            assert is_cancelled()
            raise EncodeCancelled
        return step(at, ids, is_cancelled=is_cancelled)

    segmenter.step = interrupted  # type: ignore[method-assign]
    mailboxes.put(Job(Lane.CARRY, request(1, wanted=(1,))))
    session.work()
    assert [kind for kind, _ in heard.said][-2:] == ["decoded", "carried"]


def test_another_model_ends_a_run_with_a_sentence() -> None:
    mailboxes, heard, session = loaded(FakeCarrier())
    mailboxes.put(Job(Lane.CARRY, request(0, starts=(1,))))
    session.work()
    mailboxes.put(Job(Lane.LOAD, fake_engine(FakeCarrier())))
    mailboxes.put(Job(Lane.CARRY, request(1, wanted=(1,))))
    session.work()
    epoch, message = dict(heard.said)["failed"]
    assert epoch == CARRY_EPOCH
    assert "Another model" in message


def test_what_a_run_encodes_is_not_kept_and_what_is_kept_is_used() -> None:
    segmenter = FakeCarrier()
    seen: list[Embedding] = []
    make = segmenter.propagator

    def propagator(*, frames: int, direction: int, embedding_of: Callable[..., Embedding]) -> FakeCarrier:
        def seed(at: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
            seen.append(embedding_of(at, is_cancelled))

        made = make(frames=frames, direction=1, embedding_of=embedding_of)
        made.seed = seed  # type: ignore[method-assign]
        return made

    segmenter.propagator = propagator  # type: ignore[method-assign, assignment]
    mailboxes, _, session = loaded(segmenter)
    for at in (0, 0):
        mailboxes.put(Job(Lane.CARRY, request(at, starts=(1,))))
        session.work()
    assert segmenter.encodes == ["frame 0", "frame 0"]
    mailboxes.put(Job(Lane.DECODE, decode(1, "frame 3")))
    mailboxes.put(Job(Lane.CARRY, request(3, starts=(1,))))
    session.work()
    assert segmenter.encodes.count("frame 3") == 1
    assert len(seen) == 3


def test_a_request_that_comes_back_is_not_answered_twice() -> None:
    carrier = FakeCarrier()
    wrapped = Carrier(1, carrier)
    wrapped.answer(request(0, starts=(1,)), is_cancelled=lambda: False)
    seed, calls = carrier.seed, 0

    def interrupted(at: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise EncodeCancelled
        seed(at, seeds, is_cancelled=is_cancelled)

    carrier.seed = interrupted  # type: ignore[method-assign]
    one = request(1, wanted=(1,), starts=(2,))
    with pytest.raises(EncodeCancelled):
        wrapped.answer(one, is_cancelled=lambda: False)
    (answer,) = wrapped.answer(one, is_cancelled=lambda: False)
    assert (answer.track_id, carrier.stepped, carrier.seeded) == (1, [1], [(0, 1), (1, 2)])
