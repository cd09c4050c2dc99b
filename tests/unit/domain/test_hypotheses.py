"""Which answer is meant: overlaps, ratings, and the alternatives that a person is offered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.hypotheses import (
    EXPECTATION,
    Calibration,
    Hypothesis,
    RatingWeights,
    alternatives,
    is_cut,
    judge,
    pairwise_iou,
    rate,
    sampled_iou,
)
from annotator.domain.answering.zoom import Region, click_regions
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.domain.prompt import PointPrompt

WIDTH, HEIGHT = 400, 300
WHOLE = Region(0, 0, WIDTH, HEIGHT)
PIECE = Region(50, 50, 150, 150)
LOGITS = np.zeros((8, 8), np.float32)


def rectangle(x: int, y: int, w: int, h: int) -> Mask:
    return Mask(np.ones((h, w), np.bool_), x, y, WIDTH, HEIGHT)


def answer(mask: Mask, *, predicted: float = 0.8, stability: float = 0.9, region: Region = WHOLE) -> Hypothesis:
    return Hypothesis(Candidate(LOGITS, predicted, stability, mask), region)


places, sizes = st.floats(-100, 6000, allow_nan=False), st.integers(1, 5000)
corners = st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(1, 100), st.integers(1, 100))


@given(corners, corners)
def test_overlaps_of_small_masks_are_exact(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> None:
    first, second = rectangle(*a), rectangle(*b)
    assert sampled_iou(first, second) == pytest.approx(first.iou(second), abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_overlaps_of_large_masks_are_close(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:600, :800]

    def disc() -> Mask:
        cx, cy, r = rng.uniform(250, 550), rng.uniform(200, 400), rng.uniform(150, 300)
        return Mask.from_full((x - cx) ** 2 + (y - cy) ** 2 < r**2)

    first, second = disc(), disc()
    assert sampled_iou(first, second) == pytest.approx(first.iou(second), abs=0.05)


def test_pairs_are_symmetric_with_one_on_the_diagonal() -> None:
    overlaps = pairwise_iou([rectangle(0, 0, 10, 10), rectangle(5, 0, 10, 10), rectangle(200, 200, 5, 5)])
    assert np.array_equal(overlaps, overlaps.T)
    assert overlaps[0].tolist() == [1.0, pytest.approx(1 / 3), 0.0]


@given(st.lists(corners, min_size=1, max_size=6), st.integers(0, 6))
def test_overlaps_that_are_known_need_not_be_counted_again(places: list[tuple[int, int, int, int]], count: int) -> None:
    masks = [rectangle(*place) for place in places]
    known = pairwise_iou(masks[:count])
    assert np.array_equal(pairwise_iou(masks, known), pairwise_iou(masks))
    found = [answer(mask) for mask in masks]
    points = [PointPrompt(50, 50)]
    assert np.array_equal(rate(found, points, overlaps=pairwise_iou(masks)), rate(found, points))


def test_agreement_between_pieces_counts_more_than_a_boast() -> None:
    agreed, repeated = answer(rectangle(60, 60, 40, 40)), answer(rectangle(61, 60, 40, 40), region=PIECE)
    loner = answer(rectangle(0, 0, 390, 290), predicted=0.85)
    ratings = rate([agreed, repeated, loner], [PointPrompt(80, 80)])
    assert ratings[0] > ratings[2]
    assert ratings[1] > ratings[2]


def test_clicks_on_the_wrong_side_cost_what_they_cost() -> None:
    found = answer(rectangle(60, 60, 40, 40))
    clean = rate([found], [PointPrompt(80, 80), PointPrompt(10, 10, False)])[0]
    wrong = rate([found], [PointPrompt(10, 10), PointPrompt(80, 80, False)])[0]
    assert wrong - clean == pytest.approx(2 * RatingWeights().contradiction)


def test_an_answer_that_ends_at_its_pieces_edge_is_cut() -> None:
    assert is_cut(rectangle(50, 60, 40, 40), PIECE)
    assert is_cut(rectangle(100, 100, 50, 20), PIECE)
    assert not is_cut(rectangle(51, 51, 98, 98), PIECE)
    assert not is_cut(rectangle(0, 0, WIDTH, HEIGHT), WHOLE)  # there the object ends with the image
    assert not is_cut(rectangle(350, 250, 50, 50), Region(300, 200, WIDTH, HEIGHT))
    assert not is_cut(Mask.empty(WIDTH, HEIGHT), PIECE)
    inside, cut = answer(rectangle(60, 60, 40, 40), region=PIECE), answer(rectangle(50, 60, 40, 40), region=PIECE)
    assert np.diff(rate([inside, cut], [PointPrompt(80, 80)]))[0] == pytest.approx(RatingWeights().cut)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_what_is_expected_is_a_share_and_grows_with_stability(predicted: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = [
        replace(h, candidate=replace(h.candidate, stability=stability))
        for stability in (low, high)
        for h in (answer(rectangle(60, 60, 40, 40), predicted=predicted),)
    ]
    expected = judge(found, [PointPrompt(80, 80)]).expected_iou
    assert 0.0 <= expected[0] <= expected[1] <= 1.0


def test_judging_rates_as_rating_does() -> None:
    found = [answer(rectangle(0, 0, 50, 40)), answer(rectangle(60, 60, 40, 40), region=PIECE, predicted=0.4)]
    points = [PointPrompt(80, 80), PointPrompt(5, 5, False)]
    judged = judge(found, points)
    assert judged.ratings.tolist() == rate(found, points).tolist()
    alone = judge(found[1:], points).expected_iou[0]
    contradicting = judge(found[1:], [PointPrompt(80, 80, False)]).expected_iou[0]
    assert contradicting == pytest.approx(max(0.0, alone + EXPECTATION.contradiction))


def test_a_model_is_judged_by_its_own_calibration() -> None:
    found = [answer(rectangle(0, 0, 50, 40), predicted=0.9), answer(rectangle(60, 60, 40, 40), predicted=0.4)]
    names = ("constant", "predicted", "predicted_squared", "stability", "agreement", "log_size", "small")
    nothing = RatingWeights(*([0.0] * len(names)), contradiction=0.0, cut=0.0)
    own = Calibration(replace(nothing, predicted=-1.0), replace(nothing, constant=0.25))
    judged = judge(found, [PointPrompt(80, 80)], calibration=own)
    assert judged.ratings.tolist() == pytest.approx([-0.9, -0.4])
    assert judged.expected_iou.tolist() == [0.25, 0.25]


def test_alternatives_differ_and_come_best_first() -> None:
    found = [answer(rectangle(0, 0, 100, 100)), answer(rectangle(0, 0, 101, 100)), answer(rectangle(0, 0, 20, 20))]
    assert alternatives(found, np.array([0.5, 0.9, 0.1]), 3) == [1, 2]
    assert alternatives(found, np.array([0.5, 0.9, 0.1]), 1) == [1]
    assert alternatives([], np.array([]), 3) == []


@given(
    st.floats(-100, 6000, allow_nan=False),
    st.floats(-100, 6000, allow_nan=False),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_pieces_round_a_click_hold_it_and_none_comes_twice(x: float, y: float, width: int, height: int) -> None:
    regions = click_regions(x, y, width=width, height=height)
    assert regions[0] == Region(0, 0, width, height)
    assert len(set(regions)) == len(regions) <= 4
    sides = [max(r.width, r.height) for r in regions]
    assert sides == sorted(sides, reverse=True)
    if 0 <= x < width and 0 <= y < height:
        assert all(r.contains(x, y) for r in regions)
