"""Where two masks differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotator.domain import difference
from annotator.domain.difference import around, differing_frames, differs, differs_within
from annotator.domain.mask import Mask

PLANES = arrays.arrays(np.bool_, (9, 11))


@given(PLANES, PLANES, st.booleans())
def test_the_frame_holds_what_differs_and_nothing_more(one: np.ndarray, other: np.ndarray, is_tight: bool) -> None:
    masks = [Mask.from_full(plane) if is_tight else Mask(plane.copy(), 0, 0, 11, 9) for plane in (one, other)]
    rows, columns = np.nonzero(one != other)
    wanted = None
    if rows.size:
        wanted = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert around(differing_frames(*masks)) == wanted


@given(PLANES, PLANES, st.lists(st.tuples(*[st.integers(-3, 14)] * 4), max_size=3))
def test_whether_they_differ_is_seen_where_they_may(one: np.ndarray, other: np.ndarray, more: list[tuple]) -> None:
    before, after = Mask.from_full(one), Mask.from_full(other)
    assert differs(before, after) == bool((one != other).any())
    told = Mask.from_full(other)
    frames = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in more]  # they may leave crop and image
    differs_within(before, told, [(0, 0, 11, 9), *frames])
    assert differs(told, before) == bool((one != other).any())


def test_the_pixels_of_a_large_mask_are_not_counted_to_see_whether_it_changed() -> None:
    before, after = (Mask.from_full(np.ones((20, 30), np.bool_)) for _ in range(2))
    differs_within(before, after, [(3, 4, 6, 7)])
    assert not differs(before, after)
    assert "area" not in vars(before)
    assert "area" not in vars(after)
    with pytest.raises(ValueError, match="different images"):
        differs(before, Mask.empty(4, 3))


def test_a_large_mask_is_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_AT_ONCE", 40)
    plane = np.ones((50, 30), np.bool_)
    other = plane.copy()
    other[7, 3] = other[41, 20] = False
    assert around(differing_frames(Mask.from_full(plane), Mask.from_full(other))) == (3, 7, 21, 42)


def test_masks_of_two_images_are_refused() -> None:
    with pytest.raises(ValueError, match="different images"):
        differing_frames(Mask.empty(3, 4), Mask.empty(4, 3))


def test_a_grown_mask_differs_in_pieces_of_its_rim() -> None:
    before = Mask(np.ones((200, 300), np.bool_), 20, 20, 340, 240)
    after = Mask(np.ones((202, 302), np.bool_), 19, 19, 340, 240)
    found = differing_frames(before, after)
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found) == after.area - before.area
    assert around(found) == (19, 19, 321, 221)


def test_where_a_mask_was_edited_is_known_until_one_of_both_is_gone() -> None:
    before, other = (Mask.from_full(np.ones((20, 30), np.bool_)) for _ in range(2))
    after = Mask.from_full(np.ones((20, 30), np.bool_))
    differs_within(before, after, [(1, 2, 3, 4)])
    assert differing_frames(before, after) == differing_frames(after, before) == [(1, 2, 3, 4)]
    assert differing_frames(after, other) == []
    del before
    before = Mask.from_full(np.ones((20, 30), np.bool_))
    assert differing_frames(after, before) == []
