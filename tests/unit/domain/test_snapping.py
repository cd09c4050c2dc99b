"""Snapping to the image's borders and to outlines."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.snapping import snapped

SIZE = (40, 30)


def block(x0: int, y0: int, x1: int, y1: int) -> Mask:
    plane = np.zeros((30, 40), np.bool_)
    plane[y0:y1, x0:x1] = True
    return Mask.from_full(plane)


def test_near_a_border_a_place_is_on_it_and_near_two_of_them_in_the_corner() -> None:
    assert snapped((2.5, 12.0), [], SIZE, reach_px=3) == (0, 12)
    assert snapped((38.1, -2.0), [], SIZE, reach_px=3) == (40, 0)
    assert snapped((20.0, 15.0), [], SIZE, reach_px=3) == (20, 15)


def test_near_a_mask_a_place_is_on_a_corner_of_its_edge() -> None:
    mask = block(10, 10, 20, 20)
    assert snapped((21.2, 14.6), [mask], SIZE, reach_px=3) == (20, 15)
    assert snapped((19.0, 20.9), [mask], SIZE, reach_px=3) == (19, 20)
    assert snapped((15.0, 15.0), [mask], SIZE, reach_px=3) == (15, 15), "its inside is no edge"
    assert snapped((20.4, 10.2), [block(30, 0, 31, 1), mask], SIZE, reach_px=3) == (20, 10)


@given(
    st.tuples(st.floats(-5, 45), st.floats(-5, 35)),
    st.tuples(st.integers(0, 20), st.integers(0, 15), st.integers(1, 20), st.integers(1, 15)),
    st.floats(0.5, 8),
)
def test_it_goes_no_further_than_it_may_and_to_nothing_but_edges(
    where: tuple[float, float], frame: tuple[int, int, int, int], reach_px: float
) -> None:
    x, y, width, height = frame
    mask = block(x, y, x + width, y + height)
    found = snapped(where, [mask], SIZE, reach_px=reach_px)
    assert math.dist(found, where) <= math.sqrt(2) * reach_px + 1e-9
    on_border = found[0] in (0, 40) or found[1] in (0, 30)
    column, row = (int(value) for value in found)
    on_edge = found == (column, row) and (column in (x, x + width) or row in (y, y + height))
    assert found == where or on_border or on_edge
