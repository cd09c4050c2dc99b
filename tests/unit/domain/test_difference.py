"""Where two masks differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotator.domain import difference
from annotator.domain.difference import differing_frame
from annotator.domain.mask import Mask

PLANES = arrays.arrays(np.bool_, (9, 11))


@given(PLANES, PLANES, st.booleans())
def test_the_frame_holds_what_differs_and_nothing_more(one: np.ndarray, other: np.ndarray, is_tight: bool) -> None:
    masks = [Mask.from_full(plane) if is_tight else Mask(plane.copy(), 0, 0, 11, 9) for plane in (one, other)]
    rows, columns = np.nonzero(one != other)
    wanted = None
    if rows.size:
        wanted = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert differing_frame(*masks) == wanted


def test_a_large_mask_is_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_AT_ONCE", 40)
    plane = np.ones((50, 30), np.bool_)
    other = plane.copy()
    other[7, 3] = other[41, 20] = False
    assert differing_frame(Mask.from_full(plane), Mask.from_full(other)) == (3, 7, 21, 42)


def test_masks_of_two_images_are_refused() -> None:
    with pytest.raises(ValueError, match="different images"):
        differing_frame(Mask.empty(3, 4), Mask.empty(4, 3))
