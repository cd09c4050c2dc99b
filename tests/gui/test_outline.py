"""The outline tool: corners are dragged, added, selected and taken away; what was drawn as a polygon stays one."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.mask import Mask
from annotator.domain.outline import OUTLINE_KEY, area_of, from_json
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.polygons import export_polygons
from tests.gui.shell import drag

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
SQUARE = ((40, 30), (80, 30), (80, 60), (40, 60))


def handles(desk):
    """The outline tool, once it shows corners."""
    tool = desk.window.canvas.tool_in_hand
    QTest.mouseMove(desk.window.canvas.viewport(), desk._at(3, 3))
    desk.until(lambda: bool(tool.rings) and not tool._finder.is_busy)
    return tool


def near(ring, places, px: float = 1.0) -> bool:
    """Whether corners lie where they were put, as exactly as view pixels allow."""
    return len(ring) == len(places) and all(
        abs(x - a) < px and abs(y - b) < px for (x, y), (a, b) in zip(ring, places, strict=True)
    )


@pytest.fixture
def drawn(desk):
    """A polygon drawn as the current object, with the outline tool in the hand."""
    desk.open()
    desk.key(K.Key_Y)
    for place in SQUARE:
        desk.click(*place)
    desk.key(K.Key_Return)
    desk.key(K.Key_V, SHIFT)
    assert desk.window.canvas.tool == "outline"
    return desk


def test_a_drawn_polygon_shows_its_own_corners_and_a_dragged_one_is_the_new_polygon(drawn) -> None:
    desk, tool = drawn, handles(drawn)
    before = desk.refine.state.mask
    assert near(tool.rings[0], SQUARE)
    drag(desk, (80, 60), (90, 66), (100, 75))
    assert near(tool.rings[0], ((40, 30), (80, 30), (100, 75), (40, 60)))
    assert desk.refine.state.mask.same_pixels(area_of(tool.rings, 160, 120))
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask.same_pixels(before)
    assert near(handles(desk).rings[0], SQUARE)


def test_a_press_on_a_line_adds_a_corner_and_the_right_button_takes_one_away(drawn) -> None:
    desk, tool = drawn, handles(drawn)
    drag(desk, (60, 30), (60, 20), (60, 12))
    assert near(tool.rings[0], ((40, 30), (60, 12), (80, 30), (80, 60), (40, 60)))
    desk.click(80, 60, button=RIGHT)
    assert near(tool.rings[0], ((40, 30), (60, 12), (80, 30), (40, 60)))
    assert desk.refine.state.mask.same_pixels(area_of(tool.rings, 160, 120))


def test_corners_are_selected_by_a_marquee_moved_together_and_deleted(drawn) -> None:
    desk, tool = drawn, handles(drawn)
    drag(desk, (70, 20), (95, 70), (96, 71))
    assert tool.selected == {(0, 1), (0, 2)}
    drag(desk, (80, 30), (100, 30), (110, 30))
    assert near(tool.rings[0], ((40, 30), (110, 30), (110, 60), (40, 60)))
    desk.click(40, 30)
    desk.click(40, 60, modifier=SHIFT)
    assert tool.selected == {(0, 0), (0, 3)}
    drag(desk, (40, 30), (30, 30), (20, 30))
    assert desk.refine.state.mask.same_pixels(area_of(tool.rings, 160, 120))
    desk.click(20, 60)
    QTest.keyClick(desk.window.canvas, K.Key_Delete)
    assert len(tool.rings[0]) == 3


def test_escape_in_a_drag_leaves_the_corner_where_it_was(drawn) -> None:
    desk, tool = drawn, handles(drawn)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(80, 60))
    QTest.mouseMove(viewport, desk._at(100, 75))
    desk.key(K.Key_Escape)
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(100, 75))
    assert near(tool.rings[0], SQUARE)
    assert len(desk.refine.state.prompts.strokes) == 1


def test_any_object_is_taken_up_by_a_click_and_pixels_far_from_the_edit_stay(desk) -> None:
    desk.open()
    before = desk.accept_at(60, 60).mask()
    desk.key(K.Key_V, SHIFT)
    desk.click(60, 60)
    assert desk.refine.state.origin_id is not None
    tool = handles(desk)
    corner = max(tool.rings[0])
    drag(desk, corner, (corner[0] + 9, corner[1]), (corner[0] + 18, corner[1]))
    after = desk.refine.state.mask
    changed = after.xor(before)
    assert not changed.is_empty
    assert changed.x >= 60, "only on the side of the corner"
    desk.key(K.Key_Return)
    assert desk.session.annotations[0].mask().same_pixels(after)
    assert OUTLINE_KEY not in desk.session.annotations[0].prompts, "a click had a part in it"


def test_ctrl_lends_the_tool_and_gives_the_one_before_back(drawn) -> None:
    desk, canvas = drawn, drawn.window.canvas
    desk.key(K.Key_Q)
    QTest.keyPress(canvas, K.Key_Control)
    assert canvas.tool == "outline"
    tool = handles(desk)
    viewport = canvas.viewport()
    QTest.mousePress(viewport, LEFT, CONTROL, desk._at(80, 60))
    QTest.mouseMove(viewport, desk._at(100, 75))
    QTest.mouseRelease(viewport, LEFT, CONTROL, desk._at(100, 75))
    QTest.keyRelease(canvas, K.Key_Control)
    assert canvas.tool == "click"
    assert desk.refine.state.mask.same_pixels(area_of(tool.rings, 160, 120))
    desk.key(K.Key_I)
    QTest.keyPress(canvas, K.Key_Control)
    assert canvas.tool == "rectangle", "there Ctrl means a square"
    QTest.keyRelease(canvas, K.Key_Control)


def test_an_accepted_polygon_keeps_its_corners_is_edited_as_one_and_exported_as_it_is(drawn, tmp_path) -> None:
    desk = drawn
    desk.key(K.Key_Return)
    outline = from_json(desk.session.annotations[0].prompts[OUTLINE_KEY])
    assert near(outline[0], SQUARE)
    desk.click(60, 45)
    assert desk.refine.state.origin_id is not None
    tool = handles(desk)
    assert tool.rings == outline
    drag(desk, (80, 60), (90, 66), (100, 75))
    desk.key(K.Key_Return)
    (row,) = desk.session.annotations
    (ring,) = from_json(row.prompts[OUTLINE_KEY])
    assert near(ring, ((40, 30), (80, 30), (100, 75), (40, 60)))
    export_coco(desk.session.store, tmp_path / "coco.json")
    (found,) = json.loads((tmp_path / "coco.json").read_text())["annotations"][0]["segmentation"]
    assert sorted(zip(found[0::2], found[1::2], strict=True)) == sorted(ring)
    export_polygons(desk.session.store, tmp_path / "polygons")
    feature = json.loads((tmp_path / "polygons" / "0.png.json").read_text())["features"][0]
    (exterior,) = feature["geometry"]["coordinates"]
    assert sorted(map(tuple, exterior[:-1])) == sorted(ring)


def test_a_brush_over_a_polygon_makes_it_a_mask(drawn) -> None:
    desk = drawn
    desk.key(K.Key_P)
    desk.click(80, 45)
    desk.key(K.Key_Return)
    assert OUTLINE_KEY not in desk.session.annotations[0].prompts


def test_simplifying_says_how_much_is_kept_and_makes_a_polygon(desk) -> None:
    desk.open()
    desk.accept_at(60, 60)
    desk.key(K.Key_A, CONTROL)
    desk.key(K.Key_O, SHIFT)
    desk.until(lambda: not desk.program.commands.masks._work.is_busy)
    assert "IoU 0." in desk.window.area.operation.effect.text()
    assert "corners" in desk.window.area.operation.effect.text()
    desk.key(K.Key_Return)
    (row,) = desk.session.annotations
    outline = from_json(row.prompts[OUTLINE_KEY])
    assert area_of(outline, 160, 120).same_pixels(row.mask())
    assert isinstance(row.mask(), Mask)


def test_corners_are_moved_without_a_mouse(drawn) -> None:
    desk, canvas = drawn, drawn.window.canvas
    tool = handles(desk)
    QTest.keyClick(canvas, K.Key_Right)
    x, y = canvas.pointer.place.toTuple()
    for key, distance in ((K.Key_Right, 80 - x), (K.Key_Down, 60 - y)):
        other = {K.Key_Right: K.Key_Left, K.Key_Down: K.Key_Up}[key]
        for _ in range(round(abs(distance))):
            QTest.keyClick(canvas, key if distance > 0 else other, CONTROL)
    QTest.keyPress(canvas, K.Key_Space)
    QTest.keyClick(canvas, K.Key_Right, SHIFT)
    QTest.keyRelease(canvas, K.Key_Space)
    assert near(tool.rings[0], ((40, 30), (80, 30), (90, 60), (40, 60)), 1.5)
