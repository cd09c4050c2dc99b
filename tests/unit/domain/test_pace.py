"""Playing keeps the time of a video, and shows every slice of what has no time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.pace import SPEEDS, USUAL_STEP_MS, Pace, nearest_speed


@given(
    step_ms=st.floats(5, 1000),
    speed=st.sampled_from(SPEEDS),
    waits_ms=st.lists(st.floats(0, 5000), min_size=1, max_size=30),
)
def test_a_video_is_never_more_than_half_a_frame_off_its_time(step_ms, speed, waits_ms) -> None:
    pace, now_ms, shown = Pace(step_ms, speed), 100.0, 0
    pace.begin(now_ms)
    for wait_ms in waits_ms:
        now_ms += wait_ms
        shown += pace.steps(now_ms)
        assert abs(shown * step_ms / speed - (now_ms - 100.0)) <= 0.5 * step_ms / speed + 1e-3


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=10))
def test_of_a_stack_every_slice_is_shown(waits_ms) -> None:
    pace, now_ms = Pace(), 0.0
    pace.begin(now_ms)
    for wait_ms in waits_ms:
        now_ms += wait_ms
        assert pace.steps(now_ms) == 1


def test_speeds_change_how_often_it_is_asked() -> None:
    assert [Pace(speed=speed).tick_ms for speed in SPEEDS] == [USUAL_STEP_MS * 2, USUAL_STEP_MS, USUAL_STEP_MS / 2]
    assert [Pace(40.0, speed).tick_ms for speed in SPEEDS] == [80, 40, 20]
    assert Pace(1.0, 2.0).tick_ms == 10  # no busier than the screen


def test_a_speed_from_a_file_becomes_one_that_there_is() -> None:
    assert [nearest_speed(wanted) for wanted in (0.1, 0.5, 1.2, 1.6, 2.0)] == [0.5, 0.5, 1.0, 2.0, 2.0]
