"""Classes by the menu of their list: order, keys, details, unused ones; selecting by a drag; the opacity slider."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.project.store import ProjectStore

K = Qt.Key
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)


@pytest.fixture
def three(desk):
    """Classes object (with an object), cell and nucleus, with the keys 1 to 3."""
    desk.open()
    desk.accept_at(30, 30)
    for name in ("cell", "nucleus"):
        desk.session.classes.add(name)
    desk.session.classes.pick(1)
    return desk


def choose(desk, row, *path):
    """Click through the context menu of a class."""
    classes = desk.window.classes
    classes.view.setCurrentIndex(classes.model.index(row))
    menu = classes.make_menu()
    for text in path[:-1]:
        menu = next(action.menu() for action in menu.actions() if action.text() == text)
    action = next(action for action in menu.actions() if action.text() == path[-1])
    assert action.isEnabled()
    action.trigger()


def names(desk):
    return [row.name for row in desk.window.classes.model.rows]


def test_classes_are_put_in_order_and_stay_so(three):
    choose(three, 2, "Move up")
    assert names(three) == ["object", "nucleus", "cell"]
    choose(three, 0, "Move down")
    assert names(three) == ["nucleus", "object", "cell"]
    assert [row.name for row in three.session.store.categories()] == ["nucleus", "object", "cell"]
    three.key(K.Key_2)
    assert three.session.category.name == "cell", "its key goes with it"
    for wanted in (["object", "nucleus", "cell"], ["object", "cell", "nucleus"]):
        three.key(K.Key_Z, CTRL)
        assert names(three) == wanted


def test_a_number_key_goes_from_one_class_to_another_and_back_by_undo(three):
    choose(three, 2, "Key", "1   object")
    three.key(K.Key_1)
    assert three.session.category.name == "nucleus"
    assert [row.key for row in three.window.classes.model.rows] == [0, 2, 1]
    three.key(K.Key_Z, CTRL)
    assert [row.key for row in three.window.classes.model.rows] == [1, 2, 3]
    choose(three, 1, "Key", "None")
    assert [row.key for row in three.window.classes.model.rows] == [1, 0, 3]


def test_unused_classes_go_in_one_step(three):
    choose(three, 0, "Delete unused classes")
    assert names(three) == ["object"]
    three.key(K.Key_Z, CTRL)
    assert names(three) == ["object", "cell", "nucleus"]


def test_what_a_data_set_says_of_a_class_is_exported_and_comes_back(three, tmp_path):
    classes = three.window.classes
    classes.view.setCurrentIndex(classes.model.index(0))
    dialog = classes.show_details(classes.model.rows[0])
    QTest.keyClicks(dialog.supercategory, "thing")
    QTest.keyClicks(dialog.description, "With its shadow")
    dialog.accept()
    assert "With its shadow" in classes.model.index(0).data(Qt.ItemDataRole.ToolTipRole)
    path = tmp_path / "out.json"
    export_coco(three.session.store, path)
    row = json.loads(path.read_text())["categories"][0]
    assert (row["supercategory"], row["description"]) == ("thing", "With its shadow")
    with ProjectStore.open_folder(three.folder, project_path=tmp_path / "other.annot") as other:
        import_coco(other, path)
        assert other.categories()[0].extra == {"supercategory": "thing", "description": "With its shadow"}


# --- selecting by a drag ----------------------------------------------------------------------------------------------


def drag(desk, start, end, *, modifier=NONE):
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, modifier, desk._at(*start))
    for part in (0.5, 1.0):
        x, y = (a + (b - a) * part for a, b in zip(start, end, strict=True))
        QTest.mouseMove(viewport, desk._at(x, y))
    QTest.mouseRelease(viewport, LEFT, modifier, desk._at(*end))


def test_a_drag_of_the_select_tool_selects_what_it_touches(desk):
    desk.open()
    ids = [desk.accept_at(x, y).id for x, y in ((30, 30), (80, 30), (30, 80))]
    desk.key(K.Key_S)
    before = desk.window.canvas.image_to_view(0, 0)
    drag(desk, (10, 10), (74, 34))
    assert desk.window.objects.selected_ids() == {ids[0], ids[1]}, "of the second one it touches the rim"
    assert desk.window.canvas.image_to_view(0, 0) == before
    drag(desk, (30, 70), (50, 100), modifier=SHIFT)
    assert desk.window.objects.selected_ids() == set(ids)
    drag(desk, (120, 100), (150, 115))
    assert desk.window.objects.selected_ids() == set()
    drag(desk, (39, 39), (36.9, 45), modifier=NONE)
    assert desk.window.objects.selected_ids() == set(), "the corner of its box is not the object"


def test_the_frame_is_seen_and_gone_with_escape(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.key(K.Key_S)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(100, 60))
    QTest.mouseMove(viewport, desk._at(120, 80))
    QTest.mouseMove(viewport, desk._at(20, 20))
    shown = viewport.grab().toImage()
    desk.key(K.Key_Escape)
    assert viewport.grab().toImage() != shown
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(20, 20))
    assert desk.window.objects.selected_ids() == set()


# --- opacity ----------------------------------------------------------------------------------------------------------


def test_the_slider_changes_the_masks_at_once_and_is_remembered(desk):
    desk.open()
    desk.accept_at(30, 30)
    slider, viewport = desk.window.objects.opacity, desk.window.canvas.viewport()
    assert slider.isVisible()
    assert abs(slider.opacity - desk.settings.get("mask_opacity")) < 0.03
    before = viewport.grab().toImage()
    slider.setFocus()
    for _ in range(4):
        QTest.keyClick(slider, K.Key_Right)
    assert viewport.grab().toImage() != before
    assert desk.settings.get("mask_opacity") == slider.opacity
    QTest.mouseClick(slider, LEFT, NONE, QPoint(2, slider.height() // 2))
    assert desk.settings.get("mask_opacity") == slider.opacity
