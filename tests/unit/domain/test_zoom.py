"""The piece of an image that zoom-in looks at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.zoom import Region, zoom_region
from annotator.domain.geometry import Box

sizes = st.integers(1, 5000)
places = st.floats(-6000, 6000, allow_nan=False)


@given(places, places, places, places, sizes, sizes, st.floats(1.0, 4.0))
def test_a_piece_is_never_empty_and_never_leaves_the_image(
    ax: float, ay: float, bx: float, by: float, width: int, height: int, margin: float
) -> None:
    region = zoom_region(Box.from_corners(ax, ay, bx, by), width=width, height=height, margin=margin)
    assert 0 <= region.x0 < region.x1 <= width
    assert 0 <= region.y0 < region.y1 <= height


@given(st.integers(0, 900), st.integers(0, 700), st.integers(1, 100), st.integers(1, 100), st.floats(1.0, 4.0))
def test_a_piece_holds_its_box_and_is_square_where_the_image_allows(
    x: int, y: int, w: int, h: int, margin: float
) -> None:
    box = Box(x, y, x + w, y + h)
    region = zoom_region(box, width=1000, height=800, margin=margin)
    assert region.covers(box)
    assert region.width == region.height >= max(w, h) * margin - 1


def test_a_small_image_gives_what_it_has() -> None:
    assert zoom_region(Box(2, 2, 6, 6), width=40, height=10, margin=2.0) == Region(0, 0, 24, 10)


@pytest.mark.parametrize(("x", "y", "is_inside"), [(0, 0, True), (23.9, 9.9, True), (24, 0, False), (-0.1, 5, False)])
def test_positions_inside(x: float, y: float, is_inside: bool) -> None:
    assert Region(0, 0, 24, 10).contains(x, y) is is_inside
