"""Attributes by mouse and key: defined in a dialog, said in the panel, asked for in a bar; and front to back."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
K = Qt.Key
LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
CHOICES = ["heads", "tails"]
SIDE = Attribute(0, "side", form=AttributeForm.ONE, extra={"choices": CHOICES, "required": True})
WORN = Attribute(0, "worn", AttributeTarget.OBJECT, AttributeForm.YES_NO, {"required": True})
NOTE = Attribute(0, "remark", AttributeTarget.IMAGE, AttributeForm.TEXT)


def said(desk, at=0):
    return desk.session.annotations[at].extra.get("attributes", {})


def choose(field, at):
    """An entry of a combo box, by keys."""
    field.setFocus()
    QTest.keyClick(field.box, K.Key_Home)
    for _ in range(at):
        QTest.keyClick(field.box, K.Key_Down)


def test_an_attribute_is_defined_in_the_dialog_and_said_in_the_panel(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.key(K.Key_T, SHIFT)
    panel = desk.window.attributes
    QTest.mouseClick(panel.define_button, LEFT)
    dialog = desk.program.commands.attributes.dialog
    QTest.keyClicks(dialog.name, "score")
    QTest.mouseClick(dialog.add_button, LEFT)
    assert "something else" in dialog.note.text()
    dialog.name.clear()
    QTest.keyClicks(dialog.name, "side")
    dialog.form.setCurrentIndex(2)
    QTest.keyClicks(dialog.choices, "heads, tails")
    dialog.of_class.setCurrentIndex(1)
    dialog.required.click()
    QTest.mouseClick(dialog.add_button, LEFT)
    wanted = {"choices": CHOICES, "class": 1, "required": True}
    assert [(row.name, row.extra) for row in desk.session.attributes.rows] == [("side", wanted)]
    dialog.target.setCurrentIndex(1)
    assert not dialog.required.isEnabled()
    assert not dialog.of_class.isEnabled()
    assert dialog.list.count() == 1
    dialog.reject()
    assert panel.fields == [], "nothing is selected"
    desk.window.canvas.setFocus()
    desk.key(K.Key_A, CTRL)
    (field,) = panel.fields
    choose(field, 1)
    assert said(desk) == {"side": "heads"}
    desk.window.canvas.setFocus()
    desk.key(K.Key_Z, CTRL)
    assert said(desk) == {}
    assert field.box.currentIndex() == 0


def test_what_is_needed_is_asked_for_in_a_bar_that_stops_nothing(desk):
    desk.open()
    for one in (SIDE, WORN):
        assert desk.session.attributes.define(one) == ""
    bar = desk.window.area.attribute
    desk.accept_at(30, 30)
    assert bar.is_open
    assert bar.label.text() == "object #1: side"
    assert QApplication.activeModalWidget() is None
    assert desk.window.canvas.hasFocus()
    desk.accept_at(90, 60)
    assert bar.label.text() == "object #1: side", "one after the other"
    desk.key(K.Key_A, ALT)
    QTest.keyClick(bar.field.box, K.Key_Down)
    assert said(desk) == {"side": "heads"}
    assert bar.label.text() == "object #1: worn"
    desk.window.canvas.setFocus()
    desk.key(K.Key_Escape)
    assert not bar.is_open
    assert [row.id for row in desk.session.annotations] == [1, 2]


def test_an_image_has_attributes_of_its_own(desk):
    desk.open()
    desk.session.attributes.define(NOTE)
    desk.key(K.Key_T, SHIFT)
    (field,) = desk.window.attributes.fields
    field.setFocus()
    QTest.keyClicks(field.edit, "blurred")
    QTest.keyClick(field.edit, K.Key_Return)
    assert desk.session.image.extra["attributes"] == {"remark": "blurred"}
    desk.window.canvas.setFocus()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert field.edit.text() == ""


def test_several_objects_that_differ_are_said_to(desk):
    desk.open()
    desk.session.attributes.define(Attribute(0, "side", form=AttributeForm.ONE, extra={"choices": ["a", "b"]}))
    for x in (30, 90):
        desk.accept_at(x, 30)
    book = desk.session.attributes
    book.say(desk.session.annotations[:1], book.rows[0], "a")
    desk.key(K.Key_T, SHIFT)
    desk.window.canvas.setFocus()
    desk.key(K.Key_A, CTRL)
    (field,) = desk.window.attributes.fields
    assert field.box.currentText() == "(several)"
    choose(field, 2)
    assert [said(desk, at) for at in (0, 1)] == [{"side": "b"}] * 2


def test_an_object_goes_to_the_front_and_back(desk):
    desk.open()
    desk.engine.segmenter.radius_px = 20.0
    large = desk.accept_at(50, 50).id
    desk.engine.segmenter.radius_px = 9.0
    small = desk.accept_at(52, 52).id
    canvas = desk.window.canvas
    at = canvas.image_to_view(52, 52)
    assert canvas.hit(at) == small
    desk.window.objects.select_ids(frozenset({large}))
    desk.key(K.Key_Up, CTRL | SHIFT)
    assert canvas.hit(at) == large
    desk.key(K.Key_Down, CTRL | SHIFT)
    assert canvas.hit(at) == small
    desk.key(K.Key_Z, CTRL)
    assert canvas.hit(at) == large
