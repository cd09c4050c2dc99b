"""Candidates are named by how they lie to the best one, not by their order of area."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.nesting import GROUP, OTHER, PART, WHOLE, names
from annotator.domain.mask import Mask


def block(x0: int, y0: int, x1: int, y1: int) -> Mask:
    full = np.zeros((100, 120), np.bool_)
    full[y0:y1, x0:x1] = True
    return Mask.from_full(full)


SMALL, MIDDLE, LARGE = block(20, 20, 40, 40), block(10, 10, 60, 60), block(0, 0, 110, 90)


def test_a_part_lies_in_the_best_and_a_group_holds_it() -> None:
    assert names([SMALL, MIDDLE, LARGE], 1) == (PART, WHOLE, GROUP)
    assert names([SMALL, MIDDLE, LARGE], 2) == (PART, PART, WHOLE)


def test_the_smallest_is_no_part_where_it_is_the_object() -> None:
    assert names([SMALL, MIDDLE, LARGE], 0) == (WHOLE, GROUP, GROUP)


def test_another_outline_of_the_object_is_a_whole_too() -> None:
    assert names([block(10, 10, 58, 60), MIDDLE, block(8, 8, 60, 61)], 1) == (WHOLE, WHOLE, WHOLE)


def test_what_lies_beside_it_is_something_else() -> None:
    assert names([block(70, 70, 90, 90), MIDDLE, block(50, 50, 110, 90)], 1) == (OTHER, WHOLE, OTHER)


def test_nothing_is_no_part() -> None:
    assert names([Mask.empty(120, 100), MIDDLE], 1) == (OTHER, WHOLE)
    assert names([Mask.empty(120, 100), MIDDLE], 0) == (WHOLE, OTHER)


BLOCKS = st.builds(
    lambda x, y, w, h: block(x, y, x + w, y + h),
    st.integers(0, 80),
    st.integers(0, 60),
    st.integers(1, 39),
    st.integers(1, 39),
)


@given(st.lists(BLOCKS, min_size=2, max_size=4), st.data())
def test_the_best_is_a_whole_and_part_and_group_are_the_two_ways_of_one_relation(
    masks: list[Mask], data: st.DataObject
) -> None:
    best = data.draw(st.integers(0, len(masks) - 1))
    found = names(masks, best)
    assert found[best] == WHOLE
    opposite = {PART: GROUP, GROUP: PART, WHOLE: WHOLE, OTHER: OTHER}
    for index, name in enumerate(found):
        assert names([masks[index], masks[best]], 0)[1] == opposite[name]
