from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from annotator.domain.mask import Mask, compress_counts, decompress_counts

arrays = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(arrays)
def test_rle_is_what_pycocotools_writes(array: np.ndarray) -> None:
    theirs = coco_mask.encode(np.asfortranarray(array.astype(np.uint8)))
    mask = Mask.from_full(array)
    assert mask.rle() == theirs["counts"]
    assert mask.area == int(coco_mask.area(theirs))
    if mask.area:
        assert list(mask.bbox_xywh) == [int(v) for v in coco_mask.toBbox(theirs)]


@given(arrays)
def test_rle_comes_back(array: np.ndarray) -> None:
    height, width = array.shape
    again = Mask.from_rle(Mask.from_full(array).rle(), width, height)
    assert np.array_equal(again.full(), array)


@given(arrays, st.data())
def test_pixels_do_not_depend_on_the_crop(array: np.ndarray, data: st.DataObject) -> None:
    height, width = array.shape
    loose = Mask(array.copy(), 0, 0, width, height)
    assert loose.same_pixels(loose.tight())
    assert loose.rle() == loose.tight().rle()
    other_array = data.draw(hnp.arrays(np.bool_, array.shape))
    other = Mask.from_full(other_array)
    assert np.array_equal(loose.union(other).full(), array | other_array)
    assert np.array_equal(loose.subtract(other).full(), array & ~other_array)
    assert np.array_equal(loose.xor(other).full(), array ^ other_array)
    assert loose.intersection_area(other) == int((array & other_array).sum())


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=30))
def test_counts_come_back(counts: list[int]) -> None:
    assert decompress_counts(compress_counts(np.array(counts, np.int64))).tolist() == counts


@given(st.binary(max_size=40))
def test_damaged_counts_are_refused_or_valid(raw: bytes) -> None:
    try:
        mask = Mask.from_rle(raw, 31, 17)
    except ValueError:
        return
    assert (mask.width, mask.height) == (31, 17)


def test_runs_of_a_billion_pixels_cost_no_memory() -> None:
    side = 1_000_000
    counts = np.array([side * side - 10, 10], np.int64)
    mask = Mask.from_counts(counts, side, side)
    assert mask.area == 10
    assert mask.bits.size == 10
    with pytest.raises(ValueError, match="add up"):
        Mask.from_counts(np.array([10**18, 5], np.int64), side, side)
