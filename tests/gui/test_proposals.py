"""Proposals in the window: shown, taken and dropped by mouse and keys, and there again after a crash."""

from __future__ import annotations

import json
from dataclasses import replace

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.domain.project import Status
from annotator.domain.proposals.remembered import FIRST_LIMITS
from annotator.domain.proposals.review import Walk
from annotator.io.formats.coco.export import export_coco
from annotator.jobs.job import JobState
from tests.fakes import FakeProposal, block
from tests.gui.proposal_hand import (
    HEIGHT,
    MIDDLES,
    PLACES,
    WIDTH,
    control,
    find,
    is_quiet,
    line,
    place,
    review,
    shown_places,
)
from tests.gui.shell import LEFT, NONE
from tests.gui.test_without_a_mouse import go_to

K, M = Qt.Key, Qt.KeyboardModifier
RIGHT = Qt.MouseButton.RightButton


def test_everything_is_found_and_nothing_of_it_is_an_object(seeker):
    seeker.open()
    assert not seeker.window.docks["proposals"].isVisible()
    find(seeker)
    assert seeker.window.canvas.tool == "proposals"
    assert seeker.window.docks["proposals"].isVisible()
    assert shown_places(seeker) == [1, 3, 5, 4, 2, 0]
    assert seeker.session.annotations == ()
    assert seeker.window.docks["proposals"].detail.text() == "6"
    assert "6 proposals, 6 shown" in line(seeker)
    assert seeker.window.canvas.proposals.ids == set(range(1, 7))
    assert seeker.session.images[0].status is Status.UNSEEN
    [job] = [job for job in seeker.window.jobs.jobs if job.title == "Find everything in 0.png"]
    assert job.standing.state is JobState.DONE


def test_a_click_takes_one_with_the_class_in_use_and_undo_brings_it_back(seeker):
    seeker.open()
    find(seeker)
    before = len(seeker.finder.decodes)
    seeker.click(*MIDDLES[4])
    [made] = seeker.session.annotations
    assert (made.origin, made.score, made.model) == ("everything", 0.8, "fake")
    assert (made.x, made.y, made.w, made.h) == (60, 70, 16, 16)
    assert made.category_id == seeker.session.category.id
    assert 4 not in shown_places(seeker)
    assert seeker.window.docks["proposals"].detail.text() == "5"
    assert len(seeker.finder.decodes) == before
    seeker.click(40, 50)  # beside all
    assert len(seeker.session.annotations) == 1
    seeker.key(K.Key_Z, M.ControlModifier)
    assert seeker.session.annotations == ()
    assert sorted(shown_places(seeker)) == [0, 1, 2, 3, 4, 5]


def test_the_keys_alone_take_drop_and_walk(seeker):
    seeker.open()
    find(seeker)
    seeker.key(K.Key_Tab)
    assert place(seeker, review(seeker).current) == 1
    seeker.key(K.Key_Tab)
    seeker.key(K.Key_Backtab, M.ShiftModifier)
    seeker.key(K.Key_Return)
    assert [(a.x, a.y) for a in seeker.session.annotations] == [PLACES[1]]
    assert place(seeker, review(seeker).current) == 3
    seeker.key(K.Key_Backspace)
    assert place(seeker, review(seeker).current) == 5
    assert len(seeker.session.annotations) == 1
    seeker.key(K.Key_Z, M.ControlModifier)  # the drop, not the object
    assert sorted(shown_places(seeker)) == [0, 2, 3, 4, 5]
    assert len(seeker.session.annotations) == 1
    seeker.key(K.Key_Return, M.ShiftModifier)
    assert len(seeker.session.annotations) == 6
    seeker.key(K.Key_Z, M.ControlModifier)
    assert len(seeker.session.annotations) == 1
    assert len(review(seeker).shown) == 5


def test_enter_without_a_current_one_takes_the_first_in_hand(seeker):
    seeker.open()
    find(seeker)
    seeker.key(K.Key_Return)
    assert seeker.session.annotations == ()
    assert place(seeker, review(seeker).current) == 1


def test_hovering_shows_one_and_enter_takes_it(seeker):
    seeker.open()
    find(seeker)
    QTest.mouseMove(seeker.window.canvas.viewport(), seeker._at(*MIDDLES[2]))
    assert place(seeker, review(seeker).current) == 2
    assert seeker.window.canvas.proposals._selected == {review(seeker).current}
    seeker.key(K.Key_Return)
    assert [(a.x, a.y) for a in seeker.session.annotations] == [PLACES[2]]


def test_a_rectangle_takes_many_in_one_step_and_a_right_drag_drops_them(seeker):
    seeker.open()
    find(seeker)
    seeker.drag((12, 12), (90, 50))
    assert sorted((a.x, a.y) for a in seeker.session.annotations) == [PLACES[0], PLACES[1]]
    seeker.key(K.Key_Z, M.ControlModifier)
    assert seeker.session.annotations == ()
    viewport = seeker.window.canvas.viewport()
    QTest.mousePress(viewport, RIGHT, NONE, seeker._at(12, 60))
    for corner in ((50, 80), (85, 100)):
        QTest.mouseMove(viewport, seeker._at(*corner))
    QTest.mouseRelease(viewport, RIGHT, NONE, seeker._at(85, 100))
    assert sorted(shown_places(seeker)) == [0, 1, 2, 5]
    assert "2 proposals dropped" in line(seeker)
    seeker.click(*MIDDLES[5], button=RIGHT)
    assert sorted(shown_places(seeker)) == [0, 1, 2]
    QTest.mouseClick(seeker.window.proposals.back_button, LEFT)
    assert sorted(shown_places(seeker)) == [0, 1, 2, 3, 4, 5]
    seeker.drag((140, 5), (158, 15))
    assert "No proposal lies in there" in line(seeker)


def test_a_lasso_takes_what_it_goes_round(seeker):
    seeker.open()
    find(seeker)
    viewport = seeker.window.canvas.viewport()
    path = ((12, 12), (40, 12), (40, 60), (80, 60), (80, 95), (12, 95))
    QTest.mousePress(viewport, LEFT, M.AltModifier, seeker._at(*path[0]))
    for corner in path[1:]:
        QTest.mouseMove(viewport, seeker._at(*corner))
    QTest.mouseRelease(viewport, LEFT, M.AltModifier, seeker._at(*path[-1]))
    assert sorted((a.x, a.y) for a in seeker.session.annotations) == [PLACES[0], PLACES[3], PLACES[4]]


def test_escape_forgets_a_half_made_ring(seeker):
    seeker.open()
    find(seeker)
    viewport = seeker.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, seeker._at(12, 12))
    QTest.mouseMove(viewport, seeker._at(90, 90))
    assert seeker.window.canvas.has_gesture
    seeker.key(K.Key_Escape)
    assert seeker.window.canvas.tool == "proposals"
    QTest.mouseRelease(viewport, LEFT, NONE, seeker._at(90, 90))
    assert seeker.session.annotations == ()


def test_the_cross_hair_of_the_keys_takes_and_drops(seeker):
    seeker.open()
    find(seeker)
    go_to(seeker, *(at + 0.5 for at in MIDDLES[2]))
    seeker.key(K.Key_Space)
    assert [(a.x, a.y) for a in seeker.session.annotations] == [PLACES[2]]
    go_to(seeker, *(at + 0.5 for at in MIDDLES[5]))
    seeker.key(K.Key_Space, M.ShiftModifier)
    assert sorted(shown_places(seeker)) == [0, 1, 3, 4]


def test_sliders_act_at_once_and_nobody_is_asked(seeker):
    twin = FakeProposal(block(60, 22, 16, 16, width=WIDTH, height=HEIGHT), 0.6)
    seeker.finder.found.append(twin)
    seeker.open()
    find(seeker)
    panel, asked = seeker.window.proposals, seeker.finder.begun
    assert len(review(seeker).shown) == 6  # the twin lies under a better one
    panel.overlap.setValue(100)
    assert len(review(seeker).shown) == 7
    panel.overlap.setValue(40)
    panel.score.setValue(80)
    assert [round(review(seeker).table[one].score, 2) for one in review(seeker).shown] == [0.95, 0.9, 0.85, 0.8]
    assert panel.accept_button.text() == "Accept 4"
    seeker.window.canvas.setFocus()
    seeker.key(K.Key_BracketRight)
    assert len(review(seeker).shown) == 3
    assert panel.score.value() == 85
    seeker.key(K.Key_BracketLeft)
    panel.least.setValue(60)  # larger than all
    assert review(seeker).shown == ()
    assert not panel.accept_button.isEnabled()
    panel.least.setValue(0)
    panel.most.setValue(10)
    assert review(seeker).shown == ()
    panel.most.setValue(100)
    assert (len(review(seeker).shown), seeker.finder.begun) == (4, asked)
    QTest.mouseClick(panel.accept_button, LEFT)
    assert len(seeker.session.annotations) == 4
    seeker.session.undo()
    assert seeker.session.annotations == ()


def test_line_by_line_the_keys_follow_the_reading(seeker):
    seeker.open()
    find(seeker)
    seeker.window.proposals.walk.setCurrentIndex(1)
    assert shown_places(seeker) == [0, 1, 2, 3, 4, 5]
    seeker.window.canvas.setFocus()
    for _ in range(2):
        seeker.key(K.Key_Tab)
    assert place(seeker, review(seeker).current) == 1


def test_what_is_drawn_removes_what_it_covers(seeker):
    seeker.open()
    find(seeker)
    seeker.key(K.Key_Q)
    made = seeker.accept_at(*MIDDLES[3])
    assert 3 not in shown_places(seeker)
    assert len(review(seeker).shown) == 5
    seeker.session.delete({made.id})
    assert 3 in shown_places(seeker)


def test_the_current_object_has_the_keys_before_the_proposals(seeker):
    seeker.open()
    find(seeker)
    seeker.key(K.Key_Q)
    seeker.click(140, 100)
    seeker.wait_mask(140, 100)
    seeker.key(K.Key_Q, M.ShiftModifier)
    assert seeker.window.canvas.tool == "proposals"
    seeker.key(K.Key_Return)
    [made] = seeker.session.annotations
    assert made.origin == "click"
    seeker.key(K.Key_Tab)
    assert review(seeker).current


def test_they_are_back_after_a_crash_and_are_never_exported(seeker, tmp_path):
    seeker.open()
    find(seeker)
    seeker.click(*MIDDLES[0])
    seeker.click(*MIDDLES[1], button=RIGHT)
    store = seeker.session.store
    assert store.proposals.counts() == {1: 4}
    export_coco(store, tmp_path / "out.json")
    assert len(json.loads((tmp_path / "out.json").read_text())["annotations"]) == 1
    seeker.crash()
    seeker.build()
    seeker.program.files.open_path(seeker.folder)
    seeker.until(lambda: seeker.shown_row() == 0)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)
    assert sorted(shown_places(seeker)) == [2, 3, 4, 5]
    assert len(review(seeker).dropped) == 1
    assert seeker.finder.begun == 1
    # What was dropped does not come again.
    seeker.until(lambda: seeker.client.info is not None)
    QTest.mouseClick(seeker.window.proposals.ask_button, LEFT)
    seeker.until(lambda: seeker.finder.begun == 2 and is_quiet(seeker))
    assert sorted(shown_places(seeker)) == [2, 3, 4, 5]


def test_the_sliders_are_where_they_were(seeker):
    seeker.open()
    seeker.window.proposals.score.setValue(65)
    seeker.window.proposals.walk.setCurrentIndex(1)
    seeker.close()
    seeker.build()
    assert control(seeker).review.limits == replace(FIRST_LIMITS, least_score=0.65)
    assert control(seeker).review.walk is Walk.READING
    assert seeker.window.proposals.score.value() == 65


def test_the_layer_hides_with_the_masks_and_follows_the_class(seeker):
    seeker.open()
    find(seeker)
    layer = seeker.window.canvas.proposals
    seeker.key(K.Key_V)
    assert not layer.isVisible()
    seeker.click(*MIDDLES[0])
    assert seeker.session.annotations == ()
    seeker.key(K.Key_V)
    seeker.session.classes.change(seeker.session.category.id, colour="#00ff00")
    assert layer._colour == "#00ff00"
    picture = seeker.window.canvas.grab().toImage()
    corner = seeker._at(*PLACES[0])
    colours = {picture.pixelColor(corner + QPoint(dx, 0)).name() for dx in range(60) if picture.rect().contains(corner)}
    assert any(int(c[3:5], 16) > int(c[1:3], 16) + 60 for c in colours), colours  # a line of that colour
