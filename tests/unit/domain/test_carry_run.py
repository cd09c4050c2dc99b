"""Runs: which frames are read, what is written, and when a track ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.ports.tracking import TrackAnswer, TrackState
from annotator.domain.tracks.confidence import expected_iou
from annotator.domain.tracks.run import FINDING_PATIENCE, CarryRun, Leg, Outcome, leg_of, legs_between_keys
from annotator.domain.tracks.track import Direction, Track, TrackMember

SOME = Mask.from_full(np.ones((4, 4), np.bool_))
NONE = Mask.empty(4, 4)


def answer(track_id: int, position: int, state: TrackState = TrackState.FOUND, mask: Mask = SOME) -> TrackAnswer:
    return TrackAnswer(track_id, position, mask, 0.9, state, mask.rle())


def track(keys: tuple[int, ...], carried: tuple[int, ...] = (), track_id: int = 1) -> Track:
    members = {at: TrackMember(at, at, track_id, 1, at, at in keys) for at in (*keys, *carried)}
    return Track(track_id, members)


def through(run: CarryRun, looks: str) -> tuple[list[int], list[tuple[int, bool]]]:
    """Run one track: ``.`` found, ``?`` looks lost, ``x`` nothing there. Positions written, and how it ended."""
    written: list[int] = []
    ends: list[tuple[int, bool]] = []
    kinds = {".": (TrackState.FOUND, SOME), "?": (TrackState.LOST, SOME), "x": (TrackState.LOST, NONE)}
    at = iter(looks)
    while run.position is not None:
        answers = [answer(one, run.position, *kinds[next(at)]) for one in run.wanted]
        outcome = run.take(answers)
        written += [one.position for one in outcome.found]
        ends += [(one.last, one.is_lost) for one in outcome.ended]
    return written, ends


@pytest.mark.parametrize(
    ("looks", "written", "ends"),
    [
        ("....", [3, 4, 5, 6], [(6, False)]),
        ("..?.", [3, 4, 5, 6], [(6, False)]),  # one doubt is none
        (".??", [3], [(3, True)]),  # the first of two is taken back
        (".x", [3], [(3, True)]),
        ("??", [], [(2, True)]),
        ("...?", [3, 4, 5, 6], [(6, False)]),  # nothing after it says that it was lost
        ("...x", [3, 4, 5], [(5, True)]),
    ],
)
def test_a_track_ends_when_it_looks_lost_twice_running(
    looks: str, written: list[int], ends: list[tuple[int, bool]]
) -> None:
    assert through(CarryRun([Leg(1, 2, 6)], 1), looks) == (written, ends)


def test_a_model_that_finds_objects_again_leaves_a_gap() -> None:
    run = CarryRun([Leg(1, 0, 6)], 1, patience=FINDING_PATIENCE)
    assert through(run, ".xx...") == ([1, 4, 5, 6], [(6, False)])


def test_backward_is_the_same_the_other_way_round() -> None:
    assert through(CarryRun([Leg(1, 6, 2)], -1), "....") == ([5, 4, 3, 2], [(2, False)])


def test_several_tracks_share_the_frames_and_join_where_they_start() -> None:
    run = CarryRun([Leg(1, 0, 4), Leg(2, 2, 3), Leg(1, 6, 7)], 1)
    seen = []
    while run.position is not None:
        seen.append((run.position, run.wanted, tuple(leg.track_id for leg in run.starting)))
        run.take([answer(one, run.position) for one in run.wanted])
    assert seen == [
        (0, (), (1,)),
        (1, (1,), ()),
        (2, (1,), (2,)),
        (3, (1, 2), ()),
        (4, (1,), ()),
        (6, (), (1,)),
        (7, (1,), ()),
    ]
    assert (run.done, run.total) == (5, 5)


def test_a_frame_that_cannot_be_read_is_passed_over() -> None:
    run = CarryRun([Leg(1, 0, 3)], 1)
    run.take([])
    run.leave_out(1)
    assert run.take([answer(1, 2)]).found[0].position == 2
    run.leave_out(3)
    assert run.position is None


def test_a_track_that_a_person_takes_over_is_left_alone() -> None:
    run = CarryRun([Leg(1, 0, 5), Leg(2, 0, 5)], 1)
    run.take([])
    run.stop_track(1)
    assert run.wanted == (2,)
    assert run.take([answer(1, 1), answer(2, 1)]).found[0].track_id == 2


@pytest.mark.parametrize(
    ("keys", "start", "direction", "limit", "blocked", "stop"),
    [
        ((2,), 2, 1, 9, (), 9),
        ((2, 6), 2, 1, 9, (), 5),  # never on, never across a key frame
        ((2, 6), 6, -1, 0, (), 3),
        ((2, 3), 2, 1, 9, (), 2),  # nothing between them
        ((2,), 2, 1, 9, (5,), 4),  # a person has said that nothing is there
        ((2, 8), 4, 1, 9, (), 7),  # on from a carried frame
        ((2,), 2, 1, 1, (), 2),
    ],
)
def test_a_leg_ends_before_the_next_key_frame(
    keys: tuple[int, ...], start: int, direction: Direction, limit: int, blocked: tuple[int, ...], stop: int
) -> None:
    assert leg_of(track(keys), start, direction, limit=limit, blocked=blocked).stop == stop


def test_going_on_from_a_carried_frame_remembers_the_key_frame() -> None:
    assert leg_of(track((2,), (3, 4)), 4, 1, limit=9).memory == (2,)
    assert leg_of(track((2,), (3, 4)), 2, 1, limit=9).memory == ()


@given(
    keys=st.sets(st.integers(0, 20), min_size=1, max_size=6),
    direction=st.sampled_from((1, -1)),
    looks=st.lists(st.sampled_from(".?x"), min_size=25, max_size=25),
    patience=st.integers(1, 4),
)
def test_no_key_frame_is_ever_written_and_none_is_written_twice(
    keys: set[int], direction: Direction, looks: list[str], patience: int
) -> None:
    known = track(tuple(sorted(keys)))
    legs = legs_between_keys(known, direction, limit=20 if direction > 0 else 0)
    written, ends = through(CarryRun(legs, direction, patience=patience), "".join(looks))
    assert not set(written) & keys
    assert len(written) == len(set(written))
    assert len(ends) == sum(leg.length > 0 for leg in legs)
    assert all(0 <= at <= 20 for at in written)


def test_an_outcome_of_nothing() -> None:
    run = CarryRun([], 1)
    assert run.position is None
    with pytest.raises(ValueError, match="over"):
        run.take([])
    assert Outcome() is not None


@given(st.floats(0, 1), st.floats(-1, 2), st.floats(0, 1), st.floats(0, 0.2))
def test_confidence_is_a_share_and_rises_with_what_speaks_for_the_mask(
    agreed: float, predicted: float, spread: float, more: float
) -> None:
    low = expected_iou(agreed, predicted, spread)
    assert 0 <= low <= 1
    assert expected_iou(min(1.0, agreed + more), predicted, spread) >= low - 1e-9
