"""Everything from the keyboard alone: from part to part, the cross-hair, and an object from start to export."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QFileDialog, QPushButton, QToolButton

from annotator.domain.geometry import Box
from annotator.domain.project import Status
from annotator.ui.shell.keymap import presets

K = Qt.Key
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def press(key, modifier=PLAIN):
    """To whatever has the focus, as the system does it."""
    QTest.keyClick(QApplication.focusWidget(), key, modifier)


def pointer(desk):
    place = desk.window.canvas.pointer.place
    return place.x(), place.y()


def go_to(desk, x, y):
    """Put the cross-hair on a pixel of the image with the arrow keys."""
    press(K.Key_Right)
    now = pointer(desk)
    for delta, back, forth in ((x - now[0], K.Key_Left, K.Key_Right), (y - now[1], K.Key_Up, K.Key_Down)):
        key, tens, ones = forth if delta > 0 else back, *divmod(round(abs(delta)), 10)
        for _ in range(tens):
            press(key, SHIFT)
        for _ in range(ones):
            press(key, CTRL)
    assert pointer(desk) == (x, y)


# --- from part to part ------------------------------------------------------------------------------------------------


def part(desk):
    window, widget = desk.window, QApplication.focusWidget()
    views = {"objects": window.objects, "classes": window.classes, "images": window.film}
    wholes = {"tools": window.strip, "bar": window.area.error_bar, "image": window.area.stack, **views}
    return next(name for name, whole in wholes.items() if whole.isAncestorOf(widget))


def test_f6_goes_round_and_back(desk):
    desk.open()
    desk.accept_at(30, 30)
    seen = []
    for _ in range(6):
        seen.append(part(desk))
        press(K.Key_F6)
    assert seen == ["image", "objects", "classes", "images", "tools", "image"]
    press(K.Key_F6, SHIFT)
    assert part(desk) == "image"
    press(K.Key_F6, SHIFT)
    assert part(desk) == "tools"


def test_f6_passes_over_what_is_hidden_and_stops_at_a_message(desk):
    desk.open()
    desk.window.show_panel("classes", False)
    desk.window.notices.warn("Something.", about="test")
    seen = []
    for _ in range(4):
        press(K.Key_F6)
        seen.append(part(desk))
    assert seen == ["images", "tools", "bar", "image"]


def test_the_image_shows_that_a_key_has_brought_the_focus(desk):
    desk.open()
    frame = desk.window._round._frame
    assert not frame.isVisible()
    press(K.Key_F6, SHIFT)
    press(K.Key_F6)
    assert frame.isVisible()
    assert frame.geometry() == desk.window.area.stack.rect()
    desk.click(60, 60)
    assert not frame.isVisible()


def test_tab_reaches_every_control_and_stays_nowhere(desk):
    desk.open()
    desk.accept_at(30, 30)
    window = desk.window
    window.notices.warn("Something.", about="test", action=("Do it", lambda: None))
    controls = [*window.findChildren(QToolButton), *window.findChildren(QPushButton)]
    wanted = {id(w) for w in controls if w.isVisible() and w.isEnabled()}
    wanted |= {id(view) for view in (window.objects.view, window.classes.view, window.film.view)}
    press(K.Key_F6)
    reached = set()
    for _ in range(60):
        press(K.Key_Tab)
        reached.add(id(QApplication.focusWidget()))
        assert QApplication.focusWidget() is not window.canvas, "nothing leads away from there by Tab"
    names = [w.accessibleName() or w.text() for w in controls if id(w) in wanted - reached]
    assert wanted <= reached, names


def test_a_tool_of_the_strip_is_taken_with_space(desk):
    desk.open()
    press(K.Key_F6, SHIFT)
    button = desk.window.strip.button("tool_box")
    while QApplication.focusWidget() is not button:
        assert isinstance(QApplication.focusWidget(), QAbstractButton)
        press(K.Key_Tab)
    press(K.Key_Space)
    assert desk.window.canvas.tool == "box"


# --- the cross-hair ---------------------------------------------------------------------------------------------------


@pytest.fixture
def at_image(desk):
    desk.open()
    return desk


def test_arrow_keys_show_the_cross_hair_and_move_it(at_image):
    desk = at_image
    canvas = desk.window.canvas
    assert not canvas.pointer.is_shown
    press(K.Key_Right, CTRL)
    assert canvas.pointer.is_shown
    x, y = pointer(desk)
    assert (x % 1, y % 1) == (0.5, 0.5)
    press(K.Key_Down, CTRL)
    press(K.Key_Left, SHIFT)
    assert pointer(desk) == (x - 10, y + 1)
    press(K.Key_Up)
    step = y + 1 - pointer(desk)[1]
    assert step == max(1, round(24 / canvas.zoom)), "a sensible step on the screen"
    for _ in range(40):
        press(K.Key_Left, SHIFT)
    assert pointer(desk)[0] == 0.5, "it stays on the image"
    assert desk.window.status.place.text().startswith("0, ")


def test_space_clicks_at_the_cross_hair_and_shift_space_removes(at_image):
    desk = at_image
    go_to(desk, 60.5, 50.5)
    press(K.Key_Space)
    desk.wait_mask(60, 50)
    press(K.Key_Right, SHIFT)
    press(K.Key_Space, SHIFT)
    press(K.Key_T)
    press(K.Key_Right, SHIFT)
    press(K.Key_Space)
    points = [(p.x, p.y, p.is_positive) for p in desk.refine.state.prompts.points]
    assert points == [(60.5, 50.5, True), (70.5, 50.5, False), (80.5, 50.5, False)]


def test_space_pans_as_ever_without_the_cross_hair_and_when_the_mouse_is_back(at_image):
    desk = at_image
    viewport = desk.window.canvas.viewport()
    for shows_first in (False, True):
        if shows_first:
            QTest.mouseMove(viewport, QPoint(40, 40))
            press(K.Key_Right)
            QTest.mouseMove(viewport, QPoint(80, 80))
            assert not desk.window.canvas.pointer.is_shown
        QTest.keyPress(desk.window.canvas, K.Key_Space)
        assert desk.window.canvas._is_pan_held
        QTest.keyRelease(desk.window.canvas, K.Key_Space)
        assert not desk.window.canvas._is_pan_held
    assert not desk.refine.state.is_active


@pytest.mark.parametrize(("preset", "key"), [("annotator", K.Key_B), ("x-anylabeling", K.Key_R), ("isat", K.Key_W)])
def test_the_key_of_the_box_tool_sets_corners(at_image, preset, key):
    desk = at_image
    desk.window.set_keymap(presets()[preset])
    go_to(desk, 40.5, 30.5)
    press(key)
    assert desk.window.canvas.has_gesture
    press(K.Key_Right, SHIFT)
    press(K.Key_Down, SHIFT)
    press(key)
    assert desk.refine.state.prompts.box == Box(40, 30, 51, 41)
    assert desk.window.canvas.tool == "click", "the tool in the hand stays"
    assert not desk.window.canvas.has_gesture
    press(K.Key_Escape)
    press(K.Key_Escape)
    assert not desk.window.canvas.pointer.is_shown
    press(key)
    assert desk.window.canvas.tool == "box", "without the cross-hair the key takes the tool"


def test_escape_drops_the_corner_then_the_object_then_the_cross_hair(at_image):
    desk = at_image
    go_to(desk, 40.5, 30.5)
    press(K.Key_Space)
    desk.wait_mask(40, 30)
    press(K.Key_B)
    press(K.Key_Right, SHIFT)
    press(K.Key_Escape)
    assert not desk.window.canvas.has_gesture
    assert desk.refine.state.is_active
    press(K.Key_Escape)
    assert not desk.refine.state.is_active
    assert desk.window.canvas.pointer.is_shown
    press(K.Key_Escape)
    assert not desk.window.canvas.pointer.is_shown


def test_space_selects_with_the_select_tool_and_paints_with_the_brush(at_image):
    desk = at_image
    made = desk.accept_at(60, 50)
    press(K.Key_S)
    go_to(desk, 60.5, 50.5)
    press(K.Key_Space)
    assert desk.window.objects.selected_ids() == {made.id}
    press(K.Key_P)
    go_to(desk, 100.5, 80.5)
    canvas = desk.window.canvas
    QTest.keyPress(canvas, K.Key_Space)
    press(K.Key_Right, SHIFT)
    QTest.keyRelease(canvas, K.Key_Space)
    (stroke,) = desk.refine.state.prompts.strokes
    assert stroke.covers(100.5, 80.5)
    assert stroke.covers(110.5, 80.5)


def test_the_view_follows_the_cross_hair(at_image):
    desk = at_image
    canvas = desk.window.canvas
    canvas.zoom_by(8)
    go_to(desk, 3.5, 3.5)
    at = canvas.image_to_view(3.5, 3.5)
    assert canvas.viewport().rect().contains(at.toPoint())


def test_the_cross_hair_goes_on_to_the_next_image(at_image):
    desk = at_image
    go_to(desk, 3.5, 3.5)
    press(K.Key_D)
    desk.wait_image(1)
    assert desk.window.canvas.pointer.is_shown
    assert pointer(desk) == (80.5, 60.5)


# --- from start to export ---------------------------------------------------------------------------------------------


def test_an_object_from_start_to_export_without_a_mouse(desk, monkeypatch):
    folder = desk.make_folder(images=2)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    desk.build()
    desk.until(lambda: desk.client.info is not None)
    press(K.Key_Space)  # the button that has the focus: Open folder…
    desk.wait_image(0)
    go_to(desk, 60.5, 50.5)
    press(K.Key_Space)
    desk.wait_mask(60, 50)
    press(K.Key_Return)
    desk.until(lambda: len(desk.session.annotations) == 1)
    go_to(desk, 90.5, 70.5)
    press(K.Key_B)
    press(K.Key_Right, SHIFT)
    press(K.Key_Down, SHIFT)
    press(K.Key_B)
    desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
    press(K.Key_Return)
    desk.until(lambda: len(desk.session.annotations) == 2)
    press(K.Key_Return, CTRL)
    desk.wait_image(1)
    assert desk.session.images[0].status is Status.DONE
    press(K.Key_E, CTRL)
    desk.until(lambda: QApplication.activeModalWidget() is not None)
    dialog = QApplication.activeModalWidget()
    done = []
    dialog.done_with.connect(done.append)
    desk.until(lambda: QApplication.focusWidget() is not None and QApplication.focusWidget().window() is dialog)
    press(K.Key_Return)
    desk.until(lambda: bool(done))
    press(K.Key_Return)
    desk.until(lambda: QApplication.activeModalWidget() is None)
    (written,) = folder.glob("*coco*.json")
    assert len(json.loads(written.read_text("utf-8"))["annotations"]) == 2
