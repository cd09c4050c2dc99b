"""Zoom and pan: the place under the cursor stays, and the image cannot be lost."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from annotator.ui.canvas.canvas import Canvas
from tests.gui.canvas_hand import HEIGHT, LEFT, MIDDLE, WIDTH, Heard, click, drag, wheel


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
