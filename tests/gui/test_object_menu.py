"""The context menu of accepted objects on the canvas."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit

from annotator.domain.project import Review, note_edit
from annotator.ui.panels.list_models import DETAIL_ROLE

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def right_click(desk, x, y):
    """A right press with the context menu event that the system sends after it."""
    viewport, at = desk.window.canvas.viewport(), desk._at(x, y)
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, pos=at)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, viewport.mapToGlobal(at))
    QApplication.sendEvent(viewport, event)
    return QApplication.activePopupWidget()


def choose(menu, text):
    """Take an entry of the open menu by key; the menu below it, if it has one."""
    action = next(a for a in menu.actions() if a.text().split("\t")[0] == text)
    menu.setActiveAction(action)
    QTest.keyClick(menu, K.Key_Return)
    return action.menu()


def test_the_menu_of_an_object_on_the_canvas(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    ids = [desk.accept_at(30, 30).id, desk.accept_at(90, 60).id, desk.accept_at(130, 90).id]
    desk.key(K.Key_S)
    assert right_click(desk, 60, 100) is None
    choose(choose(right_click(desk, 30, 30), "Change class"), "cell")
    assert [a.category_id for a in desk.session.annotations] == [2, 1, 1]
    assert desk.window.objects.selected_ids() == {ids[0]}
    desk.click(90, 60, modifier=CTRL)
    choose(right_click(desk, 90, 60), "Delete 2 objects")
    assert [a.id for a in desk.session.annotations] == [ids[2]]
    desk.key(K.Key_Z, CTRL)
    assert len(desk.session.annotations) == 3
    choose(right_click(desk, 130, 90), "Refine with clicks")
    assert desk.refine.state.origin_id == ids[2]


def test_a_right_click_of_the_click_tool_is_a_prompt_and_opens_no_menu(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.click(90, 60)
    assert right_click(desk, 30, 30) is None
    assert [p.is_positive for p in desk.refine.state.prompts.points] == [True, False]


def test_the_menu_key_opens_the_menu_of_the_selection(desk):
    desk.open()
    first = desk.accept_at(30, 30)
    viewport = desk.window.canvas.viewport()
    desk.window.objects.select_ids(frozenset({first.id}))
    place = desk._at(60, 60)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, place, viewport.mapToGlobal(place))
    QApplication.sendEvent(viewport, event)
    choose(QApplication.activePopupWidget(), "Delete object")
    assert desk.session.annotations == ()


def test_a_class_keeps_its_ampersand_in_the_menu(desk):
    desk.open()
    desk.session.classes.add("H&E")
    desk.session.classes.pick(1)
    desk.accept_at(30, 30)
    desk.key(K.Key_S)
    classes = choose(right_click(desk, 30, 30), "Change class")
    # Doubled, because a single one underlines the letter after it.
    choose(classes, "H&&E")
    assert desk.session.annotations[0].category_id == 2


def test_a_second_look_is_kept_shown_and_undone(desk):
    desk.open()
    ids = frozenset([desk.accept_at(30, 30).id, desk.accept_at(90, 60).id])
    desk.window.objects.select_ids(ids)
    desk.key(K.Key_R, SHIFT)
    assert [a.review for a in desk.session.annotations] == ["approved", "approved"]
    shown = desk.window.objects.model.index(0)
    assert shown.data(DETAIL_ROLE).endswith("approved")
    desk.key(K.Key_R, CTRL | SHIFT)
    assert {a.review for a in desk.session.annotations} == {"rework"}
    desk.key(K.Key_R, CTRL | SHIFT)
    assert {a.review for a in desk.session.annotations} == {""}
    desk.key(K.Key_Z, CTRL)
    assert {a.review for a in desk.session.annotations} == {"rework"}
    desk.key(K.Key_N, SHIFT)
    dialog = desk.program.commands.second_look.dialog
    QTest.keyClicks(dialog.findChild(QPlainTextEdit), "too wide")
    dialog.accept()
    assert [a.note for a in desk.session.annotations] == ["too wide"] * 2
    assert "too wide" in shown.data(Qt.ItemDataRole.ToolTipRole)
    assert desk.session.store.undo_name == "change note"


def test_refining_an_object_takes_its_approval_back_and_keeps_its_note(desk):
    desk.open()
    made = desk.accept_at(30, 30)
    look = desk.program.commands.second_look
    look.set_review([made.id], Review.APPROVED)
    desk.session.apply(note_edit(desk.session.annotations, "left"))
    desk.window.objects.select_ids(frozenset({made.id}))
    desk.key(K.Key_R)
    desk.click(34, 34)
    desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
    desk.key(K.Key_Return)
    desk.until(lambda: desk.session.annotations[0].origin == "refine")
    assert (desk.session.annotations[0].review, desk.session.annotations[0].note) == ("", "left")


def test_the_menu_says_what_a_second_look_said(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.key(K.Key_S)
    choose(right_click(desk, 30, 30), "Approved")
    assert desk.session.annotations[0].review == "approved"
    menu = right_click(desk, 30, 30)
    assert [a.text() for a in menu.actions() if a.isChecked()] == ["Approved"]
    menu.close()
