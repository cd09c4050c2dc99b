"""What the model sees of a very large image, and where its answers lie."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain import budget
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.sight import LEAST_PX, LONGEST_PX, Sight

N = 30_000
NATIVE = Sight(N, N, Region(17_000, 20_000, 18_000, 20_800), (1000, 800))
COARSE = Sight(N, N, Region(8_000, 4_000, 16_000, 12_000), (2000, 2000))
LOGITS = np.zeros((8, 8), np.float32)


def found(*masks, best=0, **fields):
    items = tuple(Candidate(LOGITS, 0.5 + at / 10, 0.9, mask, **fields) for at, mask in enumerate(masks))
    return Candidates(items, best, 1.0, 2.0)


@given(x=st.floats(-500, N), y=st.floats(-500, N), width=st.floats(1, 2 * N), height=st.floats(1, 2 * N))
def test_a_sight_holds_what_is_in_view_and_is_no_larger_than_the_model_takes(x, y, width, height):
    view = Box(x, y, x + width, y + height)
    sight = Sight.of_view(view, width=N, height=N)
    region = sight.region
    assert 0 <= region.x0 < region.x1 <= N
    assert 0 <= region.y0 < region.y1 <= N
    assert region.x0 <= max(0.0, view.x0) or view.x0 > N - LEAST_PX
    assert region.x1 >= min(float(N), view.x1)
    assert region.y1 >= min(float(N), view.y1)
    assert max(sight.size_wh) <= LONGEST_PX + 128
    assert min(region.width, region.height) >= LEAST_PX
    assert sight.step == 1 or max(width, height) > LONGEST_PX / 2


@given(
    x=st.integers(0, 900), y=st.integers(0, 700), w=st.integers(1, 100), h=st.integers(1, 100), seed=st.integers(0, 9)
)
def test_masks_of_whole_pixels_go_there_and_back_unchanged(x, y, w, h, seed):
    bits = np.random.default_rng(seed).random((h, w)) > 0.3
    bits[0, 0] = True
    mask = Mask(bits, x, y, 1000, 800)
    outside = NATIVE.mask_outside(mask)
    assert (outside.width, outside.height, outside.x, outside.y) == (N, N, 17_000 + x, 20_000 + y)
    assert NATIVE.mask(outside).same_pixels(mask)


def test_a_coarse_answer_covers_the_pixels_that_it_is_of():
    yy, xx = np.mgrid[:200, :200]
    disc = Mask.from_full((xx - 100) ** 2 + (yy - 100) ** 2 <= 60**2)
    placed = Mask(disc.bits, disc.x + 500, disc.y + 700, *COARSE.size_wh)
    outside = COARSE.mask_outside(placed)
    yy, xx = np.mgrid[: outside.bits.shape[0], : outside.bits.shape[1]]
    centre = (8_000 + 600.5 * 4, 4_000 + 800.5 * 4)
    ideal = (xx + outside.x + 0.5 - centre[0]) ** 2 + (yy + outside.y + 0.5 - centre[1]) ** 2 <= (60.1 * 4) ** 2
    assert (ideal & outside.bits).sum() / (ideal | outside.bits).sum() > 0.985
    assert COARSE.mask(outside).iou(placed) > 0.97


def test_prompts_are_asked_in_pixels_of_the_part_and_clicks_elsewhere_are_left_out():
    base = Mask(np.ones((40, 40), np.bool_), 17_980, 20_100, N, N)
    prompts = Prompts(
        (PointPrompt(100, 100), PointPrompt(17_500.5, 20_400.5, False), PointPrompt(17_010, 20_020)),
        Box(16_900, 20_010, 17_100, 20_110),
        base,
    )
    inside = NATIVE.prompts(prompts)
    assert inside.points == (PointPrompt(500.5, 400.5, False), PointPrompt(10, 20))
    assert inside.box == Box(0, 10, 100, 110)
    assert inside.base_mask is not None
    assert inside.base_mask.bbox_xywh == (980, 100, 20, 40)
    assert COARSE.prompts(Prompts((PointPrompt(9_000, 6_000),))).points == (PointPrompt(250, 500),)
    assert (
        NATIVE.prompts(Prompts((PointPrompt(9, 9),), None, Mask(np.ones((2, 2), np.bool_), 0, 0, N, N))).base_mask
        is None
    )


def test_answers_with_their_logits_and_doubts_lie_in_the_image_and_go_back():
    doubt = UncertaintyMap(LOGITS, Box(0, 0, 2000, 2000), (PointPrompt(10, 20, False),))
    mask = Mask(np.ones((10, 10), np.bool_), 100, 100, 2000, 2000)
    inner = Box(50, 50, 250, 250)
    given_back = COARSE.candidates(found(mask, uncertainty=doubt, logits_box=inner)).items[0]
    assert given_back.mask.bbox_xywh == (8_400, 4_400, 40, 40)
    assert given_back.logits_box == Box(8_200, 4_200, 9_000, 5_000)
    assert given_back.uncertainty is not None
    assert given_back.uncertainty.hard_points == (PointPrompt(8_040, 4_080, False),)
    again = COARSE.candidate(given_back)
    assert again.logits_box == inner
    assert again.mask.same_pixels(mask)
    whole = COARSE.candidates(found(mask)).items[0]
    assert whole.logits_box == Box(8_000, 4_000, 16_000, 12_000)
    assert COARSE.candidate(whole).logits_box is None


def test_what_is_too_large_to_be_held_is_left_out_and_said_when_nothing_else_is_left(monkeypatch):
    monkeypatch.setattr(budget, "_chosen_bytes", 16 * 1_000_000)
    small = Mask(np.ones((20, 20), np.bool_), 0, 0, 2000, 2000)
    large = Mask(np.ones((1900, 1900), np.bool_), 0, 0, 2000, 2000)
    kept = COARSE.candidates(found(small, large, best=1))
    assert len(kept.items) == 1
    assert kept.chosen.mask.bbox_xywh[2:] == (80, 80)
    with pytest.raises(UserError, match="Zoom in"):
        COARSE.candidates(found(large))


@pytest.mark.parametrize(
    ("x", "y", "other", "serves"),
    [
        (17_500, 20_400, NATIVE, True),
        (17_500, 20_400, Sight(N, N, Region(17_300, 20_200, 18_300, 21_000), (1000, 800)), True),
        (17_990, 20_400, Sight(N, N, Region(17_300, 20_200, 18_300, 21_000), (1000, 800)), False),
        (17_500, 20_400, COARSE, False),
    ],
)
def test_a_click_stays_with_its_part_while_that_is_as_good(x, y, other, serves):
    assert NATIVE.serves(x, y, other) is serves


def test_masks_on_thirty_thousand_pixels_a_side_cost_what_the_object_does():
    mask = Mask(np.ones((300, 200), np.bool_), 29_700, 29_600, N, N)
    other = Mask(np.ones((300, 200), np.bool_), 29_750, 29_650, N, N)
    tracemalloc.start()
    try:
        runs = mask.rle()
        back = Mask.from_rle(runs, N, N)
        assert back.same_pixels(mask)
        assert back.bbox_xywh == (29_700, 29_600, 200, 300)
        assert mask.union(other).area == 2 * 60_000 - mask.intersection_area(other)
        assert mask.subtract(other).area == 60_000 - mask.intersection_area(other)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
