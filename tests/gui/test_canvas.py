"""Gestures become prompts at the right place of the image; what is shown is what was set."""

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
from PySide6.QtCore import QDeadlineTimer, QEvent, QEventLoop, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.canvas import layer_tiles, mask_items, mask_picture, painted_masks
from annotator.ui.canvas.canvas import Canvas, ObjectView, prepare_image
from annotator.ui.canvas.items import PointItem
from tests.gui.test_items import pixels_of

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
WIDTH, HEIGHT = 203, 150


class Heard:
    """Everything a canvas said."""

    def __init__(self, canvas: Canvas) -> None:
        self.points: list[PointPrompt] = []
        self.boxes: list[Box] = []
        self.clicked: list[tuple[int, bool]] = []
        self.activated: list[int] = []
        self.moved: list[tuple[float, float, bool]] = []
        self.zooms: list[float] = []
        self.accepts: list[bool] = []
        canvas.pointed.connect(self.points.append)
        canvas.boxed.connect(self.boxes.append)
        canvas.object_clicked.connect(lambda i, additive: self.clicked.append((i, additive)))
        canvas.object_activated.connect(self.activated.append)
        canvas.cursor_moved.connect(lambda x, y, inside: self.moved.append((x, y, inside)))
        canvas.zoom_changed.connect(self.zooms.append)
        canvas.accept_clicked.connect(lambda: self.accepts.append(True))


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    made = Canvas()
    qtbot.addWidget(made)
    made.resize(600, 400)
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    made.set_image(prepare_image(rgb))
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def heard(canvas: Canvas) -> Heard:
    return Heard(canvas)


def at(canvas: Canvas, x: float, y: float) -> QPoint:
    return canvas.image_to_view(x, y).toPoint()


def press(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    QTest.mousePress(canvas.viewport(), button, keys, where)


def release(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    QTest.mouseRelease(canvas.viewport(), button, keys, where)


def click(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    press(canvas, where, button, keys)
    release(canvas, where, button, keys)


def move(canvas: Canvas, where: QPoint, buttons: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    position = QPointF(where)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        position,
        canvas.viewport().mapToGlobal(position),
        Qt.MouseButton.NoButton,
        buttons,
        keys,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def drag(
    canvas: Canvas,
    start: QPoint,
    end: QPoint,
    button: Qt.MouseButton = LEFT,
    keys: Qt.KeyboardModifier = NONE,
) -> None:
    press(canvas, start, button, keys)
    for step in range(1, 5):
        move(canvas, start + (end - start) * step / 4, button, keys)
    release(canvas, end, button, keys)


def dots(canvas: Canvas) -> list[PointPrompt]:
    return [item.point for item in canvas.scene().items() if isinstance(item, PointItem) and item.isVisible()]


def shot(canvas: Canvas) -> np.ndarray:
    return pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)


def disc(object_id: int, x: float, y: float, radius: float, colour: str = "#00ff00") -> ObjectView:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    full = np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius
    return ObjectView(object_id, Mask.from_full(full), colour)


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


# --- zoom and pan -----------------------------------------------------------------------------------------------------


def wheel(canvas: Canvas, where: QPoint, angle: int) -> None:
    event = QWheelEvent(
        QPointF(where),
        canvas.viewport().mapToGlobal(QPointF(where)),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def test_the_wheel_zooms_at_the_cursor(canvas: Canvas, heard: Heard) -> None:
    where = QPoint(420, 130)
    fixed = canvas.view_to_image(QPointF(where))
    start = canvas.zoom
    for angle in (120, 120, 360, -120, 15, 7):
        wheel(canvas, where, angle)
        now = canvas.image_to_view(fixed.x(), fixed.y())
        # Scroll positions are whole pixels: each step may add half of one.
        assert (now - QPointF(where)).manhattanLength() < 6 * max(1.0, canvas.zoom / start)
    assert canvas.zoom == pytest.approx(start * 1.25 ** ((120 + 120 + 360 - 120 + 22) / 120))
    assert heard.zooms[-1] == canvas.zoom


def test_one_zoom_step_keeps_the_place_within_a_pixel(canvas: Canvas) -> None:
    for where in (QPointF(10, 10), QPointF(590, 395), QPointF(300, 200)):
        for factor in (1.7, 5.0, 0.2, 9.0, 0.11):
            fixed = canvas.view_to_image(where)
            canvas.zoom_by(factor, where)
            now = canvas.image_to_view(fixed.x(), fixed.y())
            assert abs(now.x() - where.x()) <= 0.51
            assert abs(now.y() - where.y()) <= 0.51


def test_zoom_has_limits_and_ignores_nonsense(canvas: Canvas) -> None:
    canvas.zoom_by(1e9)
    assert canvas.zoom == 64
    canvas.zoom_by(1e-9)
    assert 0.05 < canvas.zoom < 1
    zoom = canvas.zoom
    canvas.zoom_by(0)
    canvas.zoom_by(-3)
    canvas.zoom_by(float("nan"))
    assert canvas.zoom == zoom


def test_fit_shows_the_whole_image_and_follows_the_window(canvas: Canvas, qtbot: QtBot) -> None:
    for size in ((600, 400), (900, 300), (300, 700)):
        canvas.resize(*size)
        qtbot.waitUntil(lambda size=size: canvas.viewport().width() == size[0])
        corner, end = canvas.image_to_view(0, 0), canvas.image_to_view(WIDTH, HEIGHT)
        assert corner.x() >= 0
        assert corner.y() >= 0
        assert end.x() <= size[0]
        assert end.y() <= size[1]
        assert abs(corner.x() + end.x() - size[0]) <= 1.01
        assert abs(corner.y() + end.y() - size[1]) <= 1.01


def test_a_zoomed_view_keeps_its_place_when_the_window_grows(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.zoom_to(500)
    before = canvas.view_to_image(QPointF(0, 0))
    canvas.resize(900, 650)
    qtbot.waitUntil(lambda: canvas.viewport().width() == 900)
    after = canvas.view_to_image(QPointF(0, 0))
    assert abs(after.x() - before.x()) < 0.3
    assert abs(after.y() - before.y()) < 0.3
    assert canvas.zoom == 5


@pytest.mark.parametrize("button", [MIDDLE, LEFT])
def test_middle_drag_and_space_drag_pan(canvas: Canvas, heard: Heard, button: Qt.MouseButton) -> None:
    canvas.setFocus()
    if button == LEFT:
        QTest.keyPress(canvas, Qt.Key.Key_Space)
    before = canvas.image_to_view(0, 0)
    drag(canvas, QPoint(300, 200), QPoint(340, 170), button)
    after = canvas.image_to_view(0, 0)
    assert (after - before).toPoint() == QPoint(40, -30)
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert heard.points == []
    assert heard.boxes == []
    click(canvas, QPoint(300, 200))
    assert len(heard.points) == 1


def test_the_image_cannot_be_lost_by_panning(canvas: Canvas) -> None:
    canvas.pan_by(1e6, 1e6)
    assert canvas.image_to_view(0, 0).x() <= canvas.viewport().width() - 32
    canvas.pan_by(-1e7, -1e7)
    assert canvas.image_to_view(WIDTH, HEIGHT).x() >= 32


# --- objects ----------------------------------------------------------------------------------------------------------


def test_the_select_tool_picks_objects(canvas: Canvas, heard: Heard) -> None:
    canvas.set_objects([disc(7, 60, 60, 40), disc(8, 60, 60, 10)])
    canvas.set_tool("select")
    click(canvas, at(canvas, 60, 60))
    click(canvas, at(canvas, 90, 60), LEFT, SHIFT)
    click(canvas, at(canvas, 90, 60), LEFT, CONTROL)
    click(canvas, at(canvas, 150, 20))
    click(canvas, at(canvas, 60, 60), RIGHT)
    assert heard.clicked == [(8, False), (7, True), (7, True), (0, False)]
    QTest.mouseDClick(canvas.viewport(), LEFT, NONE, at(canvas, 60, 60))
    assert heard.activated == [8]
    canvas.set_hidden({8})
    click(canvas, at(canvas, 60, 60))
    assert heard.clicked[-1] == (7, False)
    canvas.hide_masks(True)
    click(canvas, at(canvas, 60, 60))
    assert heard.clicked[-1] == (0, False)
    assert heard.points == []


def test_objects_are_painted_where_they_are(canvas: Canvas) -> None:
    bare = shot(canvas)
    view = disc(1, 100, 70, 30)
    canvas.set_objects([view])
    painted = shot(canvas)
    changed = np.abs(painted - bare).sum(axis=2) > 30
    rows, columns = np.mgrid[: changed.shape[0], : changed.shape[1]]
    scale = canvas.zoom
    corner = canvas.image_to_view(0, 0)
    distance = np.hypot((columns + 0.5 - corner.x()) / scale - 100, (rows + 0.5 - corner.y()) / scale - 70)
    assert changed[distance < 29].mean() > 0.97
    assert not changed[distance > 32].any()
    canvas.remove_object(1)
    np.testing.assert_array_equal(shot(canvas), bare)


def test_changes_on_the_screen_equal_a_full_repaint(canvas: Canvas) -> None:
    """Only boxes are repainted: nothing may be left behind, at any zoom."""
    for percent in (20, 100, 333):
        canvas.zoom_to(percent)
        canvas.set_objects([disc(i, 30 * i, 60, 14) for i in range(1, 6)])
        window_shot(canvas)
        canvas.put_object(disc(3, 95, 70, 20, "#ff0000"))
        canvas.remove_object(1)
        canvas.set_selected({2, 4})
        window_shot(canvas)
        canvas.set_selected({5})
        canvas.set_hidden({4})
        canvas.set_candidate(disc(0, 120, 90, 25).mask, "#0000ff")
        canvas.set_prompts(Prompts((PointPrompt(20, 20),), Box(10, 10, 80, 60)))
        window_shot(canvas)
        canvas.set_prompts(Prompts((PointPrompt(25, 22),)))
        canvas.set_candidate(disc(0, 125, 90, 15).mask, "#0000ff")
        canvas.pan_by(13, -9)
        stepwise = window_shot(canvas)
        canvas.viewport().update()
        whole = window_shot(canvas)
        assert np.abs(stepwise - whole).max() <= 2, f"at {percent} %"


def window_shot(canvas: Canvas) -> np.ndarray:
    """What is on the (offscreen) screen after the pending updates, without a repaint."""
    QApplication.processEvents()
    window = canvas.window().windowHandle()
    image = window.screen().grabWindow(window.winId()).toImage()
    return pixels_of(image)[..., :3].astype(int)


@pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
def test_a_large_mask_lies_right_in_a_canvas_that_lies_inside_a_window(qtbot: QtBot) -> None:
    window, canvas = QWidget(), Canvas()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    layout.setContentsMargins(37, 53, 11, 7)
    layout.addWidget(canvas)
    window.resize(500, 400)
    canvas.set_image(prepare_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    canvas.set_objects([disc(1, 100, 70, 40)])
    with qtbot.waitExposed(window):
        window.show()
    colours = window_shot(canvas)
    painted = colours[..., 1] - colours[..., 0] > 60
    rows, columns = np.nonzero(painted)
    middle = canvas.mapTo(window, canvas.image_to_view(100, 70).toPoint())
    assert abs(columns.mean() - middle.x()) < 1.5
    assert abs(rows.mean() - middle.y()) < 1.5
    assert abs(np.ptp(columns) - 80 * canvas.zoom) < 5


def test_only_exposed_objects_are_computed(canvas: Canvas) -> None:
    canvas.zoom_to(2000)
    middle = canvas.view_to_image(QPointF(300, 200))
    canvas.set_objects([disc(1, middle.x(), middle.y(), 4), disc(2, 10, 10, 4)])
    shot(canvas)
    assert set(canvas._layer._pictures) == {1}


def test_hiding_and_peeking(canvas: Canvas) -> None:
    bare = shot(canvas)
    canvas.set_objects([disc(1, 60, 60, 20)])
    canvas.set_candidate(disc(0, 120, 60, 20).mask, "#0000ff")
    prompts = Prompts((PointPrompt(30, 30), PointPrompt(50, 30, False)), Box(10, 10, 80, 60))
    canvas.set_prompts(prompts)
    full = shot(canvas)
    canvas.set_peek(True)
    np.testing.assert_array_equal(shot(canvas), bare)
    canvas.set_prompts(prompts.with_point(PointPrompt(90, 90)))
    np.testing.assert_array_equal(shot(canvas), bare)
    canvas.set_peek(False)
    canvas.set_prompts(prompts)
    np.testing.assert_array_equal(shot(canvas), full)
    canvas.hide_masks(True)
    hidden = shot(canvas)
    where = at(canvas, 60, 70)
    np.testing.assert_array_equal(hidden[where.y(), where.x()], bare[where.y(), where.x()])
    assert len(dots(canvas)) == 2
    canvas.hide_masks(False)
    np.testing.assert_array_equal(shot(canvas), full)


def test_opacity_goes_from_outline_only_to_solid(canvas: Canvas) -> None:
    where = at(canvas, 60, 60)
    bare = shot(canvas)[where.y(), where.x()]
    canvas.set_objects([disc(1, 60, 60, 20)])
    canvas.set_opacity(0.0)
    np.testing.assert_array_equal(shot(canvas)[where.y(), where.x()], bare)
    canvas.set_opacity(7.0)
    np.testing.assert_array_equal(shot(canvas)[where.y(), where.x()], [0, 255, 0])


def test_another_image_clears_what_belonged_to_the_one_before(canvas: Canvas) -> None:
    canvas.set_objects([disc(1, 60, 60, 20)])
    canvas.set_candidate(disc(0, 120, 60, 20).mask, "#0000ff")
    canvas.set_prompts(Prompts((PointPrompt(30, 30),), Box(10, 10, 80, 60)))
    canvas.set_hidden({1})
    rgb = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    canvas.set_image(prepare_image(rgb))
    inside = shot(canvas)[60:340, 60:540]
    assert (inside == 77).all()


def test_dots_that_stay_are_the_same_items(canvas: Canvas) -> None:
    first, second = PointPrompt(10, 10), PointPrompt(20, 20)
    canvas.set_prompts(Prompts((first,)))
    (item,) = [i for i in canvas.scene().items() if isinstance(i, PointItem)]
    canvas.set_prompts(Prompts((first, second)))
    assert item in canvas.scene().items()
    canvas.set_prompts(Prompts((second,)))
    assert dots(canvas) == [second]


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


# --- high-DPI and thousands -------------------------------------------------------------------------------------------

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
