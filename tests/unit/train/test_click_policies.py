"""Simulated annotators: where each of them clicks next, what it may know, and what it does when it finds nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from annotator.domain.answering.next_click import MOST_PROPOSALS, doubt_map, proposals
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt
from annotator.studies.click_policies import (
    View,
    centre,
    outline_band,
    proposals_blind,
    proposals_looked_at,
    random_boundary,
    random_looked_at,
    random_wrong,
)

BoolArray = npt.NDArray[np.bool_]
WIDTH, HEIGHT = 80, 60


def rectangle(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    out = np.zeros((HEIGHT, WIDTH), np.bool_)
    out[y0:y1, x0:x1] = True
    return out


SHOWN = rectangle(20, 10, 60, 50)
"""Misses the right end of the true object, and spills over on its left."""
TRUTH = rectangle(24, 10, 70, 50)
FIRST = PointPrompt(47.5, 30.5)


def view(
    *points: PointPrompt,
    shown: BoolArray = SHOWN,
    truth: BoolArray = TRUTH,
    clicks: tuple[PointPrompt, ...] = (FIRST,),
    seed: int = 0,
) -> View:
    """An answer that is sure of itself; an adapter doubts squares round the points, each less than the last."""
    values = np.zeros((HEIGHT, WIDTH), np.float32)
    for radius, point in zip((2, 1, 0), points, strict=False):
        x, y = int(point.x), int(point.y)
        values[y - radius : y + radius + 1, x - radius : x + radius + 1] = 1
    doubt = UncertaintyMap(values, Box(0, 0, WIDTH, HEIGHT)) if points else None
    logits = np.where(shown, 30, -30).astype(np.float32)
    item = Candidate(logits, 0.9, 0.9, Mask.from_full(shown), uncertainty=doubt)
    return View(Candidates((item,), 0, 5.0, 1.0), clicks, truth, np.random.default_rng(seed))


RIGHT_INSIDE = PointPrompt(40.5, 15.5, False)
RIGHT_OUTSIDE = PointPrompt(5.5, 55.5, True)
MISSED = PointPrompt(65.5, 30.5, True)


def test_the_standard_annotator_clicks_the_deepest_error() -> None:
    move = centre(view())
    assert move is not None
    assert 63 <= move.point.x <= 67
    assert move.point.is_positive
    assert (move.looks, move.is_fallback) == (0, False)
    assert centre(view(shown=TRUTH)) is None


def test_proposals_are_looked_at_in_turn_and_the_first_wrong_place_gets_the_true_sign() -> None:
    move = proposals_looked_at(view(RIGHT_INSIDE, RIGHT_OUTSIDE, MISSED))
    assert move is not None
    assert move.point == PointPrompt(MISSED.x, MISSED.y, True)
    assert (move.looks, move.is_fallback) == (3, False)
    assert move.confirmed == (PointPrompt(40.5, 15.5, True), PointPrompt(5.5, 55.5, False))


def test_what_was_found_right_is_not_looked_at_again() -> None:
    first = proposals_looked_at(view(RIGHT_INSIDE, MISSED))
    assert first is not None
    again = proposals_looked_at(replace(view(RIGHT_INSIDE, MISSED), confirmed=first.confirmed))
    assert again is not None
    assert (again.point, again.looks, again.confirmed) == (first.point, 1, ())


def test_when_all_proposals_are_rejected_the_annotator_helps_herself() -> None:
    here = view(RIGHT_INSIDE, RIGHT_OUTSIDE)
    move, standard = proposals_looked_at(here), centre(here)
    assert move is not None
    assert standard is not None
    assert move.point == standard.point
    assert (move.looks, move.is_fallback, len(move.confirmed)) == (2, True, 2)
    certain = proposals_looked_at(view())
    assert certain is not None
    assert (certain.looks, certain.is_fallback) == (0, True)


def test_a_place_beside_an_earlier_click_is_not_proposed_again() -> None:
    near = PointPrompt(MISSED.x + 1, MISSED.y)
    move = proposals_looked_at(view(MISSED, clicks=(FIRST, near)))
    assert move is not None
    assert (move.looks, move.is_fallback) == (0, True)


def test_blind_takes_the_strongest_sign_and_all_and_stops_without_one() -> None:
    move = proposals_blind(view(RIGHT_INSIDE, MISSED))
    assert move is not None
    assert move.point == RIGHT_INSIDE
    assert proposals_blind(view()) is None


def test_without_an_adapter_the_bases_own_proposals_are_followed() -> None:
    at = np.arange(HEIGHT)[:, None] + 0.5, np.arange(WIDTH)[None, :] + 0.5
    logits = (15 - np.hypot(at[0] - 30, at[1] - 40)).astype(np.float32)
    item = Candidate(logits, 0.9, 0.9, Mask.from_full(logits > 0))
    answer = Candidates((item,), 0, 5.0, 1.0)
    clicks = (PointPrompt(40, 30),)
    expected = proposals(doubt_map(answer, 0), item.mask, clicks)
    assert len(expected) > 3, "the outline is in doubt all round"
    third = expected[2]
    truth = logits > 0
    truth[int(third.y), int(third.x)] ^= True
    here = View(answer, clicks, truth, np.random.default_rng(0))
    move = proposals_looked_at(here)
    assert move is not None
    assert (move.point, move.looks, move.is_fallback) == (third, 3, False)
    blind = proposals_blind(here)
    assert blind is not None
    assert blind.point == expected[0]


def test_the_band_is_a_quarter_of_the_size_on_both_sides_of_the_outline() -> None:
    mask = rectangle(0, 20, 16, 36)  # touches the left edge, which is no outline
    band = outline_band(Mask.from_full(mask))
    rows, columns = np.nonzero(mask)
    others = np.argwhere(~mask)
    for y, x in np.ndindex(HEIGHT, WIDTH):
        away = np.hypot(others[:, 0] - y, others[:, 1] - x) if mask[y, x] else np.hypot(rows - y, columns - x)
        assert band[y, x] == (away.min() <= 4), (x, y)
    assert not band[28, 0]


@pytest.mark.parametrize("shown", [rectangle(0, 0, 0, 0), rectangle(0, 0, WIDTH, HEIGHT)])
def test_without_an_outline_there_is_no_band_and_the_random_annotators_do_as_the_standard_one(shown: BoolArray) -> None:
    assert not outline_band(Mask.from_full(shown)).any()
    for policy in (random_boundary, random_looked_at, random_wrong):
        move, standard = policy(view(shown=shown)), centre(view(shown=shown))
        assert move is not None
        assert standard is not None
        assert (move.point, move.is_fallback, move.looks) == (standard.point, True, 0)


def test_random_clicks_lie_in_the_band_with_the_true_sign_and_repeat() -> None:
    band = outline_band(Mask.from_full(SHOWN))
    seen = set()
    for seed in range(40):
        move = random_boundary(view(seed=seed))
        assert move is not None
        assert move == random_boundary(view(seed=seed))
        row, column = int(move.point.y), int(move.point.x)
        assert band[row, column]
        assert move.point.is_positive == TRUTH[row, column]
        seen.add((row, column))
    assert len(seen) > 30, "another seed, another place"


def test_random_where_it_is_wrong_never_clicks_where_it_is_right() -> None:
    wrong = SHOWN ^ TRUTH
    signs = set()
    for seed in range(40):
        move = random_wrong(view(seed=seed))
        assert move is not None
        assert wrong[int(move.point.y), int(move.point.x)]
        signs.add(move.point.is_positive)
    assert signs == {True, False}
    far = view(truth=SHOWN | rectangle(76, 56, 80, 60))  # an error beyond the band
    move = random_wrong(far)
    assert move is not None
    assert move.is_fallback
    assert move.point.x > 76


def test_random_places_are_as_many_and_as_far_apart_as_proposals() -> None:
    spread = 0.12 * math.sqrt(SHOWN.sum())
    looks = []
    for seed in range(30):
        here = view(seed=seed)
        move = random_looked_at(here)
        assert move is not None
        looks.append(move.looks)
        assert move.looks <= MOST_PROPOSALS
        if not move.is_fallback:
            assert here.is_wrong_at(move.point)
            assert move.point.is_positive == here.truth_at(move.point)
            assert math.hypot(move.point.x - FIRST.x, move.point.y - FIRST.y) >= spread
    assert len(set(looks)) > 2
    nothing = random_looked_at(view(truth=SHOWN | rectangle(76, 56, 80, 60)))
    assert nothing is not None
    assert (nothing.looks, nothing.is_fallback) == (MOST_PROPOSALS, True)
