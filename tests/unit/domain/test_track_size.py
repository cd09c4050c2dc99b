"""Volume and longest diameter of a track, in space: straight, anisotropic, oblique and tilted stacks, and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.media import Series, SeriesKind
from annotator.domain.planes import Plane
from annotator.domain.tracks.size import drift_of, part_of, size_of
from annotator.ui.look.numbers import track_text

SIDE = 40


def stack(step_mm: float | None, offsets: tuple[float, ...] = ()) -> Series:
    extra = {} if step_mm is None else {"step_mm": step_mm, "offsets_mm": list(offsets)}
    return Series(1, SeriesKind.DICOM, "ct", "x", extra)


def block(x: int, y: int, w: int, h: int) -> Mask:
    bits = np.zeros((SIDE, SIDE), np.bool_)
    bits[y : y + h, x : x + w] = True
    return Mask.from_full(bits)


def test_a_ball_has_its_volume_and_its_diameter() -> None:
    grid = np.mgrid[0:37, 0:37, 0:37] - 18
    inside = (grid**2).sum(0) <= 18**2
    parts = [(at, part_of(Mask.from_full(np.ascontiguousarray(inside[at])))) for at in range(37)]
    found = size_of(parts, stack(1.0), (1.0, 1.0))
    assert found.volume_mm3 == pytest.approx(4 / 3 * math.pi * 18**3, rel=0.02)
    assert found.diameter == pytest.approx(37, abs=0.6)
    assert (found.slices, found.is_mm, found.has_depth) == (37, True, True)
    assert track_text(found).startswith("24.")


def test_a_diameter_goes_through_anisotropic_slices_and_over_gaps() -> None:
    parts = [(0, part_of(block(2, 3, 3, 4))), (2, part_of(block(2, 3, 3, 4)))]
    found = size_of(parts, stack(2.0, (0.0, 2.0, 12.0)), (2.0, 0.5))
    assert found.diameter == pytest.approx(math.sqrt(6**2 + 2**2 + 12**2))
    assert found.volume_mm3 == pytest.approx(2 * 12 * 2.0 * 0.5 * 2.0)


def test_without_spacing_it_is_in_pixels_and_without_steps_within_a_slice() -> None:
    parts = [(0, part_of(block(0, 0, 3, 4))), (1, part_of(block(0, 0, 6, 8)))]
    pixels = size_of(parts, stack(3.0), None)
    assert (pixels.volume_mm3, pixels.pixels, pixels.diameter, pixels.is_mm) == (None, 60, 10.0, False)
    assert track_text(pixels) == "60 px³  ·  ⌀ 10.0 px  ·  2 slices"
    flat = size_of(parts, stack(None), (0.5, 0.5))
    assert (flat.volume_mm3, flat.diameter, flat.is_mm, flat.has_depth) == (None, 5.0, True, False)
    assert size_of([], stack(1.0), (1.0, 1.0)).diameter == 0
    assert size_of([(3, part_of(Mask.empty(5, 5)))], None, None).slices == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12)),
        min_size=1,
        max_size=6,
    ),
    st.tuples(st.floats(0.2, 3), st.floats(0.2, 3), st.floats(0.2, 6)),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
)
def test_it_is_the_distance_in_space_also_of_oblique_and_tilted_stacks(
    boxes: list[tuple[int, int, int, int, int]],
    sizes: tuple[float, float, float],
    tilt: tuple[float, float],
    turn: tuple[float, float, float],
) -> None:
    """Against places that are worked out one by one from where each slice lies."""
    spacing, step = sizes[:2], sizes[2]
    row = np.array([1.0, turn[0], turn[1]])
    row /= np.linalg.norm(row)
    column = np.array([turn[2] * 0.5, 1.0, 0.3])
    column -= (column @ row) * row
    column /= np.linalg.norm(column)
    way = np.cross(row, column) * step + (tilt[0] * row + tilt[1] * column) * step
    planes = [Plane(tuple(5.0 + at * way), tuple(row), tuple(column), spacing) for at in range(10)]
    masks = {at: block(x, y, w, h) for at, x, y, w, h in boxes}
    places = []
    for at, mask in masks.items():
        x, y, w, h = mask.bbox_xywh
        corners = np.array([(x + dx, y + dy) for dx in (0, w) for dy in (0, h)]) - 0.5
        places.append(planes[at].points(corners))
    points = np.concatenate(places)
    wanted = max(float(np.linalg.norm(points - one, axis=1).max()) for one in points)
    parts = [(at, part_of(mask)) for at, mask in masks.items()]
    found = size_of(parts, stack(step), spacing, drift=drift_of(planes[0], planes[-1]))
    assert found.diameter == pytest.approx(wanted, rel=1e-6)
