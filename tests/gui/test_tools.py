"""The canvas and the tool in the hand: what a tool is told, and that a row is enough for it to be there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.ui.canvas import cursors
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.canvas.tools import specs
from annotator.ui.canvas.tools.specs import FIRST_TOOL, LOOKING_TOOL, TOOLS, tool_spec
from annotator.ui.canvas.tools.tool import Pointer, Tool
from annotator.ui.shell.action_rows import ACTIONS
from annotator.ui.shell.sheets import MOUSE

K = Qt.Key
LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


CURSORS = {"cursor": cursors.PICK, "other_cursor": cursors.MOVE}


class Listening(Tool):
    """Writes down what it is told."""

    told: list[tuple[str, int, int]] = []

    def _note(self, what: str, pointer: Pointer) -> None:
        self.told.append((what, round(pointer.where.x()), round(pointer.where.y())))

    def press(self, pointer: Pointer) -> bool:
        self._note("other press" if pointer.is_other else "press", pointer)
        return True

    def move(self, pointer: Pointer) -> None:
        self._note("move", pointer)

    def release(self, pointer: Pointer) -> None:
        self._note("release", pointer)

    def key_press(self, pointer: Pointer) -> bool:
        self._note("key", pointer)
        return True

    def cancel(self) -> None:
        self.told.append(("cancel", 0, 0))


@pytest.fixture
def listening(desk, monkeypatch):
    """A window with a tool of a row more in the hand."""
    row = replace(tool_spec(FIRST_TOOL), id="listening", factory=f"{__name__}:Listening", place=99, **CURSORS)
    monkeypatch.setattr(specs, "TOOLS", (*TOOLS, row))
    monkeypatch.setattr(Listening, "told", [])
    desk.open()
    desk.window.canvas.set_tool("listening")
    Listening.told.clear()
    return desk


def test_a_tool_is_told_presses_moves_and_releases_in_image_pixels(listening):
    canvas, viewport = listening.window.canvas, listening.window.canvas.viewport()
    QTest.mousePress(viewport, RIGHT, NONE, listening._at(40, 30))
    assert canvas.has_gesture
    QTest.mouseMove(viewport, listening._at(60, 50))
    QTest.mouseRelease(viewport, RIGHT, NONE, listening._at(70, 55))
    assert Listening.told == [("other press", 40, 30), ("move", 60, 50), ("release", 70, 55)]
    assert not canvas.has_gesture


def test_the_image_is_moved_without_the_tool(listening):
    canvas, viewport = listening.window.canvas, listening.window.canvas.viewport()
    before = canvas.image_to_view(0, 0)
    QTest.mousePress(viewport, MIDDLE, NONE, listening._at(40, 30))
    QTest.mouseMove(viewport, listening._at(60, 50))
    QTest.mouseRelease(viewport, MIDDLE, NONE, listening._at(60, 50))
    assert canvas.image_to_view(0, 0) != before
    assert Listening.told == []


def test_escape_and_another_tool_cancel_a_gesture(listening):
    canvas, viewport = listening.window.canvas, listening.window.canvas.viewport()
    for stop in (lambda: listening.key(K.Key_Escape), lambda: canvas.set_tool("box")):
        canvas.set_tool("listening")
        QTest.mousePress(viewport, LEFT, NONE, listening._at(40, 30))
        Listening.told.clear()
        stop()
        assert Listening.told == [("cancel", 0, 0)]
        QTest.mouseRelease(viewport, LEFT, NONE, listening._at(40, 30))
        assert ("release", 40, 30) not in Listening.told


def test_space_at_the_cross_hair_begins_a_gesture_that_escape_cancels(listening):
    canvas = listening.window.canvas
    QTest.keyClick(canvas, K.Key_Right)
    QTest.keyPress(canvas, K.Key_Space)
    assert canvas.has_gesture
    QTest.keyClick(canvas, K.Key_Down)
    listening.key(K.Key_Escape)
    QTest.keyRelease(canvas, K.Key_Space)
    assert [what for what, _, _ in Listening.told] == ["key", "move", "cancel"]
    assert canvas.pointer.is_shown


def test_the_cursor_says_what_a_press_would_do(listening):
    canvas = listening.window.canvas
    QTest.mouseMove(canvas.viewport(), listening._at(40, 30))
    assert canvas._shape(NONE) is cursors.PICK
    assert canvas._shape(SHIFT) is cursors.MOVE


def test_a_tool_that_is_not_there_leaves_the_one_in_the_hand(qtbot):
    canvas = Canvas()
    qtbot.addWidget(canvas)
    with pytest.raises(KeyError):
        canvas.set_tool("hammer")
    assert canvas.tool == FIRST_TOOL


def test_every_row_is_a_tool_with_an_action_in_its_place(qtbot):
    canvas = Canvas()
    qtbot.addWidget(canvas)
    rows = [row for row in ACTIONS if row.group == "tool"]
    assert [row.args for row in rows] == [(spec.id,) for spec in TOOLS]
    assert [row.strip for row in rows] == sorted(row.strip for row in rows)
    for spec in TOOLS:
        canvas.set_tool(spec.id)
        assert canvas.tool == spec.id
        assert set(spec.gestures) <= set(MOUSE)
    assert not tool_spec(LOOKING_TOOL).changes


class Corners(Listening):
    """A gesture of several presses."""

    def __init__(self, context) -> None:
        super().__init__(context)
        self.places: list[Pointer] = []

    @property
    def is_drawing(self) -> bool:
        return bool(self.places)

    @property
    def is_open(self) -> bool:
        return bool(self.places)

    def press(self, pointer: Pointer) -> bool:
        self.places.append(pointer)
        return super().press(pointer)

    def key_press(self, pointer: Pointer) -> bool:
        self.press(pointer)
        return False

    def step_back(self) -> None:
        self.places.pop()
        self.told.append(("back", 0, 0))

    def close(self) -> None:
        self.told.append(("close", 0, 0))
        self.places = []

    def finish(self) -> None:
        self.told.append(("finish", 0, 0))
        self.places = []

    def cancel(self) -> None:
        super().cancel()
        self.places = []


@pytest.fixture
def cornering(listening, monkeypatch):
    row = replace(tool_spec(FIRST_TOOL), id="corners", factory=f"{__name__}:Corners", place=98)
    monkeypatch.setattr(specs, "TOOLS", (*specs.TOOLS, row))
    listening.window.canvas.set_tool("corners")
    listening.click(40, 30)
    listening.click(60, 30)
    Listening.told.clear()
    return listening


def test_a_gesture_of_several_presses_goes_on_between_them(cornering):
    assert cornering.window.canvas.has_gesture
    actions = cornering.window.actions_by_id
    assert all(actions[name].isEnabled() for name in ("accept", "remove_last", "cancel", "undo"))
    cornering.key(K.Key_Backspace)
    cornering.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert Listening.told == [("back", 0, 0)] * 2
    assert not cornering.window.canvas.has_gesture
    assert not actions["accept"].isEnabled()


def test_enter_closes_it_and_escape_drops_it_and_neither_does_more(cornering):
    cornering.key(K.Key_Return)
    cornering.click(40, 30)
    cornering.key(K.Key_Escape)
    assert [what for what, _, _ in Listening.told] == ["close", "press", "release", "cancel"]
    assert not cornering.refine.state.is_active


def test_another_tool_and_another_image_keep_it(cornering):
    cornering.window.canvas.set_tool("box")
    assert [what for what, _, _ in Listening.told] == ["finish", "cancel", "cancel"]
    cornering.window.canvas.set_tool("corners")
    cornering.click(40, 30)
    Listening.told.clear()
    cornering.key(K.Key_D)
    assert Listening.told[0] == ("finish", 0, 0)


def test_keys_of_it_wait_until_the_button_is_let_go(cornering):
    viewport = cornering.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, cornering._at(80, 30))
    cornering.key(K.Key_Backspace)
    cornering.key(K.Key_Return)
    QTest.mouseRelease(viewport, LEFT, NONE, cornering._at(80, 30))
    assert [what for what, _, _ in Listening.told] == ["press", "release"]
    assert len(cornering.window.canvas.tool_in_hand.places) == 3
