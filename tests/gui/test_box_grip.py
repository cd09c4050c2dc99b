"""The prompt box is taken at its handles and edges: resized or moved, and asked again."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QCursor
from PySide6.QtTest import QTest

from annotator.domain.geometry import Box
from annotator.ui.canvas.box_grip import BoxGrip, grip_at
from tests.gui.shell import Desk

K = Qt.Key
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]
BOX = Box(20, 30, 100, 90)


@pytest.mark.parametrize(
    ("x", "y", "dx", "dy"),
    [
        *((20, 30, -1, -1), (100, 30, 1, -1), (100, 90, 1, 1), (20, 90, -1, 1)),
        *((60, 30, 0, -1), (100, 60, 1, 0), (60, 90, 0, 1), (20, 60, -1, 0)),
        *((40, 30, 0, 0), (100, 75, 0, 0), (21, 31, -1, -1), (98, 92, 1, 1)),
    ],
)
def test_every_handle_and_edge_is_found(x, y, dx, dy):
    assert grip_at(BOX, x, y, zoom=1.0) == BoxGrip(dx, dy)


@pytest.mark.parametrize(("x", "y"), [(60, 60), (40, 45), (5, 5), (120, 60), (60, 110), (30, 41)])
def test_inside_and_outside_is_nothing_to_take(x, y):
    assert grip_at(BOX, x, y, zoom=1.0) is None


def test_a_box_that_is_small_on_the_screen_has_room_for_clicks():
    small = Box(20, 30, 26, 36)
    assert grip_at(small, 23, 33, zoom=1.0) is None
    assert grip_at(small, 19, 29, zoom=1.0) == BoxGrip(-1, -1)
    assert grip_at(small, 23, 30, zoom=1.0) in (BoxGrip(0, 0), BoxGrip(1, -1), BoxGrip(-1, -1))
    assert grip_at(small, 23, 30, zoom=20.0) == BoxGrip(0, -1)


@pytest.mark.parametrize(
    ("grip", "by", "wanted"),
    [
        (BoxGrip(-1, -1), (5, 6), Box(25, 36, 100, 90)),
        (BoxGrip(1, 1), (5, 6), Box(20, 30, 105, 96)),
        (BoxGrip(0, 1), (50, -10), Box(20, 30, 100, 80)),
        (BoxGrip(1, 0), (-10, 50), Box(20, 30, 90, 90)),
        (BoxGrip(0, 0), (10, -10), Box(30, 20, 110, 80)),
        (BoxGrip(0, 0), (1000, -1000), Box(80, 0, 160, 60)),
        (BoxGrip(1, 1), (1000, 1000), Box(20, 30, 160, 120)),
        (BoxGrip(1, 0), (-100, 0), Box(0, 30, 20, 90)),
    ],
)
def test_what_a_drag_makes_of_it(grip, by, wanted):
    assert grip.dragged(BOX, by, width=160, height=120) == wanted


# --- in the window ------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(desk):
    desk.open()
    desk.key(K.Key_B)
    desk.drag((30, 30), (90, 90))
    desk.wait_mask(60, 60)
    return desk


def box_of(desk: Desk) -> tuple[int, ...]:
    box = desk.refine.state.prompts.box
    return tuple(round(v) for v in box.as_xyxy())


@pytest.mark.parametrize("tool", ["click", "box"])
def test_a_corner_is_dragged_and_the_model_is_asked_again(desk, tool):
    desk.program.commands.set_tool(tool)
    asked = len(desk.engine.segmenter.decodes)
    desk.drag((90, 90), (120, 110))
    assert box_of(desk) == (30, 30, 120, 110)
    assert desk.refine.state.prompts.points == ()
    desk.wait_mask(75, 70)
    assert len(desk.engine.segmenter.decodes) == asked + 1
    desk.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert box_of(desk) == (30, 30, 90, 90)


def test_an_edge_moves_the_whole_box(desk):
    desk.drag((45, 30), (65, 40))
    assert box_of(desk) == (50, 40, 110, 100)
    desk.wait_mask(80, 70)
    assert desk.refine.state.prompts.box.width == pytest.approx(60, abs=1)


def test_a_click_on_a_handle_is_a_point(desk):
    desk.click(88, 88)
    (point,) = desk.refine.state.prompts.points
    assert (round(point.x), round(point.y)) == (88, 88)
    assert box_of(desk) == (30, 30, 90, 90)


def test_escape_drops_the_drag_and_keeps_the_box(desk):
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(90, 90))
    QTest.mouseMove(viewport, desk._at(130, 110))
    desk.key(K.Key_Escape)
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(130, 110))
    assert box_of(desk) == (30, 30, 90, 90)
    assert desk.refine.state.prompts.points == ()


def test_accepting_in_the_middle_of_a_drag_begins_no_other_object(desk):
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(90, 90))
    QTest.mouseMove(viewport, desk._at(130, 110))
    desk.key(K.Key_Return)
    QTest.mouseMove(viewport, desk._at(140, 110))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(140, 110))
    assert len(desk.session.annotations) == 1
    assert not desk.refine.state.is_active


def test_a_late_answer_does_not_move_the_box_under_the_hand(desk):
    viewport = desk.window.canvas.viewport()
    item = desk.window.canvas._overlays._box
    desk.engine.hold()
    desk.click(60, 50)
    QTest.mousePress(viewport, LEFT, NONE, desk._at(90, 90))
    for x in (100, 120):
        QTest.mouseMove(viewport, desk._at(x, 110))
    desk.engine.let_go()
    desk.until(lambda: not desk.refine.state.is_waiting)
    assert round(item.rect().right()) == 120
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(120, 110))
    assert box_of(desk) == (30, 30, 120, 110)
    assert len(desk.refine.state.prompts.points) == 1


@pytest.mark.parametrize(
    ("x", "y", "shape"),
    [
        (90, 90, Qt.CursorShape.SizeFDiagCursor),
        (90, 30, Qt.CursorShape.SizeBDiagCursor),
        (60, 90, Qt.CursorShape.SizeVerCursor),
        (90, 60, Qt.CursorShape.SizeHorCursor),
        (45, 90, Qt.CursorShape.SizeAllCursor),
    ],
)
def test_the_cursor_says_so(desk, x, y, shape):
    QTest.mouseMove(desk.window.canvas.viewport(), desk._at(60, 60))
    QTest.mouseMove(desk.window.canvas.viewport(), desk._at(x, y))
    assert desk.window.canvas.viewport().cursor().shape() == QCursor(shape).shape()
    desk.key(K.Key_S)
    assert desk.window.canvas.viewport().cursor().shape() == Qt.CursorShape.ArrowCursor
