"""Edits of large masks take the copy that was made for them, and give the same pixels as without."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from annotator.domain import spare_copy
from annotator.domain.brush import Stroke, painted
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation, OperationKind
from annotator.domain.spare_copy import forget_spare, has_spare, make_spare

SIDE = 1200
EDGE = ((300.0, 300.0), (400.0, 310.0), (380.0, 420.0))
EDITS = {
    "eraser": Stroke(((300.0, 300.0), (350.0, 320.0)), 20.0, False),
    "beside the crop": Stroke(((40.0, 300.0),), 30.0),
    "far beside the crop": Stroke(((5.0, 5.0), (1195.0, 1195.0)), 30.0),
    "a corner dragged": Operation(OperationKind.RESHAPE, rings=(EDGE, (*EDGE[:2], (200.0, 700.0)))),
}


@pytest.fixture(autouse=True)
def _nothing_ready():
    forget_spare()
    yield
    forget_spare()


def large_mask() -> Mask:
    rows, columns = np.mgrid[:1060, :1060]
    return Mask((rows * 7 + columns * 3) % 11 < 8, 60, 50, SIDE, SIDE).tight()


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_copy_gives_the_same(name: str) -> None:
    mask = large_mask()
    before, expected = mask.bits.copy(), painted(mask, (EDITS[name],))
    assert make_spare(mask)
    after = painted(mask, (EDITS[name],))
    assert after.same_pixels(expected)
    assert not after.bits.flags.writeable
    assert np.array_equal(mask.bits, before)
    assert has_spare(mask) is (name == "far beside the crop"), "what is too small for it is not used up"


def test_a_copy_serves_one_edit_of_one_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, other, eraser = large_mask(), large_mask(), EDITS["eraser"]
    make_spare(mask)
    flat = spare_copy._Slot.spare.flat
    assert not np.shares_memory(painted(other, (eraser,)).bits, flat)
    first, second = painted(mask, (eraser,)), painted(mask, (eraser,))
    assert np.shares_memory(first.bits, flat), "the mask is not copied again"
    assert not np.shares_memory(second.bits, flat)
    assert second.same_pixels(first)


def test_what_nobody_edits_any_more_is_given_up() -> None:
    mask = large_mask()
    make_spare(mask)
    del mask
    gc.collect()
    assert spare_copy._Slot.spare is None
    kept = large_mask()
    make_spare(kept)
    assert not make_spare(Mask(np.ones((9, 9), np.bool_), 0, 0, SIDE, SIDE)), "a small one is copied in no time"
    assert not has_spare(kept)


def test_without_memory_there_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise MemoryError

    mask = large_mask()
    monkeypatch.setattr(spare_copy.np, "empty", full)
    assert not make_spare(mask)
    assert painted(mask, (EDITS["eraser"],)).area
