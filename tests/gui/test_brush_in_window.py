"""Brush and eraser by mouse and key: the line, the ring, the size, and what happens in the middle of a stroke."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.brush import Stroke
from annotator.ui.canvas.cursors import BOX, NEGATIVE, POSITIVE, WINDOW, cursor_of
from annotator.ui.canvas.tools.specs import tool_spec

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
BAR = Stroke(((90, 20), (110, 20)), 5)
"""Far from the discs of the clicks."""


def stroke(desk, start, end, *, button=LEFT, modifier=NONE) -> None:
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, button, modifier, desk._at(*start))
    for part in (0.25, 0.5, 0.75, 1.0):
        x, y = (a + (b - a) * part for a, b in zip(start, end, strict=True))
        QTest.mouseMove(viewport, desk._at(x, y))
    QTest.mouseRelease(viewport, button, modifier, desk._at(*end))


def test_paint_erase_and_accept_by_mouse_and_key(desk) -> None:
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_P)
    assert desk.window.canvas.tool == "brush"
    stroke(desk, (100, 30), (130, 30))
    assert desk.refine.state.mask.contains(115, 30)
    desk.key(K.Key_E)
    stroke(desk, (110, 30), (120, 30))
    assert not desk.refine.state.mask.contains(115, 30)
    desk.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert desk.refine.state.mask.contains(115, 30)
    desk.key(K.Key_Return)
    (kept,) = desk.session.annotations
    assert kept.mask().contains(115, 30)
    assert kept.mask().contains(60, 60)
    assert desk.window.canvas.tool == "eraser", "the tool stays in the hand"


@pytest.mark.parametrize(("key", "button", "modifier"), [(K.Key_P, RIGHT, NONE), (K.Key_P, LEFT, SHIFT)])
def test_the_other_button_and_shift_do_the_opposite(desk, key, button, modifier) -> None:
    desk.open()
    desk.key(key)
    stroke(desk, (60, 30), (100, 30))
    stroke(desk, (80, 30), (84, 30), button=button, modifier=modifier)
    assert desk.refine.state.mask.contains(62, 30)
    assert not desk.refine.state.mask.contains(82, 30)


def test_the_line_is_seen_while_it_is_drawn_and_escape_drops_it(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    brush, viewport = desk.window.canvas.brush, desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(60, 60))
    QTest.mouseMove(viewport, desk._at(80, 60))
    assert brush._line.isVisible()
    assert brush._line.boundingRect().contains(QPointF(80, 60))
    desk.key(K.Key_Escape)
    assert not brush._line.isVisible()
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(80, 60))
    assert not desk.refine.state.is_active


def test_the_ring_follows_the_brush_and_has_its_size(desk) -> None:
    desk.open()
    canvas, ring = desk.window.canvas, desk.window.canvas.brush._ring
    QTest.mouseMove(canvas.viewport(), desk._at(60, 60))
    assert not ring.isVisible()
    desk.key(K.Key_P)
    QTest.mouseMove(canvas.viewport(), desk._at(70, 60))
    assert ring.isVisible()
    assert abs(ring.pos().x() - 70) < 1
    before = canvas.brush.radius_px
    desk.key(K.Key_BracketRight)
    assert canvas.brush.radius_px > before
    assert ring.boundingRect().width() > 2 * canvas.brush.radius_px
    assert "px" in desk.window.status.message.text()
    desk.key(K.Key_BracketLeft)
    desk.key(K.Key_BracketLeft)
    assert canvas.brush.radius_px < before
    desk.key(K.Key_Q)
    assert not ring.isVisible()


def test_the_brush_has_limits(desk) -> None:
    desk.open()
    brush = desk.window.canvas.brush
    brush.resize(-100)
    assert brush.radius_px == 0.5
    sizes = []
    for _ in range(100):
        brush.resize(1)
        sizes.append(brush.radius_px)
    assert sizes[:60] == sorted(sizes[:60])
    assert len(set(sizes[:10])) == 10, "every step is seen"
    assert sizes[-1] == 512


def test_the_wheel_with_control_turns_the_size_and_not_the_zoom(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    canvas = desk.window.canvas
    before, zoom = canvas.brush.radius_px, canvas.zoom

    def wheel(modifier, turned=120) -> None:
        at = QPointF(desk._at(60, 60))
        event = QWheelEvent(
            *(at, canvas.viewport().mapToGlobal(at), QPoint(), QPoint(0, turned)),
            *(Qt.MouseButton.NoButton, modifier, Qt.ScrollPhase.NoScrollPhase, False),
        )
        QApplication.sendEvent(canvas.viewport(), event)

    wheel(Qt.KeyboardModifier.ControlModifier)
    once = canvas.brush.radius_px
    assert once > before
    assert canvas.zoom == zoom
    canvas.brush.set_radius(before)
    for _ in range(12):
        wheel(Qt.KeyboardModifier.ControlModifier, 10)
    assert canvas.brush.radius_px == once, "fine wheels and touchpads send many small turns"
    wheel(NONE)
    assert canvas.zoom > zoom


def test_the_size_is_remembered(desk) -> None:
    desk.open()
    desk.window.canvas.brush.set_radius(21)
    desk.close()
    desk.build()
    assert desk.window.canvas.brush.radius_px == 21


@pytest.mark.parametrize("kept", ["NaN", '"a"', "-4", "1e99", "[]"])
def test_a_kept_size_that_makes_no_sense_is_left_alone(desk, kept) -> None:
    desk.options = {}
    (desk.root / "settings.toml").write_text(f"panels = '{{\"brush_radius_px\": {kept}}}'\n")
    desk.build()
    assert 0.5 <= desk.window.canvas.brush.radius_px <= 512


def test_space_pans_with_the_brush_in_the_hand(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    canvas = desk.window.canvas
    QTest.keyPress(canvas, K.Key_Space)
    place = desk._at(60, 60)
    QTest.mouseMove(canvas.viewport(), place)
    assert not canvas.brush._ring.isVisible()
    QTest.mousePress(canvas.viewport(), LEFT, NONE, place)
    QTest.mouseMove(canvas.viewport(), place + QPoint(30, 0))
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, place + QPoint(30, 0))
    QTest.keyRelease(canvas, K.Key_Space)
    assert not desk.refine.state.is_active


def test_a_stroke_from_outside_reaches_the_edge(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    stroke(desk, (-12, 30), (4, 30))
    assert desk.refine.state.mask.contains(0, 30)


def test_the_cursor_says_whether_it_paints_or_erases(desk) -> None:
    desk.open()
    canvas = desk.window.canvas
    QTest.mouseMove(canvas.viewport(), desk._at(60, 60))
    desk.key(K.Key_P)
    assert canvas._shape(NONE) is tool_spec("brush").cursor
    assert canvas._shape(SHIFT) is tool_spec("eraser").cursor
    desk.key(K.Key_E)
    assert canvas._shape(NONE) is tool_spec("eraser").cursor


def test_every_drawn_cursor_looks_different(desk) -> None:
    own = [tool_spec(name).cursor for name in ("brush", "eraser")]
    drawn = [POSITIVE, NEGATIVE, BOX, WINDOW, *own]
    pictures = [cursor_of(shape).pixmap().toImage() for shape in drawn]
    assert all(a != b for a, b in itertools.combinations(pictures, 2))


def test_a_read_only_project_is_not_painted_on(desk, monkeypatch) -> None:
    desk.open()
    monkeypatch.setattr(type(desk.session), "is_writable", property(lambda _self: False))
    desk.window.canvas.painted.emit(BAR)
    assert not desk.refine.state.is_active


def test_a_stroke_in_work_survives_a_crash(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    stroke(desk, (60, 30), (100, 30))
    mask = desk.refine.state.mask
    desk.crash()
    desk.open(folder=desk.folder)
    desk.until(lambda: desk.refine.state.mask is not None)
    assert desk.refine.state.mask.same_pixels(mask)


def test_going_on_and_coming_back_keeps_the_strokes(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    stroke(desk, (60, 30), (100, 30))
    mask = desk.refine.state.mask
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert not desk.refine.state.is_active
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.until(lambda: desk.refine.state.mask is not None)
    assert desk.refine.state.mask.same_pixels(mask)


def test_a_move_without_a_press_draws_nothing(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    at = QPointF(desk._at(60, 60))
    move = QMouseEvent(QEvent.Type.MouseMove, at, at, Qt.MouseButton.NoButton, Qt.MouseButton.NoButton, NONE)
    QApplication.sendEvent(desk.window.canvas.viewport(), move)
    assert desk.window.canvas.brush.end() is None


def test_enter_keeps_the_stroke_that_is_being_drawn(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(60, 30))
    QTest.mouseMove(viewport, desk._at(100, 30))
    desk.key(K.Key_Return)
    (kept,) = desk.session.annotations
    assert kept.mask().contains(80, 30)
    QTest.mouseMove(viewport, desk._at(100, 60))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(100, 60))
    assert not desk.refine.state.is_active


def test_a_button_that_was_let_go_in_a_dialog_paints_no_more(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    canvas = desk.window.canvas
    QTest.mousePress(canvas.viewport(), LEFT, NONE, desk._at(60, 30))
    at = QPointF(desk._at(100, 60))
    move = QMouseEvent(QEvent.Type.MouseMove, at, at, Qt.MouseButton.NoButton, Qt.MouseButton.NoButton, NONE)
    QApplication.sendEvent(canvas.viewport(), move)
    assert not canvas.has_gesture
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, desk._at(100, 60))
    assert not desk.refine.state.is_active


def test_a_proposal_is_not_where_a_hand_has_decided(desk) -> None:
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_G)
    ghost = desk.program.commands.next_click.ghost
    assert ghost is not None
    desk.refine.paint(Stroke(((ghost.x, ghost.y),), 3, ghost.is_positive))
    desk.key(K.Key_G)
    other = desk.program.commands.next_click.ghost
    assert other is None or abs(other.x - ghost.x) + abs(other.y - ghost.y) > 3


def test_a_drawn_path_is_kept_thin(desk) -> None:
    desk.open()
    desk.key(K.Key_P)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(20, 30))
    for step in range(100):
        QTest.mouseMove(viewport, desk._at(20 + step, 30))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(120, 30))
    (drawn,) = desk.refine.state.prompts.strokes
    assert len(drawn.path) < 12
    assert desk.refine.state.mask.contains(70, 30)
