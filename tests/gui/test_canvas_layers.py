"""Fine screens and thousands of objects: tiles show what is painted one by one."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QDeadlineTimer, QEventLoop, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from annotator.domain.mask import Mask
from annotator.ui.canvas import layer_tiles, mask_items, mask_picture, painted_masks
from annotator.ui.canvas.canvas import Canvas, ObjectView, prepare_image
from tests.gui.canvas_hand import disc, window_shot
from tests.gui.test_items import pixels_of

HIGH_DPI = """
import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from annotator.domain.mask import Mask
from annotator.ui.canvas import mask_items
from annotator.ui.canvas.canvas import Canvas, ObjectView, prepare_image
from tests.gui.test_items import pixels_of

app = QApplication([])
canvas = Canvas()
canvas.resize(301, 211)
rgb = np.zeros((50, 71, 3), np.uint8)
rgb[..., 0], rgb[..., 1] = np.arange(71) * 3, np.arange(50)[:, None] * 5
canvas.set_image(prepare_image(rgb))
canvas.show()
canvas.zoom_to(730)
ratio = canvas.devicePixelRatioF()
assert ratio == RATIO, ratio
points = []
canvas.pointed.connect(points.append)
painted = pixels_of(canvas.viewport().grab().toImage())
assert painted.shape[1] == round(canvas.viewport().width() * ratio), painted.shape
for x, y in ((5, 5), (150, 100), (299, 209), (7, 200)):
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(x, y))
    point = points[-1]
    colour = painted[round(y * ratio), round(x * ratio), :3]
    assert (colour == rgb[int(point.y), int(point.x)]).all(), (x, y, point, colour)
bits = np.zeros((50, 71), bool)
bits[20:30, 30:45] = True
canvas.set_objects([ObjectView(1, Mask(bits.copy(), 0, 0, 71, 50), "#0000ff")])
canvas.fit()
rows, columns = np.nonzero(pixels_of(canvas.viewport().grab().toImage())[..., 2] > 60)
corner, end = canvas.image_to_view(30, 20) * ratio, canvas.image_to_view(45, 30) * ratio
assert abs(columns.min() - corner.x()) <= 2 * ratio and abs(columns.max() + 1 - end.x()) <= 2 * ratio
assert abs(rows.min() - corner.y()) <= 2 * ratio and abs(rows.max() + 1 - end.y()) <= 2 * ratio
canvas.set_image(prepare_image(np.zeros((50, 71, 3), np.uint8)))
canvas.set_opacity(0.0)
middle = round(canvas.image_to_view(0, 25).y() * ratio)
for direct in (40, 0):
    mask_items.DIRECT = direct
    canvas.set_objects([ObjectView(1, Mask(bits.copy(), 0, 0, 71, 50), "#0000ff")])
    canvas.viewport().grab()
    while not canvas._layer._tiles.is_complete:
        app.processEvents()
    line = pixels_of(canvas.viewport().grab().toImage())[middle, :, 2].astype(float) / 255
    line = line[line > 0.1]
    assert abs(line.sum() / 2 - 2 * ratio) < 0.75, (direct, line.sum() / 2)
"""


@pytest.mark.parametrize("ratio", [1.5, 2.0])
def test_high_dpi_clicks_and_masks_are_in_place(ratio: float) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(ratio)}
    root = Path(__file__).parents[2]
    code = HIGH_DPI.replace("RATIO", str(ratio))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_five_thousand_objects_paint_and_pan(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Panning paints what comes into view, not everything: the number of painted objects tells."""
    side = 2000
    canvas.set_image(prepare_image(np.zeros((side, side, 3), np.uint8)))
    bits = np.ones((20, 20), np.bool_)
    views = [ObjectView(i + 1, Mask(bits, i % 71 * 28, i // 71 * 28, side, side), "#00ff00") for i in range(5000)]
    canvas.set_objects(views)
    canvas.zoom_to(100)
    until_painted(canvas)
    painted: list[int] = []
    plain = mask_picture.MaskPicture.image_on

    def counted(picture: mask_picture.MaskPicture, *rest: object) -> QImage:
        painted.append(1)
        return plain(picture, *rest)

    monkeypatch.setattr(mask_picture.MaskPicture, "image_on", counted)
    canvas.pan_by(-9, 0)
    until_painted(canvas)
    assert len(painted) < 200, "a column of tiles"
    painted.clear()
    canvas.pan_by(9, 0)
    until_painted(canvas)
    assert not painted, "these were painted before"
    canvas.put_object(ObjectView(2521, views[2520].mask, "#ff0000"))
    until_painted(canvas)
    assert len(painted) == 1, "what is round it is there already"


def until_painted(canvas: Canvas) -> None:
    """Until every tile that is seen is there."""
    QApplication.processEvents()
    deadline = QDeadlineTimer(8000)
    while not canvas._layer._tiles.is_complete and not deadline.hasExpired():
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    QApplication.processEvents()
    assert canvas._layer._tiles.is_complete


@pytest.fixture
def crowd(canvas: Canvas) -> list[ObjectView]:
    """Objects with an even spacing, more than are painted one by one."""
    views = [disc(at + 1, 14 + at % 12 * 15, 10 + at // 12 * 15, 6) for at in range(mask_items.DIRECT + 20)]
    canvas.set_objects(views)
    until_painted(canvas)
    return views


def test_only_the_place_of_an_object_that_changes_is_painted_again(canvas: Canvas, crowd: list[ObjectView]) -> None:
    """Not the rest of its tile as well, with a hundred others in it."""
    tiles, painted = canvas._layer._tiles, []
    plain = tiles._paint
    tiles._paint = lambda painter, part: (painted.append(part), plain(painter, part))
    for change, places in ((disc(10**6, 100, 70, 6), 1), (disc(7, 44, 40, 6), 2)):
        painted.clear()
        canvas.put_object(change)
        until_painted(canvas)
        assert painted
        assert sum(one.width() * one.height() for one in painted) < places * 25 * 25, "13 wide, and its outline"


def test_many_changed_at_once_are_as_one_by_one(canvas: Canvas, crowd: list[ObjectView]) -> None:
    layer = canvas._layer
    put = [disc(2, 40, 40, 11), disc(10**6, 100, 70, 6), replace(crowd[30], colour="#ff0000"), disc(9, 3, 3, 0)]
    canvas.objects.change(put, [5, 8, 999], is_last=False)
    assert layer._tiles.is_complete, "no more than was wanted before"
    canvas.objects.change((), [1])
    until_painted(canvas)
    shown, ids = window_shot(canvas), layer.ids
    order, boxes = layer._order.tolist(), layer._boxes.tolist()
    canvas.set_objects(crowd)
    for view in put:
        canvas.put_object(view)
    for gone in (5, 8, 1):
        canvas.remove_object(gone)
    assert (layer.ids, layer._boxes.tolist()) == (ids, boxes)
    assert sorted(order) == sorted(layer._order.tolist())
    until_painted(canvas)
    assert np.abs(window_shot(canvas) - shown).max() <= 3


@pytest.mark.parametrize("percent", [40, 100, 230, 700])
def test_tiles_show_what_is_painted_one_by_one(
    canvas: Canvas, crowd: list[ObjectView], monkeypatch: pytest.MonkeyPatch, percent: float
) -> None:
    canvas.zoom_to(percent)
    canvas.pan_by(7, -5)
    canvas.set_selected({3})
    canvas.put_object(disc(2, 40, 40, 11))
    canvas.remove_object(5)
    canvas.set_hidden({7})
    until_painted(canvas)
    canvas.viewport().update()
    in_tiles = window_shot(canvas)
    monkeypatch.setattr(mask_items, "DIRECT", 10**6)
    canvas.viewport().update()
    one_by_one = window_shot(canvas)
    assert np.abs(in_tiles - one_by_one).max() <= 3


def test_a_tile_that_is_only_begun_shows_nothing_where_it_is_not_painted(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bands are painted as time allows; what comes later is empty until then, and all is there at the end."""
    views = [disc(at + 1, 14 + at % 12 * 15, 10 + at // 12 * 15, 6) for at in range(mask_items.DIRECT + 20)]
    canvas.viewport().repaint()
    empty = pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)
    ticks = itertools.count(0.0, layer_tiles.SLICE_S / 4)  # so a few bands are painted in one go, however slow they are
    monkeypatch.setattr(layer_tiles, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))

    class Used(QImage):
        """Its memory held something else before."""

        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self.fill(Qt.GlobalColor.red)

    monkeypatch.setattr(layer_tiles, "QImage", Used)
    canvas.set_objects(views)
    begun = pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)
    until_painted(canvas)
    whole = pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)
    is_empty, is_painted = (np.abs(begun - one).max(axis=2) <= 3 for one in (empty, whole))
    assert (is_empty | is_painted).all()
    assert (is_painted & ~is_empty).any(), "a band"
    assert (is_empty & (np.abs(whole - empty).max(axis=2) > 3)).any(), "and not all"


def test_another_zoom_shows_stretched_tiles_at_once_and_sharp_ones_soon(
    canvas: Canvas, crowd: list[ObjectView], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    plain = mask_picture.MaskPicture.image_on
    monkeypatch.setattr(mask_picture.MaskPicture, "image_on", lambda *rest: (painted.append(1), plain(*rest))[1])
    canvas.zoom_by(1.3)
    canvas.viewport().repaint()
    assert not painted, "nothing is computed while the wheel turns"
    stretched = pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)
    until_painted(canvas)
    assert painted
    sharp = window_shot(canvas)
    middle = canvas.image_to_view(14 + 5 * 15, 10 + 15).toPoint()
    before, after = stretched[middle.y(), middle.x()], sharp[middle.y(), middle.x()]
    assert np.abs(before - after).max() < 40, "the objects are in their places"


def test_the_offscreen_image_of_the_canvas_is_not_blank(canvas: Canvas) -> None:
    image: QImage = canvas.viewport().grab().toImage()
    assert np.ptp(pixels_of(image)[..., :3]) > 100


def test_small_masks_are_kept_as_painted_and_within_their_limit(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pixels as painted anew, wherever the view is; another mask, look or zoom is painted."""
    canvas.set_objects([disc(1, 40, 40, 9), disc(2, 52, 40, 9)])
    canvas.zoom_to(130)
    layer = canvas._layer
    first = window_shot(canvas)
    kept = layer._painted._kept
    assert len(kept) == 2
    canvas.viewport().update()
    assert (window_shot(canvas) == first).all()
    canvas.put_object(disc(2, 52, 44, 9))
    canvas.set_selected({1})
    window_shot(canvas)
    assert len(kept) == 2, "what is gone is not kept"
    in_pieces = window_shot(canvas)
    layer._painted = painted_masks.PaintedMasks(limit_bytes=0)
    canvas.viewport().update()
    assert np.abs(window_shot(canvas) - in_pieces).max() <= 1
    assert len(layer._painted._kept) == 1
    monkeypatch.setattr(painted_masks, "MOST_SIDE_PX", 1.0)
    canvas.viewport().update()
    assert np.abs(window_shot(canvas) - in_pieces).max() <= 3
