"""The polygon tool by mouse and key: corners, free-hand lines, how it is closed, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.areas import filled
from annotator.domain.mask import Mask
from annotator.ui.canvas import cursors
from annotator.ui.canvas.tools.polygon import TOO_FEW

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
SQUARE = ((40, 30), (80, 30), (80, 60), (40, 60))


@pytest.fixture
def in_hand(desk):
    desk.open()
    desk.key(K.Key_Y)
    assert desk.window.canvas.tool == "polygon"
    return desk


def draw(desk, ring, *, button=LEFT, modifier=NONE) -> None:
    for number, place in enumerate(ring):
        desk.click(*place, button=button if number == 0 else LEFT, modifier=modifier if number == 0 else NONE)


def inside(desk) -> Mask:
    """What the ring that was drawn last encloses, by its own corners."""
    stroke = desk.refine.state.prompts.strokes[-1]
    return Mask.from_full(filled(stroke.path, (0, 0, 160, 120)))


def test_enter_closes_the_ring_and_the_next_one_accepts(in_hand) -> None:
    desk = in_hand
    draw(desk, SQUARE)
    assert desk.window.canvas.tool_in_hand.is_open
    assert not desk.refine.state.is_active, "nothing of it counts before it is closed"
    desk.key(K.Key_Return)
    state = desk.refine.state
    assert not desk.session.annotations
    assert [len(stroke.path) for stroke in state.prompts.strokes] == [4]
    assert state.mask.same_pixels(inside(desk))
    assert abs(state.mask.area - 40 * 30) < 80
    desk.key(K.Key_Return)
    (kept,) = desk.session.annotations
    assert kept.mask().same_pixels(state.mask)


@pytest.mark.parametrize("way", ["first corner", "double click"])
def test_a_press_at_the_first_corner_and_a_double_click_close_it(in_hand, way: str) -> None:
    desk = in_hand
    draw(desk, SQUARE)
    if way == "first corner":
        QTest.mouseMove(desk.window.canvas.viewport(), desk._at(40.5, 30.5))
        assert desk.window.canvas._shape(NONE) is cursors.PICK
        desk.click(40.5, 30.5)
    else:
        QTest.mouseDClick(desk.window.canvas.viewport(), LEFT, NONE, desk._at(*SQUARE[-1]))
    assert not desk.window.canvas.has_gesture
    assert len(desk.refine.state.prompts.strokes[-1].path) == 4


def test_a_double_click_that_closes_at_the_first_corner_begins_no_other(in_hand) -> None:
    desk = in_hand
    draw(desk, (*SQUARE, SQUARE[0]))
    QTest.mouseDClick(desk.window.canvas.viewport(), LEFT, NONE, desk._at(*SQUARE[0]))
    assert not desk.window.canvas.has_gesture


@pytest.mark.parametrize(("button", "modifier"), [(RIGHT, NONE), (LEFT, SHIFT)])
def test_begun_with_the_right_button_or_shift_it_takes_away(in_hand, button, modifier) -> None:
    desk = in_hand
    draw(desk, SQUARE)
    desk.key(K.Key_Return)
    before = desk.refine.state.mask
    draw(desk, ((50, 40), (60, 40), (60, 50), (50, 50)), button=button, modifier=modifier)
    desk.key(K.Key_Return)
    assert desk.refine.state.mask.same_pixels(before.subtract(inside(desk)))
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask.same_pixels(before)


def test_backspace_takes_corners_back_and_then_the_ring_before(in_hand) -> None:
    desk = in_hand
    tool = desk.window.canvas.tool_in_hand
    draw(desk, SQUARE)
    desk.key(K.Key_Backspace)
    desk.key(K.Key_Z, CONTROL)
    assert len(tool.corners) == 2
    desk.key(K.Key_Return)
    assert desk.window.status.message.text() == TOO_FEW
    assert len(tool.corners) == 2, "it can go on"
    desk.click(60, 70)
    desk.key(K.Key_Return)
    assert desk.refine.state.is_active
    desk.key(K.Key_Backspace)
    assert not desk.refine.state.is_active


def test_a_drag_is_drawn_free_hand_and_taken_back_as_a_whole(in_hand) -> None:
    desk = in_hand
    canvas, viewport = desk.window.canvas, desk.window.canvas.viewport()
    desk.click(20, 20)
    angles = np.linspace(np.pi, -0.8 * np.pi, 40)
    ring = [(80 + 30 * np.cos(a), 60 + 30 * np.sin(a)) for a in angles]
    QTest.mousePress(viewport, LEFT, NONE, desk._at(*ring[0]))
    for place in ring:
        QTest.mouseMove(viewport, desk._at(*place))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(*ring[-1]))
    drawn = canvas.tool_in_hand.corners
    assert 12 < len(drawn) <= 42, "thinned, and still round"
    desk.key(K.Key_Backspace)
    assert len(canvas.tool_in_hand.corners) == 1


def test_a_drag_back_to_its_start_closes_it(in_hand) -> None:
    desk = in_hand
    viewport = desk.window.canvas.viewport()
    ring = [(80 + 30 * np.cos(a), 60 + 30 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)]
    QTest.mousePress(viewport, LEFT, NONE, desk._at(*ring[0]))
    for place in ring:
        QTest.mouseMove(viewport, desk._at(*place))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(*ring[-1]))
    assert not desk.window.canvas.has_gesture
    assert abs(desk.refine.state.mask.area / (np.pi * 900) - 1) < 0.03


def test_a_ring_that_crosses_itself_is_shown_and_kept_by_the_even_odd_rule(in_hand) -> None:
    desk = in_hand
    canvas = desk.window.canvas
    before = canvas.grab().toImage()
    star = [(80 + 40 * np.sin(a), 60 - 40 * np.cos(a)) for a in np.arange(5) * 4 * np.pi / 5]
    draw(desk, star)
    during = canvas.grab().toImage()
    middle, arm = desk._at(80, 60), desk._at(80, 32)
    assert during.pixelColor(middle) == before.pixelColor(middle), "the middle is enclosed twice"
    assert during.pixelColor(arm) != before.pixelColor(arm)
    desk.key(K.Key_Return)
    mask = desk.refine.state.mask
    assert not mask.contains(80, 60)
    assert mask.contains(80, 32)


def test_what_lies_outside_of_the_image_is_cut_and_a_line_is_refused(in_hand) -> None:
    desk = in_hand
    draw(desk, ((150, 20), (170, 20), (170, 40), (150, 40)))
    desk.key(K.Key_Return)
    x, _, width, _ = desk.refine.state.mask.bbox_xywh
    assert x + width == 160
    draw(desk, ((20, 20), (60, 20), (40, 20)))
    desk.key(K.Key_Return)
    assert len(desk.refine.state.prompts.strokes) == 1
    assert "encloses no pixel" in desk.window.status.message.text()


def test_it_is_drawn_without_a_mouse(in_hand) -> None:
    canvas = in_hand.window.canvas
    QTest.keyClick(canvas, K.Key_Right)
    x, y = canvas.pointer.place.toTuple()
    for key in (K.Key_Right, K.Key_Down, K.Key_Left):
        QTest.keyClick(canvas, K.Key_Space)
        QTest.keyClick(canvas, key, SHIFT)
    QTest.keyClick(canvas, K.Key_Space)
    in_hand.key(K.Key_Return)
    (stroke,) = in_hand.refine.state.prompts.strokes
    assert stroke.path == ((x, y), (x + 10, y), (x + 10, y + 10), (x, y + 10))


def test_another_image_keeps_what_was_drawn(in_hand) -> None:
    desk = in_hand
    draw(desk, SQUARE)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.until(lambda: desk.refine.state.mask is not None)
    assert len(desk.refine.state.prompts.strokes[-1].path) == 4


def test_clicks_polygons_and_strokes_mix_and_survive_a_crash(desk) -> None:
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_Y)
    draw(desk, ((100, 20), (130, 20), (130, 40), (100, 40)))
    desk.key(K.Key_Return)
    desk.key(K.Key_Q)
    desk.click(62, 64)
    desk.wait_mask(62, 64)
    desk.key(K.Key_E)
    desk.click(110, 30)
    mask = desk.refine.state.mask
    assert not mask.contains(110, 30)
    assert mask.contains(125, 25)
    desk.crash()
    desk.open(folder=desk.folder)
    desk.wait_mask(62, 64)
    assert desk.refine.state.mask.same_pixels(mask)


def test_with_alt_corners_snap_to_the_borders_and_to_neighbours(desk):
    desk.open()
    other = desk.accept_at(60, 40).mask()
    desk.key(K.Key_Y)
    alt = Qt.KeyboardModifier.AltModifier
    tool = desk.window.canvas.tool_in_hand
    desk.click(1.4, 1.2, modifier=alt)
    desk.click(70.4, 40.3, modifier=alt)
    desk.click(1.5, 100.0, modifier=alt)
    first, second, third = tool.corners
    assert first == (0, 0)
    assert third[0] == 0
    x, y = (int(value) for value in second)
    assert second == (x, y)
    around = other.full()[y - 1 : y + 1, x - 1 : x + 1]
    assert around.any()
    assert not around.all(), "it is a corner of the neighbour's edge"
    desk.key(K.Key_Return)
    assert desk.refine.state.mask.contains(0.5, 0.5)


def test_without_the_key_nothing_snaps(desk):
    desk.open()
    desk.key(K.Key_Y)
    desk.click(1.4, 1.2)
    (corner,) = desk.window.canvas.tool_in_hand.corners
    assert corner[0] > 1
