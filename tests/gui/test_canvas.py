"""Gestures become prompts at the right place of the image; what is shown is what was set."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.canvas.canvas import Canvas, prepare_image
from tests.gui.canvas_hand import (
    ALT,
    HEIGHT,
    LEFT,
    NONE,
    RIGHT,
    SHIFT,
    WIDTH,
    Heard,
    at,
    click,
    disc,
    dots,
    drag,
    move,
    press,
    release,
    shot,
    window_shot,
)

# --- points -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [25, 100, 137, 400, 1900])
def test_a_click_hits_its_image_position_at_every_zoom(canvas: Canvas, heard: Heard, percent: float) -> None:
    canvas.zoom_to(percent)
    where = at(canvas, 90.5, 70.5)
    expected = canvas.view_to_image(QPointF(where))
    click(canvas, where)
    (point,) = heard.points
    assert (point.x, point.y) == (expected.x(), expected.y())
    assert abs(point.x - 90.5) <= 0.75 * 100 / percent
    assert point.is_positive


def test_the_pixel_under_the_click_is_the_pixel_on_the_screen(qtbot: QtBot) -> None:
    """The colour that is painted where one clicks is the colour of the pixel that the prompt names."""
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(301, 211)
    rgb = np.zeros((50, 71, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.arange(71) * 3, np.arange(50)[:, None] * 5
    canvas.set_image(prepare_image(rgb))
    with qtbot.waitExposed(canvas):
        canvas.show()
    canvas.zoom_to(730)
    canvas.pan_by(31, -17)
    painted = shot(canvas)
    heard = Heard(canvas)
    for x, y in ((5, 5), (150, 100), (299, 209), (7, 200)):
        click(canvas, QPoint(x, y))
        point = heard.points[-1]
        np.testing.assert_array_equal(painted[y, x], rgb[int(point.y), int(point.x)])


def test_the_sign_of_a_click(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    click(canvas, where)
    click(canvas, where, RIGHT)
    click(canvas, where, LEFT, SHIFT)
    canvas.set_negative(True)
    click(canvas, where)
    click(canvas, where, RIGHT)
    canvas.set_negative(False)
    click(canvas, where)
    assert [p.is_positive for p in heard.points] == [True, False, False, False, False, True]
    assert heard.boxes == []


def test_the_dot_is_there_at_press_and_the_prompt_at_release(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    press(canvas, where)
    assert len(dots(canvas)) == 1
    assert heard.points == []
    release(canvas, where)
    assert len(heard.points) == 1
    assert dots(canvas) == []


def test_no_frame_without_a_dot(canvas: Canvas) -> None:
    """The prompt's own dot is in place before the provisional one goes."""
    seen: list[int] = []

    def on_point(point: PointPrompt) -> None:
        canvas.set_prompts(Prompts((point,)))
        seen.append(len(dots(canvas)))

    canvas.pointed.connect(on_point)
    click(canvas, at(canvas, 50, 50))
    assert seen == [2]
    assert len(dots(canvas)) == 1


def test_a_small_tremble_is_still_a_click_at_the_press(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    drag(canvas, where, where + QPoint(3, 2))
    expected = canvas.view_to_image(QPointF(where))
    assert [(p.x, p.y) for p in heard.points] == [(expected.x(), expected.y())]
    drag(canvas, where, where + QPoint(60, 40), RIGHT)
    assert len(heard.points) == 2
    assert heard.boxes == []


def test_two_quick_clicks_are_two_prompts(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    click(canvas, where)
    # What Qt sends for the second press of a quick pair, and its release.
    QTest.mouseEvent(QTest.MouseAction.MouseDClick, canvas.viewport(), LEFT, NONE, where)
    release(canvas, where)
    assert len(heard.points) == 2
    assert heard.activated == []


def test_clicks_beside_the_image_and_without_one_are_ignored(canvas: Canvas, heard: Heard) -> None:
    for x, y in ((-3, 50), (WIDTH + 3, 50), (50, -3), (50, HEIGHT + 3)):
        click(canvas, at(canvas, x, y))
        click(canvas, at(canvas, x, y), RIGHT)
    canvas.set_image(None)
    click(canvas, QPoint(300, 200))
    drag(canvas, QPoint(100, 100), QPoint(300, 200))
    assert heard.points == []
    assert heard.boxes == []


def test_zooming_between_press_and_release_moves_nothing(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    expected = canvas.view_to_image(QPointF(where))
    press(canvas, where)
    canvas.zoom_by(3.0, QPointF(10, 10))
    release(canvas, where)
    assert [(p.x, p.y) for p in heard.points] == [(expected.x(), expected.y())]


def test_a_second_button_does_not_disturb_the_first(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    press(canvas, where)
    press(canvas, where, RIGHT)
    release(canvas, where, RIGHT)
    release(canvas, where)
    assert [p.is_positive for p in heard.points] == [True]


# --- boxes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["click", "box"])
def test_a_left_drag_is_a_box(canvas: Canvas, heard: Heard, tool: str) -> None:
    canvas.set_tool(tool)
    start, end = at(canvas, 120, 100), at(canvas, 30, 20)
    a, b = canvas.view_to_image(QPointF(start)), canvas.view_to_image(QPointF(end))
    drag(canvas, start, end)
    assert heard.boxes == [Box(b.x(), b.y(), a.x(), a.y())]
    assert heard.points == []
    assert dots(canvas) == []


def test_a_box_is_clipped_and_may_start_outside(canvas: Canvas, heard: Heard) -> None:
    drag(canvas, at(canvas, -10, -10), at(canvas, WIDTH + 10, 40))
    (box,) = heard.boxes
    assert (box.x0, box.y0, box.x1) == (0, 0, WIDTH)
    drag(canvas, at(canvas, -10, -10), at(canvas, -2, 40))
    assert len(heard.boxes) == 1


def test_a_short_alt_drag_is_a_box_and_a_still_one_is_nothing(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 50, 50)
    drag(canvas, where, where + QPoint(4, 4), LEFT, ALT)
    assert len(heard.boxes) == 1
    click(canvas, where, LEFT, ALT)
    assert len(heard.boxes) == 1
    assert heard.points == []


def test_a_click_with_the_box_tool_is_a_point(canvas: Canvas, heard: Heard) -> None:
    canvas.set_tool("box")
    click(canvas, at(canvas, 50, 50))
    click(canvas, at(canvas, 50, 50), RIGHT)
    assert [p.is_positive for p in heard.points] == [True, False]


def test_a_drag_can_be_cancelled(canvas: Canvas, heard: Heard) -> None:
    start, end = at(canvas, 30, 20), at(canvas, 120, 100)
    press(canvas, start)
    move(canvas, end)
    assert canvas.cancel_gesture()
    release(canvas, end)
    assert heard.boxes == []
    assert not canvas.cancel_gesture()


def test_another_image_ends_a_drag(canvas: Canvas, heard: Heard) -> None:
    press(canvas, at(canvas, 30, 20))
    canvas.set_image(prepare_image(np.zeros((40, 50, 3), np.uint8)))
    release(canvas, QPoint(300, 200))
    assert heard.points == []
    assert dots(canvas) == []


def test_a_band_follows_the_drag(canvas: Canvas) -> None:
    before = shot(canvas)
    start, end = at(canvas, 30, 20), at(canvas, 120, 100)
    press(canvas, start)
    move(canvas, end)
    during = shot(canvas)
    line = (np.abs(during - before).sum(axis=2) > 0)[start.y() : end.y(), end.x() - 1 : end.x() + 2]
    assert line.any(axis=1).mean() > 0.9
    release(canvas, end)
    np.testing.assert_array_equal(shot(canvas), before)


# --- cursor, cross-hair, keys, drops ----------------------------------------------------------------------------------


def test_the_cursor_says_what_will_happen(canvas: Canvas) -> None:
    shapes = []

    def shape() -> Qt.CursorShape:
        return canvas.viewport().cursor().shape()

    canvas.set_objects([disc(1, 60, 60, 20)])
    inside, outside = at(canvas, 60, 60), at(canvas, -5, 60)
    move(canvas, outside, Qt.MouseButton.NoButton)
    shapes.append(shape())
    move(canvas, inside, Qt.MouseButton.NoButton)
    positive = canvas.viewport().cursor().pixmap().toImage()
    shapes.append(shape())
    move(canvas, inside, Qt.MouseButton.NoButton, SHIFT)
    assert canvas.viewport().cursor().pixmap().toImage() != positive
    canvas.set_tool("select")
    shapes.append(shape())
    move(canvas, at(canvas, 150, 60), Qt.MouseButton.NoButton)
    shapes.append(shape())
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    shapes.append(shape())
    press(canvas, inside)
    shapes.append(shape())
    release(canvas, inside)
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    shapes.append(shape())
    names = Qt.CursorShape
    assert shapes == [
        names.ArrowCursor,
        names.BitmapCursor,
        names.PointingHandCursor,
        names.ArrowCursor,
        names.OpenHandCursor,
        names.ClosedHandCursor,
        names.ArrowCursor,
    ]


def test_moving_tells_the_image_position(canvas: Canvas, heard: Heard) -> None:
    where = at(canvas, 33, 44)
    move(canvas, where, Qt.MouseButton.NoButton)
    expected = canvas.view_to_image(QPointF(where))
    assert heard.moved == [(expected.x(), expected.y(), True)]
    move(canvas, at(canvas, -9, 44), Qt.MouseButton.NoButton)
    assert heard.moved[-1][2] is False
    QApplication.sendEvent(canvas, QEvent(QEvent.Type.Leave))
    assert heard.moved[-1] == (0.0, 0.0, False)


def test_the_cross_hair_follows_and_leaves_nothing_behind(canvas: Canvas) -> None:
    before = window_shot(canvas)
    canvas.set_cross_hair(True)
    for x in (100, 250, 420):
        move(canvas, QPoint(x, 150), Qt.MouseButton.NoButton)
        changed = np.abs(window_shot(canvas) - before).sum(axis=2) > 0
        assert changed[:, x].mean() > 0.9
        assert changed[150].mean() > 0.9
        assert not changed[:148, : x - 2].any()
    canvas.set_cross_hair(False)
    np.testing.assert_array_equal(window_shot(canvas), before)


def test_only_space_and_arrows_are_the_canvas_own_keys(canvas: Canvas) -> None:
    for key in (Qt.Key.Key_A, Qt.Key.Key_Return, Qt.Key.Key_PageDown, Qt.Key.Key_Escape, Qt.Key.Key_1):
        event = QKeyEvent(QEvent.Type.KeyPress, key, NONE)
        canvas.keyPressEvent(event)
        assert not event.isAccepted(), key
    space = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Space, NONE)
    canvas.keyPressEvent(space)
    assert space.isAccepted()


def test_space_does_not_stick_when_the_focus_goes(canvas: Canvas, heard: Heard, qtbot: QtBot) -> None:
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    canvas.clearFocus()
    click(canvas, at(canvas, 50, 50))
    assert len(heard.points) == 1


def test_the_side_buttons_accept(canvas: Canvas, heard: Heard) -> None:
    click(canvas, QPoint(300, 200), Qt.MouseButton.BackButton)
    click(canvas, QPoint(300, 200), Qt.MouseButton.ForwardButton)
    assert heard.accepts == [True, True]
