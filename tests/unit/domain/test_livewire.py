"""The way between two places: it follows edges of the image, or of the model's answer, and always arrives."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.geometry import Box
from annotator.domain.livewire import EdgeMap, EdgeSource

WIDTH, HEIGHT = 200, 160
CENTRE, RADIUS_PX = (100.0, 80.0), 50.0


def distances() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(x - CENTRE[0], y - CENTRE[1])


def disc(inside: int = 200, outside: int = 60) -> np.ndarray:
    grey = np.where(distances() < RADIUS_PX, inside, outside).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def on_the_rim(angle: float) -> tuple[float, float]:
    return CENTRE[0] + RADIUS_PX * math.cos(angle), CENTRE[1] + RADIUS_PX * math.sin(angle)


def furthest_from_the_rim_px(way: list[tuple[float, float]]) -> float:
    dense = [
        (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(way) for t in np.linspace(0, 1, 20)
    ]
    return max(abs(math.hypot(x - CENTRE[0], y - CENTRE[1]) - RADIUS_PX) for x, y in dense)


@pytest.mark.parametrize("turn", [0.6, 1.5, 2.5])
def test_the_way_follows_the_edge_of_the_image(turn: float) -> None:
    start, end = on_the_rim(0.3), on_the_rim(0.3 + turn)
    way = EdgeMap.build(EdgeSource(disc()), start, reach_px=120).way_to(end)
    assert furthest_from_the_rim_px([start, *way, end]) < 2.5
    assert len(way) < 40, "stairs are lines"


def test_where_the_image_shows_nothing_it_follows_the_models_answer() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    y, x = np.mgrid[:64, :64] + 0.5
    logits = (RADIUS_PX - np.hypot(x / 64 * WIDTH - CENTRE[0], y / 64 * HEIGHT - CENTRE[1])).astype(np.float32) / 3
    start, end = on_the_rim(1.0), on_the_rim(2.8)
    way = EdgeMap.build(EdgeSource(flat, logits), start, reach_px=120).way_to(end)
    assert furthest_from_the_rim_px([start, *way, end]) < 3.5
    blind = EdgeMap.build(EdgeSource(flat), start, reach_px=120).way_to(end)
    assert furthest_from_the_rim_px([start, *blind, end]) > 10


def test_logits_of_a_part_of_the_image_lie_where_that_part_is() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    box = Box(40, 20, 160, 140)
    y, x = np.mgrid[:64, :64] + 0.5
    reach = np.hypot(box.x0 + x / 64 * box.width - CENTRE[0], box.y0 + y / 64 * box.height - CENTRE[1])
    logits = ((RADIUS_PX - reach) / 3).astype(np.float32)
    start, end = on_the_rim(0.2), on_the_rim(1.7)
    way = EdgeMap.build(EdgeSource(flat, logits, box), start, reach_px=120).way_to(end)
    assert furthest_from_the_rim_px([start, *way, end]) < 3


def test_a_large_window_is_searched_at_a_smaller_scale() -> None:
    large = np.repeat(np.repeat(disc(), 8, axis=0), 8, axis=1)
    start, end = (tuple(8 * v for v in on_the_rim(angle)) for angle in (0.3, 1.6))
    way = EdgeMap.build(EdgeSource(large), start, reach_px=900).way_to(end)
    assert furthest_from_the_rim_px([(x / 8, y / 8) for x, y in (start, *way, end)]) < 3


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.floats(-50, 250), st.floats(-50, 210)), st.tuples(st.floats(-50, 250), st.floats(-50, 210)))
def test_any_two_places_have_a_way_inside_of_the_image(start, end) -> None:
    way = EdgeMap.build(EdgeSource(disc()), start, reach_px=40).way_to(end)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in way)
