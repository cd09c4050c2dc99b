from __future__ import annotations

import time

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from annotator.domain.mask import Mask
from annotator.domain.polygon import (
    PolygonPart,
    bridged_ring,
    has_holes,
    mask_to_polygons,
    polygons_to_mask,
    rings_to_mask,
    trace_parts,
)

arrays = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def mask_of(*rows: str) -> Mask:
    return Mask.from_full(np.array([[c == "#" for c in row] for row in rows]))


@given(arrays)
def test_exact_rings_give_the_mask_back(array: np.ndarray) -> None:
    height, width = array.shape
    mask = Mask.from_full(array)
    parts = trace_parts(mask)
    assert polygons_to_mask(parts, width=width, height=height).same_pixels(mask)
    for part in parts:
        shape = shapely.Polygon(part.exterior, part.holes)
        assert shape.is_valid
        for ring in (part.exterior, *part.holes):
            assert len(np.unique(ring, axis=0)) == len(ring)
    assert sum(shapely.Polygon(p.exterior, p.holes).area for p in parts) == mask.area
    assert has_holes(mask) == any(part.holes for part in parts)


@given(arrays)
def test_bridged_rings_are_the_mask_in_one_polygon(array: np.ndarray) -> None:
    """By the even-odd rule, as COCO's rasteriser fills: parts, holes, and parts in holes."""
    height, width = array.shape
    mask = Mask.from_full(array)
    rings = [ring for part in trace_parts(mask) for ring in (part.exterior, *part.holes)]
    if rings:
        whole = bridged_ring(rings)
        assert {tuple(point) for point in whole} == {tuple(point) for ring in rings for point in ring}
        assert len(whole) == sum(map(len, rings)) + 2 * (len(rings) - 1)
        assert rings_to_mask([whole], width=width, height=height).same_pixels(mask)


@given(arrays, st.floats(0.1, 5))
def test_simplified_rings_keep_every_part_and_the_bound(array: np.ndarray, tolerance_px: float) -> None:
    height, width = array.shape
    mask = Mask.from_full(array)
    parts = mask_to_polygons(mask, tolerance_px=tolerance_px)
    assert len(parts) == len(trace_parts(mask))
    assert polygons_to_mask(parts, width=width, height=height).iou(mask) >= 0.98


@pytest.mark.parametrize("radius", [3, 5, 8, 12, 20, 200])
@pytest.mark.parametrize("tolerance_px", [0.75, 3.0, 50.0])
def test_discs_keep_their_size(radius: int, tolerance_px: float) -> None:
    side = 2 * radius + 9
    y, x = np.mgrid[:side, :side] + 0.5
    mask = Mask.from_full(np.hypot(x - side / 2, y - side / 2) < radius)
    (part,) = mask_to_polygons(mask, tolerance_px=tolerance_px)
    assert rings_to_mask([part.exterior], width=side, height=side).iou(mask) >= 0.98
    if radius == 200:
        assert len(part.exterior) < len(trace_parts(mask)[0].exterior) / 2


def test_a_square_of_ten_pixels_stays_a_hundred() -> None:
    """The half-pixel trap: vertices on pixel centres would give 81."""
    array = np.zeros((20, 20), bool)
    array[5:15, 3:13] = True
    (part,) = mask_to_polygons(Mask.from_full(array))
    assert sorted(part.exterior.tolist()) == [[3, 5], [3, 15], [13, 5], [13, 15]]
    runs = coco_mask.merge(coco_mask.frPyObjects([part.exterior.ravel().tolist()], 20, 20))
    assert int(coco_mask.area(runs)) == 100


def test_ring_with_a_hole_and_an_island() -> None:
    mask = mask_of("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######")
    outer, inner = mask_to_polygons(mask, tolerance_px=0)
    assert len(outer.holes) == len(inner.holes) == 1
    assert polygons_to_mask([outer, inner], width=7, height=7).same_pixels(mask)


def test_pixels_that_touch_at_corners_are_parts() -> None:
    assert len(trace_parts(mask_of("#.#", ".#.", "#.#"))) == 5


def test_a_part_that_touches_itself_at_a_corner_is_valid() -> None:
    (part,) = trace_parts(mask_of("####", "#..#", "#.#.", "####"))
    assert shapely.Polygon(part.exterior, part.holes).is_valid
    assert len(part.holes) == 1


def test_background_between_parts_is_no_hole() -> None:
    assert not has_holes(mask_of(".#.", "#.#", ".#."))
    assert has_holes(mask_of("###", "#.#", "###"))


def test_empty_and_full() -> None:
    assert mask_to_polygons(Mask.empty(5, 4)) == ()
    (part,) = mask_to_polygons(Mask.from_full(np.ones((4, 5))))
    assert sorted(part.exterior.tolist()) == [[0, 0], [0, 4], [5, 0], [5, 4]]


def test_rings_that_are_none_are_refused() -> None:
    for ring in ([[0, 0], [1, 1]], [[0, 0], [np.nan, 1], [2, 2]]):
        with pytest.raises(ValueError, match="ring"):
            polygons_to_mask([PolygonPart(np.array(ring, float))], width=9, height=9)


def test_large_objects_are_quick() -> None:
    y, x = np.mgrid[:4200, :4200]
    radius = 1900 + 100 * np.sin(40 * np.arctan2(y - 2100, x - 2100))
    mask = Mask.from_full(np.hypot(y - 2100, x - 2100) < radius)
    start = time.thread_time()  # of this thread alone, however busy the machine is
    parts = mask_to_polygons(mask)
    assert time.thread_time() - start < 5  # 0.2 s alone
    assert polygons_to_mask(parts, width=4200, height=4200).iou(mask) > 0.999
