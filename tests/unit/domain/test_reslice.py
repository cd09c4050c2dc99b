"""Cuts through a stack: which plane each is, which way it lies, what a slab shows, and where objects are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.planes import Plane
from annotator.domain.reslice import Slab, Space, cut_through, painted, space_of, thinning, views_of

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
SHAPE = (4, 5, 6)
LETTERS = {"Axial": ("R", "L", "A", "P"), "Coronal": ("R", "L", "H", "F"), "Sagittal": ("A", "P", "H", "F")}


def stack(row, column, *, way: float = 1.0, places=range(4), tilt: float = 0.0) -> list[Plane]:
    normal = np.cross(row, column)
    lean = tilt * np.asarray(column)
    return [Plane(tuple(at * 3.0 * (way * normal + lean)), row, column, (0.5, 0.8)) for at in places]


@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize(
    ("row", "column"),
    [AXIAL, CORONAL, SAGITTAL, ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))],
)
def test_every_stack_gives_the_three_planes_as_radiologists_look_at_them(row, column, way) -> None:
    """Proven by a volume of places in space: along each view's rows and columns they run where its letters say."""
    planes = stack(row, column, way=way)
    space = space_of(4, planes, None, None)
    assert space.is_mm
    assert space.steps == (3.0, 0.8, 0.5)
    grid = np.empty((*SHAPE, 3))
    for place, plane in enumerate(planes):
        y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
        grid[place] = plane.points(np.column_stack([x.ravel(), y.ravel()])).reshape(SHAPE[1], SHAPE[2], 3)
    ends = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}
    found = {}
    for view in views_of(space):
        found[view.name] = view.letters
        cut = np.stack([view.laid_out(grid[..., one].take(1, view.axis)) for one in range(3)], -1)
        for letter, way_there in zip(view.letters[1::2], (cut[0, -1] - cut[0, 0], cut[-1, 0] - cut[0, 0]), strict=True):
            axis, sign = ends[letter]
            assert np.abs(way_there).argmax() == axis
            assert np.sign(way_there[axis]) == sign
    assert found == LETTERS


@given(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)), st.sampled_from([AXIAL, CORONAL, SAGITTAL]))
def test_a_click_where_the_cross_hair_is_stays_there(at, way) -> None:
    for space in (space_of(4, stack(*way), None, None), space_of(4, None, None, None)):
        for view in views_of(space):
            across, down = view.shares_of(at, SHAPE)
            assert view.place_at(across, down, at, SHAPE) == at
            moved = view.place_at(1.0, 1.0, at, SHAPE)
            assert moved[view.axis] == at[view.axis]


def test_missing_slices_have_their_places_and_tilt_is_known() -> None:
    gap = space_of(4, stack(*AXIAL, places=(0, 1, 4, 5)), None, None)
    assert (gap.slots, gap.count, gap.steps[0]) == ((0, 1, 4, 5), 6, 3.0)
    assert space_of(4, stack(*AXIAL, tilt=0.4), None, None).is_tilted
    uneven = space_of(3, stack(*AXIAL, places=(0, 1, 1.7)), None, None)
    assert (uneven.slots, uneven.is_mm) == ((0, 1, 2), True)
    plain = space_of(3, None, (0.5, 0.7), None)
    assert (plain.steps, plain.is_mm, plain.directions) == ((1.0, 0.7, 0.5), False, None)
    assert [view.name for view in views_of(plain)] == ["Slice", "Rows", "Columns"]


def test_slabs() -> None:
    values = np.random.default_rng(0).integers(-900, 900, SHAPE).astype(np.int16)
    filled = np.array([True, True, False, True])
    for axis in range(3):
        plane = cut_through(values, filled, axis, 1, slab=Slab.MAX)
        assert np.array_equal(plane, values.take(1, axis))
    assert np.array_equal(cut_through(values, filled, 1, 2, reach=1, slab=Slab.MAX), values[:, 1:4].max(1))
    assert np.array_equal(cut_through(values, filled, 2, 0, reach=2, slab=Slab.MIN), values[:, :, :3].min(2))
    mean = cut_through(values, filled, 0, 2, reach=1, slab=Slab.MEAN)
    assert mean.dtype == np.int16
    assert np.array_equal(mean, np.rint(values[[1, 3]].mean(0, dtype=np.float32))), "of the slices that are there"


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 8), st.integers(1, 6), st.integers(1, 6)),
        max_size=5,
    ),
    st.integers(1, 3),
)
def test_objects_are_cut_where_the_whole_stack_of_masks_would_be(boxes, thin) -> None:
    whole = np.zeros((4, 14, 15), np.uint8)
    objects = []
    for number, (place, x, y, w, h) in enumerate(boxes, 1):
        bits = np.zeros((14, 15), np.bool_)
        bits[y : y + h, x : x + w] = True
        bits[y + h // 2, x + w // 2] = False
        whole[place][bits] = number
        objects.append((place, number, Mask.from_full(bits)))
    kept = whole[:, ::thin, ::thin]
    for axis in range(3):
        for at in range(kept.shape[axis]):
            assert np.array_equal(painted(kept.shape, thin, axis, at, objects), kept.take(at, axis))


def test_memory_is_bounded() -> None:
    assert thinning(200, (512, 512), 2) == 1
    for count, size in ((3000, (1024, 1024)), (500, (4096, 3000))):
        thin = thinning(count, size, 2)
        assert thin > 1
        assert count * -(-size[0] // thin) * -(-size[1] // thin) * 2 <= 256 << 20
    assert Space((0,), (1.0, 1.0, 1.0)).count == 1
