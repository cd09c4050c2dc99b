"""Metrics against hand-computed cases, their own laws, and an independent implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotator.domain.metrics import band_width_px, boundary_iou, dice, hd95, iou, noc

BoolArray = npt.NDArray[np.bool_]


def square(size: int, *, x: int, y: int, side: int) -> BoolArray:
    out = np.zeros((size, size), np.bool_)
    out[y : y + side, x : x + side] = True
    return out


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[BoolArray, BoolArray]:
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    kind = arrays(np.bool_, shape)
    return draw(kind), draw(kind)


@st.composite
def blob_pairs(draw: st.DrawFn) -> tuple[BoolArray, BoolArray]:
    """Unions of rectangles: solid regions, which independent pixels never make."""
    height, width = draw(st.integers(20, 90)), draw(st.integers(20, 90))
    out = np.zeros((2, height, width), np.bool_)
    for _ in range(draw(st.integers(1, 5))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        w, h = draw(st.integers(1, width)), draw(st.integers(1, height))
        out[draw(st.integers(0, 1)), y : y + h, x : x + w] = True
    return out[0], out[1]


def test_iou_and_dice_of_shifted_squares() -> None:
    one, two = square(10, x=1, y=1, side=4), square(10, x=3, y=1, side=4)
    assert iou(one, two) == pytest.approx(8 / 24)
    assert dice(one, two) == pytest.approx(16 / 32)


def test_empty_masks() -> None:
    empty, filled = np.zeros((6, 6), np.bool_), square(6, x=1, y=1, side=2)
    assert (iou(empty, empty), dice(empty, empty), boundary_iou(empty, empty), hd95(empty, empty)) == (1, 1, 1, 0)
    assert (iou(empty, filled), dice(empty, filled), boundary_iou(empty, filled)) == (0, 0, 0)
    assert hd95(empty, filled) == math.inf


def test_boundary_iou_of_nested_squares_by_hand() -> None:
    # A 100 x 100 image: the diagonal is 141.4 px, the band round(2.83) = 3 px.
    assert band_width_px(100, 100) == 3
    outer, inner = square(100, x=20, y=20, side=40), square(100, x=21, y=21, side=38)
    # Bands: 40^2 - 34^2 = 444 and 38^2 - 32^2 = 420; they share 38^2 - 34^2 = 288.
    assert boundary_iou(outer, inner) == pytest.approx(288 / (444 + 420 - 288))
    assert boundary_iou(outer, inner) < iou(outer, inner)


def test_boundary_at_the_image_border_counts() -> None:
    whole = np.ones((100, 100), np.bool_)
    half = np.ones((100, 100), np.bool_)
    half[:, 50:] = False
    # Band of the whole image: 100^2 - 94^2 = 1164. Of the left half: 50 * 100 - 44 * 94 = 864.
    # Shared: left columns 300, and top and bottom rows of the other 47 columns: 2 * 3 * 47 = 282.
    assert boundary_iou(whole, half) == pytest.approx(582 / (1164 + 864 - 582))


def test_band_is_at_least_a_pixel_and_follows_the_image_not_the_object() -> None:
    assert band_width_px(10, 10) == 1
    assert band_width_px(4000, 3000) == 100
    one, two = square(20, x=4, y=4, side=5), square(20, x=4, y=4, side=6)
    # 1 px band (diagonal 28.3 px, round(0.57)): rings of 16 and 20 pixels that share 9 (the corner's two arms).
    assert boundary_iou(one, two) == pytest.approx(9 / (16 + 20 - 9))


def test_object_thinner_than_the_band_is_all_boundary() -> None:
    one, two = square(400, x=10, y=10, side=12), square(400, x=16, y=10, side=12)
    assert band_width_px(400, 400) == 11
    assert boundary_iou(one, two) == pytest.approx(iou(one, two))


def test_hd95_by_hand() -> None:
    one, two = np.zeros((30, 30), np.bool_), np.zeros((30, 30), np.bool_)
    one[5, 5:15], two[9, 5:15] = True, True
    assert hd95(one, two) == pytest.approx(4.0)
    # One stray pixel among 101 is beyond the 95th percentile of its direction and changes nothing.
    wide = np.zeros((60, 120), np.bool_)
    wide[3, 5:105] = True
    stray = wide.copy()
    stray[50, 50] = True
    assert hd95(wide, stray) == pytest.approx(0.0)
    # Six of 106 are not: the percentile lies three quarters of the way from the last 0 to the first 47.
    stray[50, 50:56] = True
    assert hd95(wide, stray) == pytest.approx(0.75 * 47)


def test_hd95_takes_the_worse_direction() -> None:
    dot, line = np.zeros((9, 60), np.bool_), np.zeros((9, 60), np.bool_)
    dot[4, 0] = True
    line[4, 0:41] = True
    # From the dot to the line: 0. From the line to the dot: distances 0..40, the 95th percentile is 38.
    assert hd95(dot, line) == pytest.approx(38.0)


def test_noc_counts_failures_at_the_cap() -> None:
    ious = [0.5, 0.82, 0.79, 0.91]
    assert noc(ious, 0.80, cap=20) == 2
    assert noc(ious, 0.90, cap=20) == 4
    assert noc(ious, 0.95, cap=20) == 20
    assert noc(ious, 0.90, cap=3) == 3
    assert noc([0.8], 0.8, cap=20) == 1
    assert noc([], 0.8, cap=20) == 20
    with pytest.raises(ValueError, match="positive"):
        noc(ious, 0.8, cap=0)


def test_masks_of_two_images_are_refused() -> None:
    small, large = np.zeros((3, 3), np.bool_), np.zeros((3, 4), np.bool_)
    for metric in (iou, dice, boundary_iou, hd95):
        with pytest.raises(ValueError, match="one image"):
            metric(small, large)
        with pytest.raises(ValueError, match="boolean"):
            metric(small.astype(np.uint8), small.astype(np.uint8))  # type: ignore[arg-type]


@given(mask_pairs())
def test_laws(pair: tuple[BoolArray, BoolArray]) -> None:
    one, two = pair
    for metric in (iou, dice, boundary_iou):
        assert metric(one, two) == metric(two, one)
        assert metric(one, one) == 1.0
        assert 0.0 <= metric(one, two) <= 1.0
    assert iou(one, two) <= dice(one, two)
    assert dice(one, two) == pytest.approx(2 * iou(one, two) / (1 + iou(one, two)))
    assert hd95(one, two) == pytest.approx(hd95(two, one), rel=1e-5)  # float32 distances
    assert hd95(one, one) == 0.0
    assert hd95(one, two) >= 0.0


@settings(max_examples=60)
@given(blob_pairs(), st.integers(0, 30), st.integers(0, 30))
def test_hd95_does_not_depend_on_the_place(pair: tuple[BoolArray, BoolArray], dx: int, dy: int) -> None:
    one, two = (np.pad(mask, ((dy, 2), (dx, 3))) for mask in pair)
    assert hd95(one, two) == pytest.approx(hd95(*pair))


@settings(max_examples=100)
@given(blob_pairs(), st.sampled_from([0.01, 0.02, 0.05]))
def test_agrees_with_faster_coco_eval(pair: tuple[BoolArray, BoolArray], band: float) -> None:
    reference = pytest.importorskip("faster_coco_eval.core.mask")

    def encode(mask: BoolArray) -> dict[str, Any]:
        return dict(reference.encode(np.asfortranarray(mask.astype(np.uint8))))

    one, two = encode(pair[0]), encode(pair[1])
    if not (pair[0].any() or pair[1].any()):
        return
    assert iou(*pair) == pytest.approx(float(reference.iou([one], [two], [0])[0][0]))
    bands = [reference.rleToBoundary(rle, band, backend="opencv") for rle in (one, two)]
    assert boundary_iou(*pair, band=band) == pytest.approx(float(reference.iou(bands[:1], bands[1:], [0])[0][0]))
