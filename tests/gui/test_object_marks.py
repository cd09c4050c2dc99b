"""Objects hidden, shown alone, locked, and selected in other ways than one by one."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.ui.panels.delegates import _Marks
from annotator.ui.panels.list_models import MARKS_ROLE

K = Qt.Key
LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def three(desk):
    """Three accepted objects; the last one has another class."""
    desk.open()
    for at in ((30, 30), (80, 30), (130, 30)):
        desk.accept_at(*at)
    other = desk.session.classes.add("other")
    desk.session.reclass({desk.session.annotations[2].id}, other)
    desk.window.objects.select_ids(frozenset())
    return desk


def ids(desk) -> list[int]:
    return [row.id for row in desk.session.annotations]


def select(desk, *rows: int) -> None:
    desk.window.objects.select_ids(frozenset(ids(desk)[row] for row in rows))


def hidden(desk) -> frozenset[int]:
    return desk.window.canvas._layer._hidden


def test_hidden_objects_are_neither_painted_nor_hit_and_come_back(three) -> None:
    desk, canvas = three, three.window.canvas
    select(desk, 0)
    desk.key(K.Key_H, CONTROL | SHIFT)
    assert hidden(desk) == {ids(desk)[0]}
    assert canvas.hit(canvas.image_to_view(30, 30)) == 0
    desk.accept_at(60, 90)
    assert ids(desk)[0] in hidden(desk), "an accept does not bring it back"
    desk.key(K.Key_H, CONTROL | ALT)
    assert not hidden(desk)


def test_shown_alone_follows_the_selection_and_ends_with_the_image(three) -> None:
    desk = three
    select(desk, 1)
    desk.key(K.Key_S, ALT)
    assert hidden(desk) == {ids(desk)[0], ids(desk)[2]}
    select(desk, 2)
    assert hidden(desk) == {ids(desk)[0], ids(desk)[1]}
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert not hidden(desk)


def test_nothing_but_a_step_back_changes_a_locked_object(three) -> None:
    desk = three
    select(desk, 0)
    desk.key(K.Key_L, CONTROL)
    before = list(desk.session.annotations)
    for key, keys in ((K.Key_Delete, NONE), (K.Key_Right, ALT), (K.Key_1, NONE), (K.Key_2, NONE)):
        select(desk, 0)
        desk.key(key, keys)
        assert list(desk.session.annotations) == before
    desk.key(K.Key_R)
    assert not desk.refine.state.is_active
    assert "locked" in desk.window.status.message.text()
    select(desk, 0, 1)
    desk.key(K.Key_Delete)
    assert len(ids(desk)) == 2, "the other one goes"
    desk.key(K.Key_X)
    assert len(ids(desk)) == 2, "nor is the image marked empty"
    desk.crash()
    desk.open(folder=desk.folder)
    assert desk.session.locked == {before[0].id}, "the project keeps it"
    select(desk, 0)
    desk.key(K.Key_L, CONTROL)
    desk.key(K.Key_Delete)
    assert len(ids(desk)) == 1


def test_a_row_has_an_eye_and_a_lock(three) -> None:
    desk, view = three, three.window.objects.view
    index = desk.window.objects.model.index(1)
    eye, lock = (rect.center() for rect in _Marks.rects(view.visualRect(index)))
    QTest.mouseClick(view.viewport(), LEFT, NONE, QPoint(eye))
    QTest.mouseClick(view.viewport(), LEFT, NONE, QPoint(lock))
    assert index.data(MARKS_ROLE) == (True, True)
    assert hidden(desk) == {ids(desk)[1]} == desk.session.locked
    QTest.mouseClick(view.viewport(), LEFT, NONE, QPoint(eye))
    assert index.data(MARKS_ROLE) == (False, True)


def test_selection_is_inverted_and_taken_by_class(three) -> None:
    desk = three
    select(desk, 0)
    desk.key(K.Key_I, CONTROL | ALT)
    assert desk.window.objects.selected_ids() == set(ids(desk)[1:])
    select(desk, 0)
    desk.key(K.Key_A, CONTROL | ALT)
    assert desk.window.objects.selected_ids() == set(ids(desk)[:2])


def test_every_object_gets_a_colour_of_its_own(three) -> None:
    desk = three
    layer = desk.window.canvas._layer
    assert len({layer._views[one].colour for one in ids(desk)[:2]}) == 1
    desk.key(K.Key_C, ALT)
    assert len({layer._views[one].colour for one in ids(desk)}) == 3
    desk.key(K.Key_C, ALT)
    assert len({layer._views[one].colour for one in ids(desk)[:2]}) == 1
