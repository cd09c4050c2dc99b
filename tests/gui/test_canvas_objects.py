"""Objects on the canvas: picked, painted where they are, hidden and shown."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.canvas.canvas import Canvas, prepare_image
from annotator.ui.canvas.items import PointItem
from tests.gui.canvas_hand import (
    CONTROL,
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
    shot,
    window_shot,
)


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
