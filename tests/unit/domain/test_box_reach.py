"""An answer that stops short of the box that was drawn round its object is cut lower, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.box_reach import GOOD_FIT, LEAST_GAIN, box_fit, reaching
from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask

SIDE = 64
BOX = Box(16, 16, 112, 112)
"""In a piece of 128 pixels: cells 8 to 56 of 64."""


def logits_of(doubted: float, *, sure: int) -> np.ndarray:
    """A square of cells 8 to 56: sure of its left columns up to ``sure``, of the others as ``doubted`` says."""
    logits = np.full((SIDE, SIDE), -6.0, np.float32)
    logits[8:56, 8:sure] = 4.0
    logits[8:56, sure:56] = doubted
    return logits


def cut(logits: np.ndarray) -> Mask:
    return mask_from_logits(logits, width=128, height=128)


def test_fit_by_hand() -> None:
    bits = np.zeros((10, 20), bool)
    bits[2:6, 4:14] = True
    mask = Mask.from_full(bits)
    assert box_fit(mask, Box(4, 2, 14, 6)) == 1.0
    assert box_fit(mask, Box(4, 2, 24, 6)) == pytest.approx(0.5)
    assert box_fit(mask, Box(15, 7, 19, 9)) == 0.0
    assert box_fit(Mask.empty(20, 10), Box(4, 2, 14, 6)) == 0.0


def test_a_part_that_is_doubted_and_reaches_the_boxs_side_is_taken() -> None:
    logits = logits_of(-0.8, sure=36)
    short = cut(logits)
    assert box_fit(short, BOX) < GOOD_FIT
    better = reaching(short, logits, BOX)
    assert better is not None
    mask, raised = better
    assert box_fit(mask, BOX) > 0.95
    assert mask.rle() == cut(raised).rle(), (
        "the outline lies where the logits cross zero, so that a click goes on from it"
    )


@pytest.mark.parametrize(
    ("doubted", "sure", "box"),
    [
        (-0.8, 52, BOX),  # reaches far enough
        (-4.0, 36, BOX),  # the rest is no part of it
        (-0.8, 36, Box(16, 16, 72, 112)),  # the box ends where the sure part does
    ],
)
def test_other_answers_stay(doubted: float, sure: int, box: Box) -> None:
    logits = logits_of(doubted, sure=sure)
    assert reaching(cut(logits), logits, box) is None


def test_nothing_stays_nothing() -> None:
    assert reaching(Mask.empty(128, 128), np.full((SIDE, SIDE), -0.5, np.float32), BOX) is None


@given(st.integers(0, 2**31), st.floats(0, 60), st.floats(0, 60), st.floats(1, 68), st.floats(1, 68))
def test_what_changes_fits_better_and_only_grows(seed: int, x: float, y: float, width: float, height: float) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(-1, 2, (8, 8)).astype(np.float32)
    logits = np.kron(coarse, np.ones((8, 8), np.float32))
    mask, box = cut(logits), Box(x, y, x + width, y + height)
    better = reaching(mask, logits, box)
    if better is None:
        return
    assert box_fit(mask, box) < GOOD_FIT
    assert box_fit(better[0], box) >= box_fit(mask, box) + LEAST_GAIN
    assert (better[1] > logits).all()
