"""Attributes by mouse and key: defined in a dialog, said in the panel, asked for in a bar; and front to back."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget
from annotator.domain.project import Status

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
    assert "image is done" in dialog.required.text()
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


def test_what_is_needed_of_an_image_is_asked_before_it_is_done(desk):
    desk.open()
    desk.session.attributes.define(Attribute(0, "site", AttributeTarget.IMAGE, AttributeForm.TEXT, {"required": True}))
    bar, first = desk.window.area.attribute, desk.session.image
    desk.key(K.Key_Return, CTRL)
    assert bar.label.text() == "This image: site"
    hint = desk.window.area.hint
    assert hint.isHidden() or not hint.geometry().intersects(bar.geometry())
    assert bar.field.edit.hasFocus()
    assert desk.session.image.id == first.id, "it is not done yet"
    QTest.keyClicks(bar.field.edit, "knee")
    QTest.keyClick(bar.field.edit, K.Key_Return)
    desk.wait_image(1)
    done = desk.session.images[0]
    assert (done.extra["attributes"], done.status) == ({"site": "knee"}, Status.DONE)
    desk.key(K.Key_Return, CTRL)
    assert bar.is_open
    desk.window.canvas.setFocus()
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(2)
    assert desk.session.images[1].status is Status.DONE, "asked once, and gone on without an answer"


def test_an_attribute_is_renamed_with_what_was_said(desk):
    desk.open()
    desk.session.attributes.define(SIDE)
    desk.accept_at(30, 30)
    book = desk.session.attributes
    book.say(desk.session.annotations, book.rows[0], "heads")
    desk.program.commands.attributes.define()
    dialog = desk.program.commands.attributes.dialog
    dialog.list.setCurrentRow(0)
    QTest.mouseClick(dialog.change_button, LEFT)
    assert (dialog.name.text(), dialog.choices.text()) == ("side", "heads, tails")
    assert dialog.required.isChecked()
    assert not dialog.target.isEnabled()
    QTest.keyClicks(dialog.name, "face")
    QTest.keyClicks(dialog.choices, ", edge")
    QTest.mouseClick(dialog.add_button, LEFT)
    assert dialog.note.text() == ""
    assert [(row.name, row.choices) for row in book.rows] == [("face", ("heads", "tails", "edge"))]
    assert said(desk) == {"face": "heads"}
    assert dialog.add_button.text() == "Add"
    dialog.reject()
    desk.window.canvas.setFocus()
    desk.key(K.Key_Z, CTRL)
    assert [row.name for row in book.rows] == ["side"]
    assert said(desk) == {"side": "heads"}


def test_a_definition_that_is_left_stays_as_it_was(desk):
    desk.open()
    book = desk.session.attributes
    for one in (SIDE, WORN):
        book.define(one)
    before = book.rows
    desk.program.commands.attributes.define()
    dialog = desk.program.commands.attributes.dialog
    dialog.list.setCurrentRow(1)
    QTest.keyClick(dialog.list, K.Key_Return)
    QTest.keyClicks(dialog.name, "side")
    QTest.mouseClick(dialog.add_button, LEFT)
    assert "already" in dialog.note.text()
    QTest.mouseClick(dialog.back_button, LEFT)
    assert (dialog.name.text(), dialog.add_button.text()) == ("", "Add")
    assert book.rows == before


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
