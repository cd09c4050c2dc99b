"""The rectangle tool by mouse and key: whole pixels, one step to undo, kept like a stroke, without a model too."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.mask import Mask

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def pixels(*parts: tuple[int, int, int, int], without: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Mask:
    """Rectangles (x0, y0, x1, y1) of the desk's image."""
    full = np.zeros((120, 160), bool)
    for x0, y0, x1, y1 in parts:
        full[y0:y1, x0:x1] = True
    full[without[1] : without[3], without[0] : without[2]] = False
    return Mask.from_full(full)


def drag(desk, start, end, *, button=LEFT, modifier=NONE) -> None:
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, button, modifier, desk._at(*start))
    QTest.mouseMove(viewport, desk._at(*end))
    QTest.mouseRelease(viewport, button, modifier, desk._at(*end))


@pytest.fixture
def in_hand(desk):
    desk.open()
    desk.key(K.Key_I)
    assert desk.window.canvas.tool == "rectangle"
    return desk


def test_a_drag_paints_the_pixels_from_corner_to_corner(in_hand) -> None:
    desk = in_hand
    drag(desk, (70.5, 50.5), (40.5, 30.5))
    assert desk.refine.state.mask.same_pixels(pixels((40, 30, 71, 51)))
    drag(desk, (150.5, 100.5), (175, 130))
    assert desk.refine.state.mask.same_pixels(pixels((40, 30, 71, 51), (150, 100, 160, 120))), "cut at the image"


@pytest.mark.parametrize(("button", "modifier"), [(RIGHT, NONE), (LEFT, SHIFT)])
def test_the_right_button_and_shift_take_away_and_undo_is_one_step(in_hand, button, modifier) -> None:
    desk = in_hand
    drag(desk, (40.5, 30.5), (79.5, 59.5))
    drag(desk, (50.5, 40.5), (59.5, 49.5), button=button, modifier=modifier)
    assert desk.refine.state.mask.same_pixels(pixels((40, 30, 80, 60), without=(50, 40, 60, 50)))
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask.same_pixels(pixels((40, 30, 80, 60)))
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask is None or not desk.refine.state.mask.area


def test_it_lies_over_the_models_answer_and_stays_while_clicks_go_on(desk) -> None:
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_I)
    drag(desk, (100.5, 20.5), (119.5, 29.5))
    desk.key(K.Key_Q)
    desk.click(62, 64)
    desk.wait_mask(62, 64)
    assert desk.refine.state.mask.contains(110, 25)


def test_without_a_model_a_rectangle_is_an_object(desk) -> None:
    desk.engine.load_error = "no model"
    desk.open(wait_ready=False)
    desk.key(K.Key_I)
    drag(desk, (40.5, 30.5), (59.5, 39.5))
    desk.key(K.Key_Return)
    (kept,) = desk.session.annotations
    assert kept.mask().same_pixels(pixels((40, 30, 60, 40)))
    assert (kept.origin, kept.score) == ("brush", None)


def test_what_is_drawn_is_seen_with_its_size_and_escape_drops_it(in_hand) -> None:
    desk = in_hand
    canvas = desk.window.canvas
    QTest.mouseMove(canvas.viewport(), desk._at(40.5, 30.5))
    before = canvas.grab().toImage()
    QTest.mousePress(canvas.viewport(), LEFT, NONE, desk._at(40.5, 30.5))
    assert canvas.tool_in_hand.box is None, "a click is no rectangle"
    QTest.mouseMove(canvas.viewport(), desk._at(59.5, 44.5))
    box = canvas.tool_in_hand.box
    assert (box.width, box.height) == (20, 15)
    during = canvas.grab().toImage()
    inside, label = desk._at(50, 40), desk._at(59.5, 44.5)
    assert during.pixelColor(inside) != before.pixelColor(inside)
    assert during.pixelColor(label.x() + 18, label.y() + 18) != before.pixelColor(label.x() + 18, label.y() + 18)
    desk.key(K.Key_Escape)
    assert not canvas.has_gesture
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, desk._at(59.5, 44.5))
    assert not desk.refine.state.is_active


def test_a_click_paints_nothing_and_enter_keeps_a_drag(in_hand) -> None:
    desk = in_hand
    desk.click(60, 60)
    assert not desk.refine.state.is_active
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(40.5, 30.5))
    QTest.mouseMove(viewport, desk._at(59.5, 39.5))
    desk.key(K.Key_Return)
    (kept,) = desk.session.annotations
    assert kept.mask().same_pixels(pixels((40, 30, 60, 40)))


def test_space_and_arrow_keys_draw_one(in_hand) -> None:
    canvas = in_hand.window.canvas
    QTest.keyClick(canvas, K.Key_Right)
    x, y = (int(value) for value in canvas.pointer.place.toTuple())
    QTest.keyPress(canvas, K.Key_Space)
    QTest.keyClick(canvas, K.Key_Right, SHIFT)
    QTest.keyClick(canvas, K.Key_Down, CONTROL)
    QTest.keyRelease(canvas, K.Key_Space)
    assert in_hand.refine.state.mask.same_pixels(pixels((x, y, x + 11, y + 2)))


def test_a_rectangle_in_work_survives_a_crash(in_hand) -> None:
    desk = in_hand
    drag(desk, (40.5, 30.5), (59.5, 39.5))
    mask = desk.refine.state.mask
    desk.crash()
    desk.open(folder=desk.folder)
    desk.until(lambda: desk.refine.state.mask is not None)
    assert desk.refine.state.mask.same_pixels(mask)
    assert desk.refine.state.prompts.strokes[0].is_area


def test_a_rectangle_beside_the_image_is_refused_with_a_line(in_hand) -> None:
    drag(in_hand, (-12, 30), (-4, 50))
    assert not in_hand.refine.state.is_active
    assert in_hand.window.status.message.text() == "That rectangle lies outside of the image."
