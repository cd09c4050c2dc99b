"""Strokes over masks: what they change, what they leave, and how they travel."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain import brush
from annotator.domain.brush import MOST_STROKE_POINTS, Stroke, painted, thinned
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts, PromptSession

WIDTH, HEIGHT = 60, 40
numbers = st.floats(-30, 90).map(lambda v: round(v, 2))
strokes = st.builds(
    Stroke,
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(tuple),
    st.floats(0.5, 12).map(lambda v: round(v, 1)),
    st.booleans(),
)


@st.composite
def masks(draw) -> Mask:
    seed = draw(st.integers(0, 50))
    if seed == 0:
        return Mask.empty(WIDTH, HEIGHT)
    noise = np.random.default_rng(seed)
    x, y = noise.integers(0, WIDTH - 10), noise.integers(0, HEIGHT - 10)
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[y : y + 10, x : x + 10] = noise.random((10, 10)) < 0.7
    return Mask.from_full(full)


def distance_px(stroke: Stroke) -> np.ndarray:
    """From every pixel's centre to the stroke's line; written without the code under test."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    best = np.full((HEIGHT, WIDTH), np.inf)
    path = list(stroke.path) if len(stroke.path) > 1 else [*stroke.path, *stroke.path]
    for (ax, ay), (bx, by) in itertools.pairwise(path):
        length2 = (bx - ax) ** 2 + (by - ay) ** 2
        t = 0 if length2 == 0 else np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        best = np.minimum(best, np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)))
    return best


@given(masks(), strokes)
def test_a_stroke_sets_what_is_under_it_and_leaves_the_rest(mask: Mask, stroke: Stroke) -> None:
    before, after = mask.full(), painted(mask, (stroke,)).full()
    distance = distance_px(stroke)
    assert (after[distance < stroke.radius_px - 1.0] == stroke.is_positive).all()
    far = distance > stroke.radius_px + 1.0
    assert (after[far] == before[far]).all()


@given(masks(), st.lists(strokes, max_size=4))
def test_strokes_come_in_their_order(mask: Mask, drawn: list[Stroke]) -> None:
    one_by_one = mask
    for stroke in drawn:
        one_by_one = painted(one_by_one, (stroke,))
    assert painted(mask, tuple(drawn)).same_pixels(one_by_one)


@given(masks(), strokes)
def test_the_result_is_tight_and_of_the_same_image(mask: Mask, stroke: Stroke) -> None:
    found = painted(mask, (stroke,))
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    if found.is_empty:
        return
    x, y, w, h = found.bbox_xywh
    if stroke.is_positive or found is not mask:
        assert found.bits.shape == (h, w)
        assert (found.x, found.y) == (x, y)


def test_the_smallest_brush_paints_the_pixel_under_it() -> None:
    found = painted(Mask.empty(WIDTH, HEIGHT), (Stroke(((7.9, 3.1),), 0.5),))
    assert found.bbox_xywh == (7, 3, 1, 1)


def test_a_thin_line_has_no_gaps() -> None:
    found = painted(Mask.empty(WIDTH, HEIGHT), (Stroke(((2.5, 2.5), (40.5, 30.5)), 0.5),)).full()
    assert found.any(axis=1)[2:31].all()
    assert found.any(axis=0)[2:41].all()


def test_a_brush_far_outside_does_nothing() -> None:
    mask = Mask.from_full(np.eye(HEIGHT, WIDTH))
    far = Stroke(((1e9, -1e9), (2e9, -1e9)), 30)
    assert painted(mask, (far,)).same_pixels(mask)
    assert not far.touches(WIDTH, HEIGHT)
    assert Stroke(((-5, -5),), 6).touches(WIDTH, HEIGHT)


def test_memory_follows_the_object() -> None:
    found = painted(Mask.empty(60_000, 50_000), (Stroke(((59_000, 49_000),), 20),))
    assert found.bits.shape[0] < 50
    assert abs(found.area - np.pi * 400) < 25


@given(strokes, numbers, numbers)
def test_a_stroke_knows_what_it_covers(stroke: Stroke, x: float, y: float) -> None:
    column, row = int(np.floor(x)), int(np.floor(y))
    if 0 <= column < WIDTH and 0 <= row < HEIGHT:
        distance = distance_px(stroke)[row, column]
        if abs(distance - stroke.radius_px) > 2**0.5:  # from the pixel's middle to the place in it, and to its corner
            assert stroke.covers(x, y) == (distance < stroke.radius_px)


@given(strokes, st.integers(0, 9))
def test_a_stroke_survives_json(stroke: Stroke, after: int) -> None:
    kept = Stroke(stroke.path, stroke.radius_px, stroke.is_positive, after)
    assert Stroke.from_json(json.loads(json.dumps(kept.to_json()))) == kept


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"path": [1, 2, 3], "radius_px": 4},
        {"path": [1, 2], "radius_px": 0},
        {"path": [1, 2], "radius_px": -1},
        {"path": [1, 2], "radius_px": 1e9},
        {"path": [1, float("nan")], "radius_px": 4},
        {"path": [1, float("inf")], "radius_px": 4},
        {"path": ["a", 2], "radius_px": 4},
        {"path": [0] * (2 * MOST_STROKE_POINTS + 2), "radius_px": 4},
        {"path": [1, 2], "radius_px": 4, "after": float("inf")},
        {"path": 5, "radius_px": 4},
        [],
        "stroke",
    ],
)
def test_damaged_strokes_are_refused(data: object) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError, OverflowError)):
        Stroke.from_json(data)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40), st.floats(0.1, 5))
def test_a_thinned_path_stays_close_to_the_drawn_one(path: list[tuple[float, float]], tolerance_px: float) -> None:
    kept = thinned(path, tolerance_px)
    assert (kept[0], kept[-1]) == (path[0], path[-1])
    assert len(kept) <= max(2, len(path))
    line = Stroke(kept, 1.0)
    for x, y in path:
        assert replace(line, radius_px=max(0.01, tolerance_px + 1e-6)).covers(x, y)


def test_a_path_that_ends_where_it_began_is_not_lost() -> None:
    ring = [(round(50 + 30 * np.cos(t), 2), round(50 + 30 * np.sin(t), 2)) for t in np.linspace(0, 2 * np.pi, 200)]
    ring[-1] = ring[0]
    kept = thinned(ring, 0.25)
    assert 12 < len(kept) < 60
    assert np.ptp(np.array(kept), axis=0).min() > 59


def test_a_long_line_is_drawn_in_small_crops() -> None:
    mask = painted(Mask.empty(4000, 3000), (Stroke(((10, 10), (3990, 2990)), 3),))
    assert mask.area == pytest.approx(np.hypot(3980, 2980) * 6, rel=0.05)
    parts = brush._drawn(Stroke(((10, 10), (3990, 2990)), 3), 4000, 3000)
    assert sum(part.bits.size for part in parts) < 2_000_000


def test_a_stroke_that_goes_to_and_fro_takes_no_more_room_than_the_image() -> None:
    noise = np.random.default_rng(0)
    wild = Stroke(tuple((float(x), float(y)) for x, y in noise.uniform(-1e9, 1e9, (200, 2))), 500)
    parts = brush._drawn(wild, 300, 200)
    assert sum(part.bits.nbytes for part in parts) < 200_000
    fine = Stroke(tuple((float(x), float(y)) for x, y in noise.uniform(0, 300, (400, 2))), 5)
    parts = brush._drawn(fine, 300, 200)
    assert sum(part.bits.nbytes for part in parts) < 200_000


# --- among the prompts ------------------------------------------------------------------------------------------------

DAB = Stroke(((10, 10), (20, 10)), 5)


def test_the_model_does_not_see_strokes() -> None:
    clicked = Prompts().with_point(PointPrompt(3, 3))
    assert clicked.with_stroke(DAB).asked == clicked
    assert clicked.asked is clicked
    assert Prompts().with_stroke(DAB).asked.is_empty
    assert not Prompts().with_stroke(DAB).is_empty


def test_a_click_of_the_other_sign_takes_the_stroke_under_it_away() -> None:
    prompts = Prompts().with_stroke(DAB)
    assert prompts.with_point(PointPrompt(15, 12, True)).strokes == prompts.strokes
    assert prompts.with_point(PointPrompt(15, 30, False)).strokes == prompts.strokes
    assert prompts.with_point(PointPrompt(15, 12, False)).strokes == ()


def test_only_strokes_that_decide_against_a_click_go() -> None:
    cut = Stroke(((0, 10), (60, 10)), 4, is_positive=False)
    mended = Prompts().with_stroke(cut).with_stroke(DAB)
    assert mended.with_point(PointPrompt(15, 10, True)).strokes == mended.strokes, "it is painted there"
    assert mended.with_point(PointPrompt(50, 10, True)).strokes == mended.strokes[1:], "it is cut there"
    assert mended.with_point(PointPrompt(15, 10, False)).strokes == mended.strokes[:1]


def test_a_click_anywhere_in_the_pixel_of_a_fine_stroke_is_on_it() -> None:
    prompts = Prompts().with_stroke(Stroke(((100.1, 80.1),), 0.5))
    assert prompts.with_point(PointPrompt(100.5, 80.6, False)).strokes == ()


def test_the_newest_of_clicks_and_strokes_is_removed_first() -> None:
    session = PromptSession().set_box(Box(1, 1, 30, 30)).add_point(PointPrompt(3, 3)).paint(DAB)
    session = session.add_point(PointPrompt(40, 30)).remove_last()
    assert (len(session.prompts.points), len(session.prompts.strokes)) == (1, 1)
    session = session.remove_last()
    assert (len(session.prompts.points), len(session.prompts.strokes)) == (1, 0)
    session = session.remove_last().remove_last()
    assert session.prompts == Prompts()
    assert session.remove_last() is session
    assert session.undo().undo().undo().prompts.strokes[0].path == DAB.path


def test_prompts_with_strokes_survive_json() -> None:
    prompts = Prompts((PointPrompt(1, 2),), Box(1, 1, 9, 9)).with_stroke(DAB)
    assert Prompts.from_json(json.loads(json.dumps(prompts.to_json()))) == prompts
    assert "strokes" not in Prompts((PointPrompt(1, 2),)).to_json()
