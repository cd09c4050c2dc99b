"""One class into another: offered by a rename, on the panel's menu, one step back."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

LEFT, K = Qt.MouseButton.LeftButton, Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def two_classes(desk):
    """An object of "object" on the first image, one of "cell" on each of the first two."""
    desk.open()
    desk.first = next(iter(desk.session.categories))
    desk.accept_at(30, 30)
    desk.second = desk.session.classes.add("cell")
    desk.accept_at(100, 80)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.accept_at(60, 60)
    return desk


def counts(desk):
    return {desk.session.categories[key].name: n for key, n in desk.session.store.category_counts().items()}


def test_renaming_to_a_name_that_is_taken_offers_to_merge(two_classes):
    desk = two_classes
    desk.window.classes.edit_name(desk.second)
    editor = desk.window.classes.view.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "Object")
    QTest.keyClick(editor, K.Key_Return)
    bar = desk.window.area.error_bar
    desk.until(lambda: "There is a class" in bar.text)
    assert "2 objects" in bar.text
    assert counts(desk) == {"object": 1, "cell": 2}, "nothing before the person wants it"
    QTest.mouseClick(bar.button, LEFT)
    assert counts(desk) == {"object": 3}
    assert [c.name for c in desk.session.categories.values()] == ["object"]
    assert desk.session.category.id == desk.first, "the class in use was the one that went"
    assert bar.text == ""
    assert "Merged: 2 objects" in desk.window.status.message.text()
    desk.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert counts(desk) == {"object": 1, "cell": 2}
    desk.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert counts(desk) == {"object": 3}


def test_the_offer_goes_when_classes_change(two_classes):
    desk = two_classes
    desk.session.classes.change(desk.second, name="object")
    assert desk.window.area.error_bar.text
    desk.session.classes.change(desk.second, name="nucleus")
    assert desk.window.area.error_bar.text == ""


def test_the_menu_of_a_class_merges_it(two_classes):
    desk = two_classes
    panel = desk.window.classes
    panel.view.setCurrentIndex(panel.model.index(1))
    menu = panel.make_menu()
    merges = next(action.menu() for action in menu.actions() if action.text() == "Merge into")
    assert [action.text() for action in merges.actions()] == ["object"]
    merges.actions()[0].trigger()
    assert counts(desk) == {"object": 3}
    menu.close()


def test_the_only_class_has_nowhere_to_go(desk):
    desk.open()
    menu = desk.window.classes.make_menu()
    assert not next(action for action in menu.actions() if action.text() == "Merge into").isEnabled()
    menu.close()


def test_an_object_in_work_of_the_class_that_goes_is_kept(two_classes):
    desk = two_classes
    desk.click(100, 90)
    desk.wait_mask(100, 90)
    desk.session.classes.merge(desk.second, desk.first)
    desk.key(K.Key_Return)
    desk.until(lambda: len(desk.session.annotations) == 2)
    assert counts(desk) == {"object": 4}
