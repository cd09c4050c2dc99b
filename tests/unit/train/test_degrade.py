"""Harder conditions: what they do to pixels, masks, boxes and clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt
from annotator.evaluate.degrade import DEGRADATIONS, jittered_box, jittered_point

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
IMAGE[10:20, 15:35] = (230, 30, 30)
MASK = Mask.from_full((IMAGE == (230, 30, 30)).all(axis=2))


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_the_same_image_always_becomes_the_same_other_image(name: str) -> None:
    change = DEGRADATIONS[name]
    before = IMAGE.copy()
    first, second = change.pixels(IMAGE), change.pixels(IMAGE)
    assert np.array_equal(IMAGE, before)
    assert np.array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.shape == ((60, 40, 3) if change.turns else (40, 60, 3))
    assert not np.array_equal(first, np.rot90(IMAGE) if change.turns else IMAGE) or change.turns


def test_masks_follow_the_quarter_turn() -> None:
    change = DEGRADATIONS["turned"]
    turned, mask = change.pixels(IMAGE), change.mask(MASK)
    assert (mask.width, mask.height) == (40, 60)
    assert (turned[mask.full()] == (230, 30, 30)).all()
    assert mask.area == MASK.area


def test_masks_stay_where_pixels_stay() -> None:
    assert DEGRADATIONS["blur"].mask(MASK) is MASK


def test_what_they_do_by_hand() -> None:
    flat = np.full((30, 30, 3), 100, np.uint8)
    assert (DEGRADATIONS["inverted"].pixels(flat) == 155).all()
    assert (DEGRADATIONS["low-contrast"].pixels(flat) == 121).all()
    assert (DEGRADATIONS["blur"].pixels(flat) == 100).all()
    assert DEGRADATIONS["noise"].pixels(flat).std() == pytest.approx(20, rel=0.1)
    ramp = np.repeat(np.arange(250, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(20, axis=0)
    shown = DEGRADATIONS["window"].pixels(ramp)
    assert (shown[:, :24] == 0).all()
    assert (shown[:, 226:] == 255).all()


boxes = st.tuples(st.floats(0, 90), st.floats(0, 70), st.floats(1, 10), st.floats(1, 10))


@given(boxes, st.floats(0, 0.5), st.integers(0, 1000))
def test_boxes_stay_boxes_in_the_image(corner: tuple[float, float, float, float], share: float, seed: int) -> None:
    x, y, w, h = corner
    box = Box(x, y, x + w, y + h)
    moved = jittered_box(box, share=share, rng=np.random.default_rng(seed), width=100, height=80)
    assert moved.area > 0
    assert (moved.x0, moved.y0) >= (0, 0)
    assert moved.x1 <= 100
    assert moved.y1 <= 80
    for before, after, length in zip(box.as_xyxy(), moved.as_xyxy(), (w, h, w, h), strict=True):
        assert abs(before - after) <= share * length + 1


@given(st.integers(0, 1000))
def test_clicks_stay_in_their_region(seed: int) -> None:
    region = MASK.full()
    point = PointPrompt(25.5, 15.5)
    moved = jittered_point(point, region, reach_px=6, rng=np.random.default_rng(seed))
    assert region[int(moved.y), int(moved.x)]
    assert max(abs(moved.x - point.x), abs(moved.y - point.y)) <= 6


def test_a_click_without_room_stays() -> None:
    region = np.zeros((20, 20), np.bool_)
    point = PointPrompt(3.5, 3.5, False)
    assert jittered_point(point, region, reach_px=2, rng=np.random.default_rng(0)) is point
