"""Islands and holes: which go, which stay, and that nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.tidy import tidied
from annotator.domain.prompt import PointPrompt


def grid(*rows: str) -> np.ndarray:
    return np.array([[3.0 if cell == "#" else -3.0 for cell in row] for row in rows], np.float32)


def show(logits: np.ndarray) -> list[str]:
    return ["".join("#" if v > 0 else "." for v in row) for row in logits]


RING = grid("..........#", ".########..", ".########..", ".##.#####..", ".########..", ".########..", "..........#")


def at(x: float, y: float, is_positive: bool = True) -> PointPrompt:
    """A click in the middle of a cell, each cell being 10 pixels."""
    return PointPrompt(10 * x + 5, 10 * y + 5, is_positive)


def test_islands_go_and_holes_are_filled() -> None:
    assert show(tidied(RING, (), width=110, height=70)) == [
        "...........",
        ".########..",
        ".########..",
        ".########..",
        ".########..",
        ".########..",
        "...........",
    ]


def test_a_clicked_island_stays_and_only_that_one() -> None:
    found = show(tidied(RING, [at(10, 0)], width=110, height=70))
    assert (found[0], found[6]) == ("..........#", "...........")


def test_a_hole_with_a_negative_click_stays() -> None:
    assert show(tidied(RING, [at(3, 3, False)], width=110, height=70))[3] == ".##.#####.."


def test_large_parts_large_holes_and_bays_stay() -> None:
    logits = grid("###..###", "#.#..###", "#.#..###", "###..#.#")
    assert tidied(logits, (), width=80, height=40) is logits


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_uniform_logits_stay(value: float) -> None:
    logits = np.full((8, 8), value, np.float32)
    assert tidied(logits, [PointPrompt(-5, 1e9)], width=1, height=1) is logits


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_clicked_cells_keep_their_side_and_values_only_change_sign(seed: int, clicks: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((12, 12)).astype(np.float32)
    cells = rng.integers(0, 12, (clicks, 2))
    points = [at(x, y, bool(logits[y, x] > 0)) for y, x in cells.tolist()]
    found = tidied(logits, points, width=120, height=120)
    assert np.array_equal(np.abs(found), np.abs(logits))
    for y, x in cells.tolist():
        assert (found[y, x] > 0) == (logits[y, x] > 0)


def test_more_holes_than_short_labels_can_count() -> None:
    """A large grid with a hole in every second cell of every second row: as many parts as there can be, all filled."""
    logits = np.ones((600, 600), np.float32)
    logits[1:-1:2, 1:-1:2] = -1
    assert np.count_nonzero(logits < 0) > np.iinfo(np.uint16).max
    assert (tidied(logits, [], width=600, height=600) > 0).all()
