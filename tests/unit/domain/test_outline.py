"""Outlines: what they enclose, that a dragged corner changes what lies between, and that a drawn polygon stays one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.brush import Stroke, painted
from annotator.domain.drafts.drawn import claimed_outline
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation, OperationKind
from annotator.domain.outline import OUTLINE_KEY, area_of, from_json, kept_outline, outline_of, reshaped, to_json
from annotator.domain.prompt import Prompts

WIDTH, HEIGHT = 60, 40
EMPTY = Mask.empty(WIDTH, HEIGHT)
places = st.tuples(st.floats(-10, 70).map(lambda v: round(v, 2)), st.floats(-10, 50).map(lambda v: round(v, 2)))
rings = st.lists(places, min_size=3, max_size=8).map(tuple)
masks = st.lists(rings, min_size=1, max_size=3).map(lambda some: area_of(some, WIDTH, HEIGHT))


@given(rings, rings)
def test_rings_enclose_by_the_even_odd_rule(one, other) -> None:
    both = area_of((one, other), WIDTH, HEIGHT)
    assert both.same_pixels(area_of((one,), WIDTH, HEIGHT).xor(area_of((other,), WIDTH, HEIGHT)))
    assert painted(EMPTY, (Stroke.area(one),)).same_pixels(area_of((one,), WIDTH, HEIGHT))


@given(masks)
def test_the_exact_outline_of_a_mask_encloses_it(mask: Mask) -> None:
    assert area_of(outline_of(mask, tolerance_px=0), WIDTH, HEIGHT).same_pixels(mask)


@given(rings, st.integers(0, 7), places)
def test_a_polygon_whose_corner_is_dragged_is_the_new_polygon(ring, at: int, place) -> None:
    at %= len(ring)
    moved = (*ring[:at], place, *ring[at + 1 :])
    assert reshaped(area_of((ring,), WIDTH, HEIGHT), ring, moved).same_pixels(area_of((moved,), WIDTH, HEIGHT))


@given(masks, rings, st.integers(0, 7), places)
def test_away_from_the_edit_no_pixel_changes(mask: Mask, ring, at: int, place) -> None:
    at %= len(ring)
    moved = (*ring[:at], place, *ring[at + 1 :])
    changed = reshaped(mask, ring, moved).xor(mask)
    between = area_of((ring, moved), WIDTH, HEIGHT)
    assert changed.subtract(between).is_empty
    inside = area_of((moved,), WIDTH, HEIGHT).full()
    after = reshaped(mask, ring, moved).full()
    assert (after == np.where(between.full(), inside, mask.full())).all()


@given(rings, rings)
def test_a_ring_can_come_and_go(one, other) -> None:
    mask = area_of((one,), WIDTH, HEIGHT)
    assert reshaped(mask, (), one).same_pixels(mask)
    assert reshaped(mask, one, ()).is_empty
    assert Operation(OperationKind.OUTLINE, rings=(other,)).applied(mask).same_pixels(area_of((other,), WIDTH, HEIGHT))


SQUARE = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
HOLE = ((15.0, 15.0), (20.0, 15.0), (20.0, 20.0), (15.0, 20.0))


def test_what_was_drawn_as_polygons_is_followed_through_edits() -> None:
    moved = (*SQUARE[:2], (35.25, 32.5), SQUARE[3])
    steps = (
        Stroke.area(SQUARE),
        Stroke.area(HOLE, is_positive=False),
        Operation(OperationKind.RESHAPE, rings=(SQUARE, moved)),
    )
    outline = claimed_outline(Prompts(strokes=steps))
    assert outline == (moved, HOLE)
    mask = painted(EMPTY, steps)
    assert area_of(outline, WIDTH, HEIGHT).same_pixels(mask)
    data = json.loads(json.dumps({OUTLINE_KEY: to_json(outline)}))
    assert kept_outline(data, mask) == outline
    touched = painted(mask, (Stroke(((10.0, 10.0),), 3.0),))
    assert kept_outline(data, touched) is None, "a brush had a part in it"
    again = Prompts(base_mask=mask, strokes=(Operation(OperationKind.RESHAPE, rings=(HOLE, ())),))
    assert claimed_outline(again, data) == (moved,)


@pytest.mark.parametrize("data", [[[1, 2, 3]], [[float("nan"), 1, 2, 3]], [["a", "b"]], 5])
def test_a_damaged_outline_is_none(data) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(data)
    assert kept_outline({OUTLINE_KEY: data}, EMPTY) is None
