"""The simulated annotator: hand-computed clicks, ties, and what holds for any pair of masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotator.domain.answering.clicks import SimulatedClick, depth, next_click

BoolArray = npt.NDArray[np.bool_]


def mask(rows: slice, columns: slice, *, shape: tuple[int, int] = (12, 16)) -> BoolArray:
    out = np.zeros(shape, np.bool_)
    out[rows, columns] = True
    return out


EMPTY = np.zeros((12, 16), np.bool_)


def test_the_first_click_is_the_deepest_point() -> None:
    target = mask(slice(2, 7), slice(4, 9))  # 5 x 5, so the middle is unique: row 4, column 6
    assert next_click(EMPTY, target) == SimulatedClick(6.5, 4.5, True)


def test_beyond_the_image_is_outside() -> None:
    # Were the border ignored, the deepest column would be the first one, 5 px from the edge at column 5.
    assert next_click(EMPTY, mask(slice(0, 12), slice(0, 5))) == SimulatedClick(2.5, 2.5, True)


def test_ties_go_to_the_lowest_row_then_the_lowest_column() -> None:
    target = mask(slice(6, 9), slice(10, 13)) | mask(slice(6, 9), slice(1, 4)) | mask(slice(1, 4), slice(5, 8))
    assert next_click(EMPTY, target) == SimulatedClick(6.5, 2.5, True)
    target &= ~mask(slice(1, 4), slice(5, 8))
    assert next_click(EMPTY, target) == SimulatedClick(2.5, 7.5, True)


def test_the_deeper_error_wins_not_the_larger_one() -> None:
    target = mask(slice(0, 2), slice(0, 16))  # 32 px missed, at most 1 px deep
    spilled = mask(slice(5, 10), slice(5, 10))  # 25 px too much, 3 px deep
    assert next_click(spilled, target) == SimulatedClick(7.5, 7.5, False)


def test_equal_depths_prefer_the_missed_part() -> None:
    target, predicted = mask(slice(6, 9), slice(10, 13)), mask(slice(1, 4), slice(1, 4))
    assert next_click(predicted, target) == SimulatedClick(11.5, 7.5, True)


def test_a_perfect_answer_needs_no_click() -> None:
    target = mask(slice(2, 7), slice(4, 9))
    assert next_click(target, target) is None
    assert next_click(EMPTY, EMPTY) is None


def test_depth_is_the_exact_distance() -> None:
    region = np.ones((5, 7), np.bool_)
    region[2, 3] = False
    depths = depth(region)
    assert depths[2, 3] == 0
    assert depths[1, 2] == pytest.approx(np.sqrt(2), abs=1e-5)
    assert depths[0, 0] == pytest.approx(1.0)


GRIDS = hnp.arrays(np.bool_, (9, 11))


@given(GRIDS, GRIDS)
def test_a_click_lies_in_the_error_it_names_and_nothing_lies_deeper(prediction: BoolArray, target: BoolArray) -> None:
    click = next_click(prediction, target)
    if click is None:
        assert np.array_equal(prediction, target)
        return
    row, column = int(click.y), int(click.x)
    assert (click.x, click.y) == (column + 0.5, row + 0.5)
    assert bool(target[row, column]) is click.is_positive
    assert bool(prediction[row, column]) is not click.is_positive
    missed, spilled = depth(target & ~prediction), depth(prediction & ~target)
    assert max(missed[row, column], spilled[row, column]) == pytest.approx(max(missed.max(), spilled.max()), abs=1e-3)


@given(GRIDS, st.integers(0, 3))
def test_turning_the_labels_round_turns_the_click_round(target: BoolArray, turns: int) -> None:
    first, second = next_click(np.zeros_like(target), target), next_click(target, np.zeros_like(target))
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert (first.x, first.y, first.is_positive) == (second.x, second.y, not second.is_positive)
        turned = np.ascontiguousarray(np.rot90(target, turns))
        again = next_click(np.zeros_like(turned), turned)
        assert again is not None
        assert depth(turned)[int(again.y), int(again.x)] == pytest.approx(depth(target).max(), abs=1e-3)
