"""Guides by mouse and key: sizes while dragging, lengths and angles, cross-hair lines, 100 % and the loupe."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.mask import Mask
from annotator.ui.canvas.mask_items import DIRECT, ObjectView
from tests.unit.io.dicom_builders import write_slice

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT, ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


def press_and_move(desk, *places, modifier=NONE):
    """A drag that is not let go; QTest sends a move's position but no modifier of its own."""
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, modifier, desk._at(*places[0]))
    for place in places[1:]:
        QTest.mouseMove(viewport, desk._at(*place))


def move(canvas, at, modifier):
    place = QPointF(canvas.viewport().mapToGlobal(at))
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(at), place, Qt.MouseButton.NoButton, LEFT, modifier)
    return QApplication.sendEvent(canvas.viewport(), event)


def let_go(desk, place):
    QTest.mouseRelease(desk.window.canvas.viewport(), LEFT, NONE, desk._at(*place))


def texts(desk):
    return [text for text, _ in desk.window.canvas.tool_in_hand.texts]


def near(text, number):
    """Whether the number before the first unit is this, as far as a press lands on whole view pixels."""
    return abs(float(text.split(" ")[0].rstrip("°")) - number) < 1.0


@pytest.fixture
def scan(desk, tmp_path):
    """A DICOM image whose pixels are 0.5 mm wide and 0.25 mm high, in the window."""
    folder = tmp_path / "scan"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 1000, (120, 160)).astype(np.int16)
    write_slice(folder / "0.dcm", values, number=0, PixelSpacing=[0.25, 0.5])
    desk.open(folder=folder)
    return desk


# --- sizes while dragging ---------------------------------------------------------------------------------------------


def test_a_box_tells_its_size_while_it_is_dragged_and_not_after(scan):
    canvas = scan.window.canvas
    size = canvas.tool_in_hand._size
    press_and_move(scan, (20, 20), (40, 40), (60, 60))
    pixels, millimetres = size.text.split("  ·  ")
    assert pixels == "40 × 40 px"
    width, height = map(float, millimetres.removesuffix(" mm").split(" × "))
    assert abs(width - 20) < 0.5
    assert abs(height - 10) < 0.3, "pixels are half as high as wide"
    let_go(scan, (60, 60))
    assert size.text == ""
    assert scan.refine.state.prompts.box is not None


def test_the_label_is_seen_and_gone_again(desk):
    desk.open()
    viewport = desk.window.canvas.viewport()
    press_and_move(desk, (20, 20), (40, 40), (60, 60))
    at = viewport.mapFrom(desk.window.canvas, desk._at(60, 60)) + QPoint(24, 24)
    shown = viewport.grab().toImage().pixelColor(at)
    desk.key(K.Key_Escape)
    assert shown.lightness() < 100 or shown.lightness() > 200
    assert viewport.grab().toImage().pixelColor(at) != shown
    let_go(desk, (60, 60))


@pytest.mark.parametrize("key", [K.Key_I, K.Key_B])
def test_shapes_and_boxes_without_spacing_tell_pixels_alone(desk, key):
    desk.open()
    desk.key(key)
    press_and_move(desk, (20.5, 20.5), (40.5, 40.5), (59.5, 49.5))
    tool = desk.window.canvas.tool_in_hand
    text = tool.size_text(tool.box) if key == K.Key_I else tool._size.text
    assert text in ("40 × 30 px", "39 × 29 px")
    let_go(desk, (59.5, 49.5))


# --- the measure tool -------------------------------------------------------------------------------------------------


def test_a_drag_measures_a_length_and_one_from_its_end_an_angle(scan):
    scan.key(K.Key_M, SHIFT)
    assert scan.window.canvas.tool == "measure"
    press_and_move(scan, (20, 20), (60, 20), (100, 20))
    let_go(scan, (100, 20))
    pixels, millimetres, slope = texts(scan)[0].split("  ·  ")
    assert near(pixels, 80)
    assert near(millimetres, 40)
    assert near(slope, 0)
    press_and_move(scan, (20, 20), (20, 40), (60, 100))
    let_go(scan, (60, 100))
    angle, first, second = texts(scan)
    assert near(angle, 45), "40 px across are as long as 80 px down"
    assert near(first, 80)
    assert near(second, np.hypot(40, 80))
    assert not scan.refine.state.is_active


def test_what_was_measured_goes_by_escape_a_click_or_another_image_alone(desk):
    desk.open()
    desk.click(30, 30)
    desk.wait_mask(30, 30)
    desk.key(K.Key_M, SHIFT)

    def measure():
        press_and_move(desk, (70, 20), (90, 40), (110, 50))
        let_go(desk, (110, 50))
        assert len(texts(desk)) == 1

    measure()
    desk.key(K.Key_Escape)
    assert texts(desk) == []
    assert desk.refine.state.is_active, "the current object is not what was cancelled"
    measure()
    desk.click(20, 90)
    assert texts(desk) == []
    measure()
    desk.click(20, 90, button=RIGHT)
    assert texts(desk) == []
    measure()
    desk.key(K.Key_D)
    assert texts(desk) == []


def test_shift_keeps_to_eight_directions(desk):
    desk.open()
    desk.key(K.Key_M, SHIFT)
    canvas = desk.window.canvas
    press_and_move(desk, (20, 20), (60, 25))
    at = desk._at(90, 27)
    assert move(canvas, at, SHIFT)
    assert texts(desk)[0].endswith("  ·  0.0°")
    let_go(desk, (90, 27))


def test_it_measures_without_a_mouse_and_in_a_project_that_cannot_be_changed(desk, monkeypatch):
    desk.open()
    monkeypatch.setattr(type(desk.session), "is_writable", property(lambda _self: False))
    desk.key(K.Key_M, SHIFT)
    canvas = desk.window.canvas
    QTest.keyClick(canvas, K.Key_Right)
    QTest.keyPress(canvas, K.Key_Space)
    for _ in range(3):
        QTest.keyClick(canvas, K.Key_Right, SHIFT)
    QTest.keyRelease(canvas, K.Key_Space)
    assert texts(desk)[0].startswith("30.0 px")


# --- cross-hair, 100 %, loupe -----------------------------------------------------------------------------------------


def test_cross_hair_lines_are_remembered(desk):
    desk.open()
    canvas = desk.window.canvas
    at = desk._at(80, 60)
    QTest.mouseMove(canvas.viewport(), at)
    before = canvas.viewport().grab().toImage()
    desk.key(K.Key_X, ALT)
    after = canvas.viewport().grab().toImage()
    along = [(x, at.y()) for x in range(3, canvas.viewport().width(), 7)]
    changed = sum(before.pixelColor(x, y) != after.pixelColor(x, y) for x, y in along)
    assert changed > len(along) // 2
    assert desk.settings.get("cross_hair") is True
    assert desk.window.actions_by_id["cross_hair"].isChecked()
    desk.key(K.Key_V, SHIFT)
    assert not canvas._is_aiming, "the outline tool has handles to aim at"
    desk.key(K.Key_Y)
    assert canvas._is_aiming


def test_zero_shows_the_image_at_its_own_size(desk):
    desk.open()
    assert desk.window.canvas.zoom != 1.0
    desk.key(K.Key_0)
    assert desk.window.canvas.zoom == 1.0


@pytest.mark.parametrize("objects", [0, DIRECT + 1])
def test_the_loupe_shows_the_pixels_under_the_pointer_while_its_key_is_held(desk, objects):
    desk.open()
    canvas = desk.window.canvas
    if objects:
        bits = np.ones((1, 1), np.bool_)
        views = [ObjectView(at, Mask(bits, at, 0, 160, 120), "#00ff00") for at in range(1, objects + 1)]
        canvas.set_objects([*views, ObjectView(999, Mask(np.ones((3, 3), np.bool_), 83, 57, 160, 120), "#00ff00")])
        canvas.set_opacity(1.0)
    desk.key(K.Key_0)
    for x in (70, 80):
        QTest.mouseMove(canvas.viewport(), desk._at(x, 60))
    QTest.keyPress(canvas, K.Key_Comma)
    assert canvas.loupe.is_shown
    assert canvas.loupe.zoom == 4.0
    shown = canvas.viewport().grab().toImage()
    middle = canvas.loupe.place.center()
    at = (middle.x() + 4 * 4.4, middle.y() - 4 * 1.6)
    pixel = desk.program.bench.picture.loaded.rgb[58, 84]
    found = shown.pixelColor(round(at[0]), round(at[1]))
    wanted = (0, 255, 0) if objects else tuple(int(value) for value in pixel)
    assert np.abs(np.subtract(found.getRgb()[:3], wanted)).max() <= (90 if objects else 2)
    QTest.keyRelease(canvas, K.Key_Comma)
    assert not canvas.loupe.is_shown
    assert canvas.viewport().grab().toImage() != shown
