"""Which frames of a video are picked, and times as people write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.frame_pick import (
    ALL_FRAMES,
    FramePick,
    ordinal,
    parse_time,
    pick_from_data,
    step_ms,
    time_text,
)

PICKS = st.builds(
    lambda every, start, length: FramePick(every, start, None if length is None else start + length),
    st.integers(1, 40),
    st.integers(0, 9000),
    st.none() | st.integers(0, 9000),
)


@given(pick=PICKS, steps=st.lists(st.integers(1, 500), min_size=1, max_size=80))
def test_every_nth_frame_of_those_in_the_range(pick: FramePick, steps: list[int]) -> None:
    times = [sum(steps[:at]) for at in range(len(steps))]
    end = times[-1] if pick.to_ms is None else pick.to_ms
    inside = [frame for frame, at in enumerate(times) if pick.from_ms <= at <= end]
    assert list(pick.frames(times)) == inside[:: pick.every]
    assert pick_from_data(json.loads(json.dumps(pick.to_data()))) == pick


def test_a_time_that_was_read_from_the_screen_finds_its_frame() -> None:
    times = [frame * 1001 / 30 for frame in range(200)]
    for frame, at in enumerate(times):
        shown = parse_time(time_text(at))
        assert FramePick(1, shown, shown).frames(times) == (frame,)


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        {},
        {"every": 0, "from_ms": 0, "to_ms": None},
        {"every": True, "from_ms": 0, "to_ms": 1},
        {"every": 2, "from_ms": 9, "to_ms": 3},
        {"every": 2, "from_ms": "0", "to_ms": None},
        {"every": 2, "from_ms": float("inf"), "to_ms": None},
        {"every": 2, "from_ms": 10**400, "to_ms": None},
    ],
)
def test_what_a_damaged_project_says_is_all_frames(data: object) -> None:
    assert pick_from_data(data) == ALL_FRAMES
    assert ALL_FRAMES.takes_all


@given(st.integers(0, 9 * 3600 * 1000))
def test_times_are_read_as_they_are_written(ms: int) -> None:
    assert parse_time(time_text(ms)) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("text", "ms"), [("90", 90_000), ("1:30.500", 90_500), ("1:02:03", 3_723_000), (" 0,04 ", 40), ("75:00", 4_500_000)]
)
def test_times_as_people_write_them(text: str, ms: float) -> None:
    assert parse_time(text) == pytest.approx(ms)


@pytest.mark.parametrize("text", ["", "a", "-1", "1:60", "1:60:00", "1:2:3:4", "1e3", "nan", "1:"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_words() -> None:
    assert (
        FramePick(10, 1000, 90_500).words(6, 1234)
        == "every 10th frame from 0:01.000 to 1:30.500, 6 of 1\u202f234 frames"
    )
    assert [ordinal(n) for n in (2, 3, 11, 21, 112)] == ["2nd", "3rd", "11th", "21st", "112th"]
    assert (step_ms([0, 40, 80, 500]), step_ms([0, 0])) == (40, 0)
