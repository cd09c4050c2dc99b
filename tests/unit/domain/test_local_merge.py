"""A click on an object that is there takes the piece it points at, and no other pixel changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotator.domain.answering.local_merge import REACH_PX, corrected, merged
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt

WIDTH, HEIGHT = 120, 80
small = arrays.arrays(np.bool_, (12, 16), elements=st.booleans()).map(
    lambda bits: Mask.from_full(np.pad(bits, ((20, 48), (30, 74))))
)
places = st.tuples(st.floats(0, WIDTH - 0.1), st.floats(0, HEIGHT - 0.1))


def boxed(*boxes: tuple[int, int, int, int]) -> Mask:
    full = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in boxes:
        full[y0:y1, x0:x1] = True
    return Mask.from_full(full)


COW, SHADOW = (20, 10, 60, 40), (20, 40, 60, 48)


def test_a_negative_click_on_a_shadow_takes_the_shadow_and_nothing_else() -> None:
    before = boxed(COW, SHADOW)
    # The model drops the shadow, and a corner of the object far away with it.
    answer = boxed(COW).subtract(boxed((55, 10, 60, 15)))
    assert corrected(before, answer, PointPrompt(40, 44, False)).same_pixels(boxed(COW))


def test_three_negative_clicks_that_the_model_answers_with_nothing_leave_the_object() -> None:
    before, nothing = boxed(COW, SHADOW), Mask.empty(WIDTH, HEIGHT)
    clicks = [PointPrompt(x, 46, False) for x in (22, 40, 58)]
    after = before
    for click in clicks:
        after = corrected(after, nothing, click)
        assert not after.contains(click.x, click.y)
    assert after.intersection_area(boxed(COW)) > 0.6 * boxed(COW).area
    assert after.contains(40, 15)


def test_a_positive_click_adds_the_part_it_points_at() -> None:
    before = boxed(COW)
    answer = boxed((20, 10, 60, 38), (70, 10, 80, 20), (90, 50, 99, 60))
    after = corrected(before, answer, PointPrompt(75, 15))
    assert after.same_pixels(boxed(COW, (70, 10, 80, 20)))
    assert corrected(after, answer, PointPrompt(30, 20)) is after, "nothing is missing there"


def test_several_clicks_and_a_box_are_laid_in_together() -> None:
    before, answer = boxed(COW, SHADOW), boxed((20, 10, 60, 40), (70, 10, 80, 20), (90, 50, 99, 60))
    points = (PointPrompt(40, 44, False), PointPrompt(75, 15))
    assert merged(before, answer, points).same_pixels(boxed(COW, (70, 10, 80, 20)))
    inside = merged(before, answer, (), box=Box(85, 45, 110, 70))
    assert inside.same_pixels(boxed(COW, SHADOW, (90, 50, 99, 60)))


@given(small, small, places, st.booleans())
def test_what_changes_is_one_piece_of_the_difference_near_the_click(before, answer, place, is_positive) -> None:
    after = corrected(before, answer, PointPrompt(*place, is_positive))
    changed = after.xor(before).full()
    wanted = (answer if is_positive else before).full() & ~(before if is_positive else answer).full()
    assert not (changed & ~wanted).any()
    if changed.any():
        rows, columns = np.nonzero(changed)
        nearest = np.hypot(columns - np.floor(place[0]), rows - np.floor(place[1])).min()
        assert nearest <= REACH_PX
