"""Areas among the strokes: which pixels are in them, and that they are kept as strokes are."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.areas import filled
from annotator.domain.brush import Stroke, painted
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask

WIDTH, HEIGHT = 60, 40
numbers = st.floats(-30, 90).map(lambda v: round(v, 2))
rings = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9).map(tuple)
boxes = st.builds(Box.from_corners, numbers, numbers, numbers, numbers)


def centres_inside(ring: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Even-odd, pixel by pixel, by counting the edges that lie left of each centre."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = np.zeros((HEIGHT, WIDTH), bool)
    for (ax, ay), (bx, by) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if ay != by:
            inside ^= ((ay <= y) != (by <= y)) & (x >= ax + (y - ay) * (bx - ax) / (by - ay))
    return inside


def depth_px(ring: tuple[tuple[float, float], ...], x: float, y: float) -> float:
    """How far a place is from the nearest edge."""
    closed = np.array(ring, np.float32).reshape(-1, 1, 2)
    return abs(cv2.pointPolygonTest(closed, (x, y), True))


@given(rings, st.booleans())
def test_an_area_sets_the_pixels_whose_centres_are_inside(ring, is_positive: bool) -> None:
    before = np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2 == 0
    after = painted(Mask.from_full(before), (Stroke(ring, 0, is_positive, is_area=True),)).full()
    expected = centres_inside(ring)
    for row, column in np.argwhere(after != np.where(expected, is_positive, before)):
        assert depth_px(ring, column + 0.5, row + 0.5) < 1e-3, "only on the line itself"


@given(st.integers(-9, 70), st.integers(-9, 50), st.integers(1, 50), st.integers(1, 50))
def test_a_rectangle_is_exact_and_cut_at_the_image(x: int, y: int, width: int, height: int) -> None:
    stroke = Stroke.rectangle(Box(x, y, x + width, y + height))
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True
    assert (painted(Mask.empty(WIDTH, HEIGHT), (stroke,)).full() == full).all()


@given(boxes, st.integers(1, WIDTH - 1))
def test_two_areas_with_a_common_edge_share_no_pixel_and_leave_none_out(box: Box, cut: int) -> None:
    frame = (0, 0, WIDTH, HEIGHT)
    left, right = Box(0, box.y0, cut + 0.3, box.y1), Box(cut + 0.3, box.y0, WIDTH, box.y1)
    whole = filled(Stroke.rectangle(Box(0, box.y0, WIDTH, box.y1)).path, frame)
    one, other = (filled(Stroke.rectangle(part).path, frame) for part in (left, right))
    assert not (one & other).any()
    assert ((one | other) == whole).all()


@given(rings, st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))
def test_an_area_covers_the_pixels_that_it_paints(ring, column: int, row: int) -> None:
    stroke = Stroke(ring, 0, is_area=True)
    mask = painted(Mask.empty(WIDTH, HEIGHT), (stroke,))
    assert stroke.covers(column + 0.2, row + 0.9) == mask.contains(column, row)


@given(rings, st.booleans(), st.integers(0, 9))
def test_an_area_survives_json(ring, is_positive: bool, after: int) -> None:
    kept = Stroke(ring, 0, is_positive, after, is_area=True)
    assert Stroke.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_a_line_and_an_area_are_not_mixed_up() -> None:
    line = Stroke(((1, 1), (9, 1), (9, 9)), 2)
    assert "area" not in line.to_json(), "files of before are read as they were"
    with pytest.raises(ValueError, match="three"):
        Stroke(((1, 1), (2, 2)), 0, is_area=True)
    with pytest.raises(ValueError, match="radius"):
        Stroke(line.path, 2, is_area=True)
    with pytest.raises(ValueError):
        Stroke.from_json(line.to_json() | {"radius_px": 0})


@given(st.integers(1, 50), st.integers(1, 30), st.booleans())
def test_an_ellipse_has_the_pixels_whose_centres_are_inside(width: int, height: int, is_positive: bool) -> None:
    stroke = Stroke.ellipse(Box(5, 4, 5 + width, 4 + height), is_positive=is_positive)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    reach = np.hypot((x - 5 - width / 2) / (width / 2), (y - 4 - height / 2) / (height / 2))
    before = Mask.from_full(np.full((HEIGHT, WIDTH), not is_positive))
    inside = painted(before, (stroke,)).full() == is_positive
    rim_px = np.abs(reach - 1) * min(width, height) / 2
    assert ((inside == (reach < 1)) | (rim_px < 0.11)).all()
