"""From logits to a mask: both ways of interpolating against a plain one in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.answering import logits as cutting
from annotator.domain.answering.logits import box_from_logits, mask_from_logits

ROUNDING = 1e-4


def interpolated(logits: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear values at pixel centres, edges repeated: H x W float64."""

    def axis(cells: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        position = np.maximum((np.arange(size) + 0.5) * cells / size - 0.5, 0)
        left = np.minimum(position.astype(int), cells - 1)
        return left, np.minimum(left + 1, cells - 1), position - left

    top, bottom, down = axis(logits.shape[0], height)
    left, right, across = axis(logits.shape[1], width)
    rows = logits[top] * (1 - down)[:, None] + logits[bottom] * down[:, None]
    return np.asarray(rows[:, left] * (1 - across) + rows[:, right] * across)


@pytest.mark.parametrize("is_small", [True, False])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(2, 24),
    columns=st.integers(2, 24),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    threshold=st.floats(-1.0, 3.0),
)
def test_a_mask_is_the_interpolated_logits_above_zero(
    is_small: bool, seed: int, rows: int, columns: int, width: int, height: int, threshold: float
) -> None:
    logits = (np.random.default_rng(seed).standard_normal((rows, columns)) - threshold).astype(np.float32)
    expected = interpolated(logits.astype(np.float64), width, height)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SMALL_BOX_PX", 90 * 90 if is_small else 0)
        mask = mask_from_logits(logits, width=width, height=height)
    is_different = mask.full() != (expected > 0)
    assert not (is_different & (np.abs(expected) > ROUNDING)).any()
    assert mask.bbox_xywh[2:] == mask.bits.shape[::-1]  # tight


@pytest.mark.parametrize("is_small", [True, False])
def test_nothing_above_zero_is_an_empty_mask(monkeypatch: pytest.MonkeyPatch, is_small: bool) -> None:
    monkeypatch.setattr(cutting, "SMALL_BOX_PX", 10_000 if is_small else 0)
    mask = mask_from_logits(np.full((8, 8), -1, np.float32), width=40, height=30)
    assert mask.is_empty
    assert (mask.width, mask.height) == (40, 30)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 24),
    columns=st.integers(1, 24),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    threshold=st.floats(-1.0, 4.0),
)
def test_the_box_is_known_without_the_pixels(
    seed: int, rows: int, columns: int, width: int, height: int, threshold: float
) -> None:
    """Also where a speck of the logits lies between the pixels, and the box ends before it."""
    logits = (np.random.default_rng(seed).standard_normal((rows, columns)) - threshold).astype(np.float32)
    if (np.abs(interpolated(logits.astype(np.float64), width, height)) < ROUNDING).any():
        return  # a matter of rounding
    mask = mask_from_logits(logits, width=width, height=height)
    x, y, w, h = mask.bbox_xywh
    box = box_from_logits(logits, width=width, height=height)
    assert box == (None if mask.is_empty else (x, y, x + w, y + h))
