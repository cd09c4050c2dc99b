"""Grey values of masks are computed where they are seen, and again only where the mask has changed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QApplication

from annotator.domain.difference import differing_frames
from annotator.domain.mask import Mask
from annotator.ui.canvas import mask_level
from annotator.ui.canvas.mask_items import MaskItem
from annotator.ui.canvas.mask_level import MaskLevel, prepare_level, prepared_level
from annotator.ui.canvas.mask_picture import MaskLook, MaskPicture
from tests.gui.test_items import render

EVERYWHERE = (-(1 << 20), -(1 << 20), 1 << 20, 1 << 20)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pixels were computed, by turns."""
    found, compute = list[int](), mask_level._compute

    def counted(mask: Mask, halvings: int, x0: int, y0: int, out: np.ndarray) -> None:
        found.append(out.size << (2 * halvings))
        compute(mask, halvings, x0, y0, out)

    monkeypatch.setattr(mask_level, "_compute", counted)
    return found


def blocks(plane: np.ndarray, halvings: int) -> np.ndarray:
    """Means of blocks of 2^n x 2^n pixels, 0..255."""
    side = 1 << halvings
    height, width = plane.shape
    return 255 * plane.reshape(height // side, side, width // side, side).mean(axis=(1, 3))


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_after_edits_a_level_is_what_a_new_one_is(halvings: int) -> None:
    rng = np.random.default_rng(halvings)
    plane = np.zeros((1200, 1600), np.bool_)
    plane[300:800, 500:1100] = True
    mask = Mask.from_full(plane)
    level = MaskLevel(mask, halvings)
    for _ in range(12):
        level.grey((300, 200, 301, 201) if rng.random() < 0.5 else EVERYWHERE)
        x, y = int(rng.integers(0, 1500)), int(rng.integers(0, 1100))
        plane[y : y + 90, x : x + 70] = rng.random() < 0.5
        before, mask = mask, Mask.from_full(plane)
        level = level.edited(mask, differing_frames(before, mask))
        fresh = MaskLevel(mask, halvings)
        assert (level.left, level.top) == (fresh.left, fresh.top)
        found = level.grey(EVERYWHERE)
        np.testing.assert_array_equal(found, fresh.grey(EVERYWHERE))
    if halvings:
        wanted = blocks(plane, halvings)
        height, width = (min(a, b) for a, b in zip((1200 >> halvings, 1600 >> halvings), found.shape, strict=True))
        x0, y0 = max(0, level.left), max(0, level.top)
        part = found[y0 - level.top : height - level.top, x0 - level.left : width - level.left]
        assert np.abs(part - wanted[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]).max() <= 1


def test_what_is_not_seen_is_not_computed(computed: list[int]) -> None:
    mask = Mask.from_full(np.ones((3000, 4000), np.bool_))
    level = MaskLevel(mask, 0)
    level.grey((1100, 1100, 1300, 1200))
    assert sum(computed) == 512 * 512
    level.grey((1150, 1100, 1300, 1250))
    assert sum(computed) == 512 * 512, "what was seen before is known"
    level.edited(mask, [(3000, 2000, 3100, 2100)]).grey((1100, 1100, 1300, 1200))
    assert sum(computed) == 512 * 512, "the edit was elsewhere"


def test_a_mask_that_grew_is_computed_along_its_rim(computed: list[int]) -> None:
    before = Mask(np.ones((2800, 3800), np.bool_), 100, 100, 4000, 3000)
    after = Mask(np.ones((2806, 3806), np.bool_), 97, 97, 4000, 3000)
    level = MaskLevel(before, 2)
    level.grey(EVERYWHERE)
    whole = sum(computed)
    computed.clear()
    level.edited(after, differing_frames(before, after)).grey(EVERYWHERE)
    assert 0 < sum(computed) < 0.6 * whole


def test_a_mask_under_something_else_that_moves_is_not_computed_again(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, image_on = list[object](), MaskPicture.image_on
    monkeypatch.setattr(MaskPicture, "image_on", lambda *args: made.append(args) or image_on(*args))
    plane = np.zeros((80, 100), np.bool_)
    plane[10:70, 10:90] = True
    plane[30:40, 30:40] = False
    item, look, view = MaskItem(), MaskLook("#00c000", 0.5, is_strong=True), QRectF(0, 0, 100, 80)
    item.set_mask(Mask.from_full(plane), look)
    first = render(item, view, 2.0)
    np.testing.assert_array_equal(render(item, view, 2.0), first)
    assert len(made) == 1
    np.testing.assert_array_equal(render(item, QRectF(20, 0, 80, 80), 2.0), first[:, 40:])
    plane[50:60, 50:60] = False
    item.set_mask(Mask.from_full(plane), look)
    assert (render(item, view, 2.0) != first).any()


def test_a_mask_prepared_on_another_thread_is_painted_without_computing(
    qapp: QApplication, computed: list[int]
) -> None:
    look, view, scale = MaskLook("#00c000", 0.5, is_strong=True), QRectF(0, 0, 1200, 900), 0.25
    small = Mask(np.ones((500, 600), np.bool_), 300, 200, 1200, 900)
    grown = Mask(np.ones((540, 640), np.bool_), 280, 180, 1200, 900)
    item = MaskItem()
    item.set_mask(grown, look)
    wanted = render(item, view, scale)
    item.set_mask(small, look)
    render(item, view, scale)
    prepare_level(grown, scale)
    computed.clear()
    item.set_mask(grown, look)
    np.testing.assert_array_equal(render(item, view, scale), wanted)
    assert computed == []
    assert prepared_level(grown, 2) is None, "it is used up"
    never_shown = Mask(np.ones((540, 640), np.bool_), 280, 180, 1200, 900)
    prepare_level(never_shown, scale)
    reference = weakref.ref(never_shown)
    del never_shown
    gc.collect()
    assert reference() is None
