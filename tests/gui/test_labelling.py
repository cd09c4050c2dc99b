"""Labelling in the whole window: objects by click and key, undo, classes, and what survives."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog

from annotator.domain.errors import ProjectError
from annotator.domain.project import Annotation, Status
from annotator.io.project.store import ProjectStore
from annotator.ui.labelling import canvas_objects

K = Qt.Key
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def test_fifty_objects_by_click_and_key_without_a_dialog(desk, monkeypatch):
    def no_dialog(*_args):
        raise AssertionError("a dialog in the loop")

    for name in ("exec", "open", "show"):
        monkeypatch.setattr(QDialog, name, no_dialog)
    desk.open(images=5)
    desk.session.classes.add("cell")
    for image in range(5):
        for number in range(10):
            x, y = 14 + 15 * (number % 10), 20 + 18 * image
            desk.click(x, y)
            desk.wait_mask(x, y)
            if number % 2:
                desk.key(K.Key_1)
            else:
                desk.key(K.Key_2)
            desk.key(K.Key_Return)
        assert len(desk.session.annotations) == 10
        if image < 4:
            desk.key(K.Key_D)
            desk.wait_image(image + 1)
    assert QApplication.activeModalWidget() is None
    with ProjectStore.open(desk.session.store.path, read_only=True) as store:
        rows = list(store.all_annotations())
    assert len(rows) == 50
    assert sorted({row.category_id for row in rows}) == [1, 2]
    assert all(row.clicks == 1 and row.model == "fake" for row in rows)


def test_accept_while_the_answer_is_pending_takes_the_last_click(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.click(100, 60)
    desk.key(K.Key_Return)
    assert desk.session.annotations == ()
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert desk.session.annotations[0].mask().contains(100, 60)
    assert len(desk.session.annotations[0].prompts["points"]) == 2


def test_the_next_image_gets_no_mask_of_the_last(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.engine.let_go()
    desk.click(100, 60)
    desk.wait_mask(100, 60)
    assert not desk.refine.state.mask.contains(30, 30)
    desk.key(K.Key_Return)
    assert [a.image_id for a in desk.session.annotations] == [desk.session.images[1].id]
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert desk.session.annotations == ()


def test_undo_and_redo_across_prompts_and_document(desk):
    desk.open()
    desk.click(30, 30)
    desk.wait_mask(30, 30)
    desk.key(K.Key_Return)
    desk.click(60, 60)
    desk.click(64, 60)
    desk.wait_mask(64, 60)
    assert len(desk.refine.state.prompts.points) == 2
    desk.key(K.Key_Z, CTRL)
    assert len(desk.refine.state.prompts.points) == 1
    desk.key(K.Key_Z, CTRL)
    assert not desk.refine.state.is_active
    assert len(desk.session.annotations) == 1
    desk.key(K.Key_Z, CTRL)
    assert desk.session.annotations == ()
    desk.key(K.Key_Y, CTRL)
    desk.key(K.Key_Y, CTRL)
    desk.key(K.Key_Z, CTRL | SHIFT)
    desk.until(lambda: len(desk.session.annotations) == 1 or desk.refine.state.is_active)


def test_undo_of_another_image_shows_that_image(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_Z, CTRL)
    desk.wait_image(0)
    assert desk.session.annotations == ()
    assert desk.window.film.view.currentIndex().row() == 0


def test_backspace_and_escape(desk):
    desk.open()
    desk.click(30, 30)
    desk.click(40, 30)
    desk.key(K.Key_Backspace)
    assert len(desk.refine.state.prompts.points) == 1
    desk.key(K.Key_Escape)
    assert not desk.refine.state.is_active
    assert desk.session.annotations == ()


def test_right_click_and_sign_key_remove(desk):
    desk.open()
    desk.click(30, 30)
    desk.click(36, 30, button=Qt.MouseButton.RightButton)
    desk.key(K.Key_T)
    desk.click(30, 36)
    desk.key(K.Key_T)
    desk.click(34, 34)
    assert [p.is_positive for p in desk.refine.state.prompts.points] == [True, False, False, True]


def test_a_box_is_dragged(desk):
    desk.open()
    desk.key(K.Key_B)
    desk.drag((20, 20), (70, 60))
    assert desk.refine.state.prompts.box is not None
    box = desk.refine.state.prompts.box
    assert (round(box.x0), round(box.y0), round(box.x1), round(box.y1)) == (20, 20, 70, 60)


def test_tab_switches_candidates_and_the_strip_follows(desk):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    strip = desk.window.area.candidates
    assert strip.isVisible()
    first = desk.refine.state.candidate_index
    desk.key(K.Key_Tab)
    assert desk.refine.state.candidate_index == (first + 1) % 3
    assert desk.window.canvas.hasFocus()
    QTest.mouseClick(strip._buttons[0], Qt.MouseButton.LeftButton)
    assert desk.refine.state.candidate_index == 0
    assert desk.window.canvas.hasFocus()
    desk.click(66, 60)
    desk.until(lambda: not desk.refine.state.is_waiting)
    assert strip.isHidden()


def test_empty_done_and_next(desk):
    desk.open()
    desk.key(K.Key_X)
    assert desk.session.image.status is Status.EMPTY
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(1)
    assert desk.session.images[0].status is Status.EMPTY
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(2)
    assert desk.session.images[1].status is Status.DONE
    desk.until(lambda: desk.window.docks["images"].detail.text() == "3 / 3  ·  2 of 3 done")


def test_done_while_an_accept_waits_keeps_the_object(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.key(K.Key_Return)
    desk.key(K.Key_Return, CTRL)
    desk.engine.let_go()
    desk.wait_image(1)
    with ProjectStore.open(desk.session.store.path, read_only=True) as store:
        assert [a.image_id for a in store.all_annotations()] == [1]
        assert store.image(1).status is Status.DONE


def test_class_keys_and_search(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.add("cup")
    desk.key(K.Key_1)
    assert desk.session.category.name == "object"
    desk.key(K.Key_3)
    assert desk.session.category.name == "cup"
    assert desk.window.area.chip.accessibleName() == "Class in use: cup"
    desk.key(K.Key_C)
    finder = desk.window.area.finder
    assert finder.isVisible()
    QTest.keyClicks(finder.field, "cel")
    QTest.keyClick(finder.field, K.Key_Return)
    assert desk.session.category.name == "cell"
    assert desk.window.canvas.hasFocus()
    desk.key(K.Key_7)
    assert "No class has the key 7" in desk.window.status.message.text()


def test_the_class_search_gives_selected_objects_the_class(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    first = desk.accept_at(30, 30)
    desk.accept_at(90, 60)
    desk.window.objects.select_ids(frozenset({first.id}))
    desk.key(K.Key_C)
    QTest.keyClicks(desk.window.area.finder.field, "cel")
    QTest.keyClick(desk.window.area.finder.field, K.Key_Return)
    assert [a.category_id for a in desk.session.annotations] == [2, 1]
    assert desk.session.category.id == 1


def test_objects_are_selected_reclassed_and_deleted(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    desk.accept_at(30, 30)
    desk.accept_at(90, 60)
    desk.key(K.Key_S)
    desk.click(90, 60)
    ids = [a.id for a in desk.session.annotations]
    assert desk.window.objects.selected_ids() == {ids[1]}
    desk.key(K.Key_2)
    assert [a.category_id for a in desk.session.annotations] == [1, 2]
    assert desk.session.category.id == 1
    desk.key(K.Key_Delete)
    assert [a.id for a in desk.session.annotations] == [ids[0]]
    view = desk.window.objects.view
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(view.model().index(0, 0)).center())
    QTest.keyClick(view, K.Key_Delete)
    assert desk.session.annotations == ()


def test_an_accepted_object_is_refined_and_keeps_its_id(desk):
    desk.open()
    first = desk.accept_at(60, 60)
    view = desk.window.objects.view
    at = view.visualRect(view.model().index(0, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert desk.refine.state.origin_id == first.id
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    desk.key(K.Key_Return)
    assert [a.id for a in desk.session.annotations] == [first.id]
    assert desk.session.annotations[0].origin == "refine"
    desk.key(K.Key_Z, CTRL)
    assert desk.session.annotations[0].rle == first.rle


def test_a_full_disk_keeps_the_candidate_and_can_be_tried_again(desk, monkeypatch):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    real = ProjectStore.apply

    def full(self, edit, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "apply", full)
    desk.key(K.Key_Return)
    bar = desk.window.area.error_bar
    assert bar.text == "The disk is full. Make room."
    assert desk.refine.state.mask is not None
    assert desk.refine.state.mask.contains(60, 60)
    assert desk.session.annotations == ()
    monkeypatch.setattr(ProjectStore, "apply", real)
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert len(desk.session.annotations) == 1
    assert bar.text == ""


def test_the_object_in_work_survives_a_crash(desk):
    desk.open()
    desk.click(60, 60)
    desk.click(70, 60)
    desk.wait_mask(70, 60)
    folder = desk.folder
    desk.crash()
    desk.open(folder=folder)
    desk.wait_mask(70, 60)
    assert len(desk.refine.state.prompts.points) == 2
    assert "back" in desk.window.status.message.text()
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1


def test_the_object_in_work_waits_on_its_image(desk):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert not desk.refine.state.is_active
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.wait_mask(60, 60)


def test_an_accepted_mask_is_not_decoded_to_be_shown(desk, monkeypatch):
    """It is known already; one that an edit brings back is decoded."""
    desk.open()
    decoded = []
    plain = canvas_objects.sound_mask
    monkeypatch.setattr(canvas_objects, "sound_mask", lambda row: (decoded.append(row.id), plain(row))[1])
    made = desk.accept_at(60, 50)
    assert made.id in desk.window.canvas._layer.ids
    assert decoded == []
    desk.session.undo()
    assert made.id not in desk.window.canvas._layer.ids
    desk.session.redo()
    assert made.id in desk.window.canvas._layer.ids
    assert decoded == [made.id]
    assert desk.window.canvas._layer._views[made.id].mask.same_pixels(made.mask())


def test_an_accept_looks_at_no_other_object(desk):
    """It costs the same among thousands: who follows a change asks for what has changed."""
    looks = []

    class Spied(Annotation):
        def __getattribute__(self, name):
            if threading.current_thread() is threading.main_thread():  # another one reads their masks
                looks.append(name)
            return super().__getattribute__(name)

    desk.open()
    made = desk.accept_at(60, 50)
    fields = {one.name: getattr(made, one.name) for one in dataclasses.fields(made)}
    session, others = desk.session, 390
    crowd = [Spied(**{**fields, "id": -1 - at}) for at in range(others)]
    session.annotations = (*reversed(crowd), made)
    desk.program.views._refresh_objects()
    desk.program.views.objects.show()
    desk.click(100, 80)
    desk.wait_mask(100, 80)
    looks.clear()
    desk.key(Qt.Key.Key_Return)
    assert len(session.annotations) == others + 2
    assert len(looks) < others, "a search by halves for each follower"


def test_what_is_not_there_any_more_is_cleared_once(desk, monkeypatch):
    """Taking a project and going to its first image left the picture before it again and again."""
    desk.open()
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    cleared = []
    canvas, plain = desk.window.canvas, desk.window.canvas.set_image
    monkeypatch.setattr(canvas, "set_image", lambda image, **how: (cleared.append(image is None), plain(image, **how)))
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: len(desk.session.images) == 1 and desk.shown_row() == 0)
    assert cleared == [True, False]
    assert not desk.refine.state.is_active
    desk.accept_at(40, 40)
    desk.session.close()
    assert cleared == [True, False, True]
    assert not canvas.has_image
    assert not canvas._layer.ids
