"""The scribble tool by mouse and key: a line asks by several clicks, is one step, is drawn, and comes back."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.cues.scribble import CLICKS

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT, ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def draw(desk, *places, button=LEFT, modifier=NONE) -> None:
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, button, modifier, desk._at(*places[0]))
    for place in places[1:]:
        QTest.mouseMove(viewport, desk._at(*place))
    QTest.mouseRelease(viewport, button, modifier, desk._at(*places[-1]))


def shown(desk) -> tuple[int, int]:
    """Lines and dots on the canvas."""
    overlays = desk.window.canvas._overlays
    return len(overlays._cues.cues), sum(item.isVisible() for item in overlays._points)


@pytest.fixture
def in_hand(desk):
    desk.open()
    desk.key(K.Key_Q, ALT)
    assert desk.window.canvas.tool == "scribble"
    return desk


def test_a_line_asks_once_is_one_step_and_is_drawn_in_place_of_its_clicks(in_hand) -> None:
    desk = in_hand
    draw(desk, (40, 60), (60, 60), (90, 62))
    desk.wait_mask(86, 62)
    asked = desk.engine.segmenter.decodes
    assert [len(call.prompts.points) for call in asked] == [CLICKS], "one question"
    assert shown(desk) == (1, 0)
    draw(desk, (84, 60), (84, 61))
    assert len(desk.refine.state.prompts.points) == CLICKS + 1, "what does not move is a click"
    assert shown(desk) == (1, 1)
    desk.key(K.Key_Z, CONTROL)
    desk.key(K.Key_Backspace)
    assert shown(desk) == (0, 0)
    desk.key(K.Key_Z, CONTROL)
    assert shown(desk) == (1, 0)
    desk.key(K.Key_Z, CONTROL)
    assert not desk.refine.state.is_active


@pytest.mark.parametrize(("button", "modifier"), [(RIGHT, NONE), (LEFT, SHIFT)])
def test_the_right_button_and_shift_draw_through_what_is_not_meant(in_hand, button, modifier) -> None:
    desk = in_hand
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    draw(desk, (66, 50), (66, 72), button=button, modifier=modifier)
    desk.until(lambda: not desk.refine.state.is_waiting)
    assert [point.is_positive for point in desk.refine.state.prompts.points] == [True] + [False] * CLICKS
    assert not desk.refine.state.mask.contains(66, 60)


def test_it_comes_back_after_a_crash_and_is_stored_with_the_object(in_hand) -> None:
    desk = in_hand
    draw(desk, (40, 60), (60, 60), (90, 62))
    desk.wait_mask(86, 62)
    desk.crash()
    desk.open(folder=desk.folder)
    desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
    assert shown(desk) == (1, 0)
    desk.key(K.Key_Return)
    (stored,) = desk.session.annotations
    (cue,) = stored.prompts["cues"]
    assert (cue["kind"], cue["first"], cue["count"], stored.clicks) == ("scribble", 0, CLICKS, 1)
    desk.refine.refine_annotation(stored)
    assert shown(desk) == (1, 0), "and is seen again when the object is refined"
