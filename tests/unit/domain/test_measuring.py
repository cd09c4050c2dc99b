"""Lengths and angles."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.measuring import angle_deg, length, slope_deg, straightened
from annotator.ui.look.numbers import millimetres, size_text

PLACES = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


def test_a_length_is_in_pixels_or_as_it_is_in_space() -> None:
    assert length((1, 2), (4, 6)) == 5
    assert length((1, 2), (4, 6), (0.5, 2.0)) == pytest.approx(math.hypot(1.5, 8))


def test_angles_are_those_of_space_where_pixels_are_no_squares() -> None:
    assert angle_deg((0, 0), (10, 0), (10, 10)) == pytest.approx(45)
    assert angle_deg((0, 0), (10, 0), (-3, 0)) == pytest.approx(180)
    assert angle_deg((0, 0), (10, 0), (10, 10), (1.0, 2.0)) == pytest.approx(math.degrees(math.atan(2)))
    assert slope_deg((5, 5), (2, 8)) == pytest.approx(45)
    assert slope_deg((5, 5), (5, 5)) == 0


@given(PLACES, PLACES, PLACES)
def test_an_angle_is_the_same_from_either_arm_and_keeps_to_its_range(
    corner: tuple[float, float], one: tuple[float, float], other: tuple[float, float]
) -> None:
    found = angle_deg(corner, one, other)
    assert 0 <= found <= 180
    assert found == pytest.approx(angle_deg(corner, other, one))


@given(PLACES, PLACES)
def test_a_straightened_line_has_one_of_eight_directions_and_is_no_longer(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    found = straightened(start, end)
    assert length(start, found) <= length(start, end) + 1e-9
    if length(start, found) > 1e-3:
        assert slope_deg(start, found) == pytest.approx(round(slope_deg(start, found) / 45) * 45, abs=1e-4)


def test_lengths_are_written_in_the_unit_of_their_size() -> None:
    assert [millimetres(value) for value in (0.0005, 0.25, 12.345, 1234.4)] == [
        "0.5 µm",
        "0.25 mm",
        "12.3 mm",
        "1\u202f234 mm",
    ]
    assert size_text(40, 30) == "40 × 30 px"
    assert size_text(40, 30, (0.5, 0.25)) == "40 × 30 px  ·  20 × 7.5 mm"
    assert size_text(40, 3, (0.5, 0.01)) == "40 × 3 px  ·  20 mm × 30 µm"
