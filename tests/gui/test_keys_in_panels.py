"""The keyboard where a list, a button or a dialog has the focus."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.gui.shell import LEFT, NONE

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def click_row(view, row):
    place = view.visualRect(view.model().index(row)).center()
    QTest.mouseClick(view.viewport(), LEFT, NONE, place)


def test_space_pans_after_a_click_in_a_list(desk):
    desk.open()
    desk.accept_at(30, 30)
    click_row(desk.window.objects.view, 0)
    assert desk.window.objects.view.hasFocus()
    before = desk.window.canvas.image_to_view(0, 0)
    start = desk.window.canvas.image_to_view(80, 60)
    QTest.keyPress(QApplication.focusWidget(), K.Key_Space)
    desk.drag((80, 60), (100, 70))
    QTest.keyRelease(QApplication.focusWidget(), K.Key_Space)
    assert desk.refine.state.prompts.box is None
    assert desk.window.canvas.image_to_view(0, 0) != before
    assert desk.window.canvas.image_to_view(80, 60) != start
    desk.drag((80, 60), (100, 80))
    assert desk.refine.state.prompts.box is not None, "the key is up again"


def test_space_that_is_let_go_pans_no_longer(desk):
    desk.open()
    desk.accept_at(30, 30)
    click_row(desk.window.objects.view, 0)
    QTest.keyPress(desk.window.objects.view, K.Key_Space)
    QTest.keyRelease(desk.window.objects.view, K.Key_Space)
    desk.click(100, 80)
    assert len(desk.refine.state.prompts.points) == 1


def test_space_still_presses_a_button(desk):
    desk.open()
    button = desk.window.classes._buttons["add"]
    button.setFocus()
    QTest.keyClick(button, K.Key_Space)
    assert len(desk.session.categories) == 2


def test_space_that_is_let_go_in_another_window_does_not_stick(desk):
    desk.open()
    desk.accept_at(30, 30)
    click_row(desk.window.objects.view, 0)
    QTest.keyPress(desk.window.objects.view, K.Key_Space)
    sheet = desk.program.files.show_keys()
    desk.until(sheet.isActiveWindow)
    sheet.close()
    desk.window.activateWindow()
    desk.until(desk.window.isActiveWindow)
    desk.click(100, 80)
    assert len(desk.refine.state.prompts.points) == 1


def frame_colour(desk, row):
    """The colour of the frame around a thumbnail."""
    view = desk.window.film.view
    rect = view.visualRect(view.model().index(row))
    shot = view.viewport().grab().toImage()
    return shot.pixelColor(rect.left() + 4, rect.center().y() - 10).name()


def test_arrow_keys_in_the_film_move_no_mark_and_enter_goes_there(desk):
    desk.open()
    view = desk.window.film.view
    view.setFocus()
    accent = QColor(desk.window.theme.tokens.accent).name()
    QTest.keyClick(view, K.Key_Right)
    QTest.keyClick(view, K.Key_Right)
    assert [frame_colour(desk, row) == accent for row in range(3)] == [True, False, False]
    QTest.keyClick(view, K.Key_Return)
    desk.wait_image(2)
    assert [frame_colour(desk, row) == accent for row in range(3)] == [False, False, True]
    assert view.currentIndex().row() == 2


def test_enter_in_the_class_list_uses_the_class(desk):
    desk.open()
    desk.session.classes.add("cell")
    names = [category.name for category in desk.session.categories.values()]
    assert desk.session.category.name == names[1]
    view = desk.window.classes.view
    view.setFocus()
    QTest.keyClick(view, K.Key_Up)
    assert desk.session.category.name == names[1], "an arrow key only looks"
    QTest.keyClick(view, K.Key_Return)
    assert desk.session.category.name == names[0]
    assert view.currentIndex().row() == 0
