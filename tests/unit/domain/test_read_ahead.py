"""In which order slices are read before somebody comes to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.read_ahead import in_reading_order

places = st.integers(1, 40).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count)))


@given(places, st.sampled_from((-1, 0, 1)), st.integers(0, 50), st.booleans())
def test_each_place_comes_once_and_those_of_one_side_in_their_order(
    place: tuple[int, int], way: int, most: int, wraps: bool
) -> None:
    at, count = place
    found = in_reading_order(at, count, way=way, most=most, wraps=wraps)
    assert len(found) == len(set(found)) == min(most, count - 1)
    assert at not in found
    assert set(found) <= set(range(count))
    if not wraps:
        for side in (-1, 1):
            distances = [(other - at) * side for other in found if (other - at) * side > 0]
            assert distances == list(range(1, len(distances) + 1))


def test_whoever_goes_on_is_followed_by_fewer_and_at_rest_both_sides_are_alike() -> None:
    assert in_reading_order(50, 100, way=1, most=8) == (51, 52, 53, 49, 54, 55, 56, 48)
    assert in_reading_order(50, 100, way=-1, most=8) == (49, 48, 47, 51, 46, 45, 44, 52)
    assert in_reading_order(50, 100, way=0, most=6) == (51, 49, 52, 48, 53, 47)


def test_after_the_last_slice_of_one_that_plays_comes_the_first() -> None:
    assert in_reading_order(8, 10, way=1, most=4, wraps=True) == (9, 0, 1, 2)


def test_of_a_video_few_frames_are_read_against_its_order() -> None:
    assert in_reading_order(50, 100, way=1, most=8, most_behind=1) == (51, 52, 53, 49, 54, 55, 56, 57)
