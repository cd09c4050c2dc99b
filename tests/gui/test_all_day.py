"""A long day's haste: keys pressed early, late or together lose no click, no mask and no image."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from annotator.domain.errors import ProjectError
from annotator.domain.project import Status

K = Qt.Key
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
REDO = CTRL | SHIFT
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def ids(desk) -> list[int]:
    return [annotation.id for annotation in desk.session.annotations]


def full_disk(*_args, **_named):
    raise ProjectError("The disk is full.", "Free some space.")


def accept_slowly(desk, x: float, y: float) -> None:
    """Click and accept while the engine is held: the mask is still to come."""
    desk.engine.hold()
    desk.click(x, y)
    desk.engine.segmenter.decode_gate.wait_for_arrival()
    desk.key(K.Key_Return)


# --- failures ----------------------------------------------------------------------


@pytest.mark.parametrize("key", [K.Key_Delete, K.Key_X])
def test_trying_again_is_offered_for_its_own_project_only(desk, monkeypatch, key):
    other = desk.root / "other"
    other.mkdir()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(other / "0.png")
    desk.open(folder=other)
    desk.accept_at(60, 60)
    files, bar = desk.program.files, desk.window.area.error_bar
    files.open_path(desk.make_folder())
    desk.until(lambda: desk.session.store.image_root == desk.folder and desk.shown_row() == 0)
    mine = desk.accept_at(60, 60)
    monkeypatch.setattr(desk.session.store, "apply", full_disk)
    desk.window.objects.select_ids(frozenset({mine.id}))
    desk.key(key)
    assert bar.button.text() == "Try again"
    retry = desk.session.attempt
    asked = []
    desk.session.failed.connect(lambda _text, again: asked.append(again))
    retry(full_disk)
    files.open_path(other)
    desk.until(lambda: desk.session.store.image_root == other and desk.shown_row() == 0)
    assert bar.text == "", "what failed there is not offered here"
    desk.session.store.apply = full_disk
    asked[0]()
    assert bar.text == "", "and not done, should it be asked for all the same"
    assert len(ids(desk)) == 1


def test_trying_an_accept_again_keeps_that_object_and_no_other(desk, monkeypatch):
    desk.open()
    store, bar = desk.session.store, desk.window.area.error_bar
    real = store.apply
    desk.click(40, 40)
    desk.wait_mask(40, 40)
    monkeypatch.setattr(store, "apply", full_disk)
    desk.key(K.Key_Return)
    assert bar.button.text() == "Try again"
    monkeypatch.setattr(store, "apply", real)
    bar.button.click()
    assert len(ids(desk)) == 1
    assert bar.text == ""
    desk.click(100, 80)
    desk.wait_mask(100, 80)
    monkeypatch.setattr(store, "apply", full_disk)
    desk.key(K.Key_Return)
    monkeypatch.setattr(store, "apply", real)
    desk.key(K.Key_Escape)
    desk.click(20, 20)
    desk.wait_mask(20, 20)
    bar.button.click()
    assert len(ids(desk)) == 1, "the object that failed was dropped; another is in work"


# --- names and classes ----------------------------------------------------------------------


def test_a_mask_that_arrives_leaves_the_name_that_is_being_typed(desk):
    desk.open()
    desk.accept_at(100, 80)
    accept_slowly(desk, 40, 40)
    desk.program.commands.add_class()
    editor = desk.window.classes.findChild(QLineEdit)
    QTest.keyClicks(editor, "cort")
    desk.engine.let_go()
    desk.until(lambda: len(ids(desk)) == 2)
    QTest.keyClicks(desk.window.focusWidget(), "ex")
    QTest.keyClick(desk.window.focusWidget(), K.Key_Return)
    desk.until(lambda: "cortex" in [category.name for category in desk.session.categories.values()])
    assert desk.session.image.status is not Status.EMPTY
    assert len(ids(desk)) == 2


def test_a_refined_object_shows_its_class_and_takes_any_other(desk):
    desk.open()
    first = desk.session.category
    desk.accept_at(60, 60)
    second = desk.session.classes.add("second")
    third = desk.accept_at(110, 80)
    assert third.category_id == second
    desk.program.commands.pick_class(first.id)
    desk.program.commands.refine_object(third.id)
    chip = desk.window.area.chip
    assert "second" in chip.accessibleName()
    desk.program.commands.pick_class(first.id)
    assert first.name in chip.accessibleName()
    desk.click(112, 82)
    desk.wait_mask(112, 82)
    desk.key(K.Key_Return)
    assert next(a for a in desk.session.annotations if a.id == third.id).category_id == first.id


def test_a_new_class_by_name_goes_to_the_selected_objects(desk):
    desk.open()
    made = desk.accept_at(60, 60)
    desk.window.objects.select_ids(frozenset({made.id}))
    desk.window.area.finder.new_wanted.emit("lesion")
    (now,) = desk.session.annotations
    assert desk.session.categories[now.category_id].name == "lesion"


# --- images ----------------------------------------------------------------------


@pytest.mark.parametrize("modifier_and_key", [(CTRL, K.Key_Return), (Qt.KeyboardModifier.NoModifier, K.Key_X)])
def test_an_image_that_was_not_shown_is_not_marked(desk, monkeypatch, modifier_and_key):
    modifier, key = modifier_and_key
    desk.open(images=4)
    gate = threading.Event()
    import annotator.ui.threads.loading as loading

    real = loading.load_image
    monkeypatch.setattr(loading, "load_image", lambda *args, **named: gate.wait(10) and real(*args, **named))
    desk.program.loader.clear()
    desk.key(K.Key_D)
    row = desk.session.row_of[desk.session.image.id]
    assert row == 1
    for _ in range(3):
        desk.key(key, modifier)
    assert [image.status for image in desk.session.images] == [Status.UNSEEN] * 4
    assert "on the screen" in desk.window.status.message.text()
    gate.set()
    desk.wait_image(1)
    desk.key(key, modifier)
    assert desk.session.images[1].status in (Status.DONE, Status.EMPTY)


def test_objects_of_an_image_that_is_still_read_are_not_deleted(desk, monkeypatch):
    desk.open()
    desk.accept_at(60, 60)
    desk.key(K.Key_D)
    desk.wait_image(1)
    gate = threading.Event()
    import annotator.ui.threads.loading as loading

    real = loading.load_image
    monkeypatch.setattr(loading, "load_image", lambda *args, **named: gate.wait(10) and real(*args, **named))
    desk.program.loader.clear()
    desk.key(K.Key_A)
    desk.key(K.Key_A, CTRL)
    desk.key(K.Key_Delete)
    assert len(ids(desk)) == 1
    gate.set()
    desk.wait_image(0)
    desk.key(K.Key_A, CTRL)
    desk.key(K.Key_Delete)
    assert ids(desk) == []


def test_an_image_that_cannot_be_read_is_done_with_but_its_objects_stay(desk):
    desk.open()
    desk.accept_at(60, 60)
    desk.key(K.Key_D)
    desk.wait_image(1)
    for number in (0, 2):
        (desk.folder / f"{number}.png").write_bytes(b"no image")
    desk.program.loader.clear()
    bar = desk.window.area.error_bar
    desk.key(K.Key_A)
    desk.until(lambda: "0.png" in bar.text)
    desk.key(K.Key_X)
    assert len(ids(desk)) == 1, "nobody deletes what nobody sees"
    desk.key(K.Key_Return, CTRL)
    assert desk.session.images[0].status is Status.DONE
    desk.wait_image(1)
    desk.key(K.Key_D)
    desk.until(lambda: "2.png" in bar.text)
    desk.key(K.Key_X)
    assert desk.session.images[2].status is Status.EMPTY


def test_a_held_key_marks_one_image(desk):
    desk.open()
    actions = desk.window.actions_by_id
    for name in ("done_next", "mark_empty", "accept", "delete", "hide_masks", "full_screen"):
        assert not actions[name].autoRepeat(), name
    for name in ("next_image", "undo", "zoom_in"):
        assert actions[name].autoRepeat(), name


def test_marking_empty_waits_for_accepts_and_one_undo_brings_all_back(desk):
    desk.open()
    desk.engine.hold()
    for place in ((40, 40), (110, 80)):
        desk.click(*place)
        desk.key(K.Key_Return)
    desk.click(70, 20)
    desk.key(K.Key_X)
    assert desk.session.image.status is not Status.EMPTY, "two masks are still to come"
    desk.engine.let_go()
    desk.until(lambda: desk.session.image.status is Status.EMPTY)
    assert ids(desk) == []
    assert not desk.refine.state.is_active
    desk.key(K.Key_Z, CTRL)
    assert len(ids(desk)) == 2
    assert desk.session.image.status is Status.IN_PROGRESS


def test_clicks_on_several_images_all_come_back(desk):
    desk.open()
    desk.click(40, 40)
    desk.click(60, 40)
    desk.wait_mask(60, 40)
    prompts = desk.refine.state.prompts
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.accept_at(100, 80)
    desk.click(30, 30)
    desk.wait_mask(30, 30)
    second = desk.refine.state.prompts
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert desk.refine.state.prompts == prompts
    desk.key(K.Key_Return)
    desk.until(lambda: len(ids(desk)) == 1)
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert desk.refine.state.prompts == second
    desk.key(K.Key_Escape)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert not desk.refine.state.is_active, "it was accepted"
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert not desk.refine.state.is_active, "it was dropped"


def test_what_was_begun_behind_a_waiting_accept_comes_back(desk):
    desk.open()
    desk.accept_at(130, 20)
    accept_slowly(desk, 40, 40)
    desk.click(110, 80)
    prompts = desk.refine.state.prompts
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.click(30, 90)  # the project file keeps this one's clicks
    desk.engine.let_go()
    desk.wait_mask(30, 90)
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.until(lambda: len(ids(desk)) == 2)
    assert desk.refine.state.prompts == prompts
    desk.key(K.Key_Escape)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert not desk.refine.state.is_active


def test_an_object_deleted_while_its_refinement_waits_blocks_nothing(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    desk.program.commands.refine_object(made.id)
    accept_slowly(desk, 50, 40)
    desk.session.delete({made.id})
    assert ids(desk) == []
    desk.engine.let_go()
    desk.until(desk.refine.can_leave)
    assert "not there any more" in desk.window.status.message.text()
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.accept_at(60, 60)


def test_marking_empty_without_waiting_drops_the_accept(desk):
    desk.open()
    accept_slowly(desk, 40, 40)
    desk.key(K.Key_X)
    desk.program.bench._commands.finishing._patience.offer_way_out()
    button = desk.window.area.error_bar.button
    assert button.text() == "Mark it without it"
    button.click()
    assert desk.session.image.status is Status.EMPTY
    desk.engine.let_go()
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.accept_at(60, 60)
    assert desk.session.images[0].status is Status.EMPTY
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert ids(desk) == []
    assert not desk.refine.state.is_active


def test_pressing_empty_twice_while_it_waits_is_pressing_it_once(desk):
    desk.open()
    accept_slowly(desk, 40, 40)
    desk.key(K.Key_X)
    desk.key(K.Key_X)
    desk.engine.let_go()
    desk.until(lambda: desk.session.image.status is Status.EMPTY)
    assert ids(desk) == []
    desk.key(K.Key_X)
    assert desk.session.image.status is Status.UNSEEN, "a second press on an empty image takes the mark away"


def test_coming_back_before_the_mask_is_there_makes_no_second_object(desk):
    desk.open()
    accept_slowly(desk, 40, 40)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert not desk.refine.state.is_active
    desk.engine.let_go()
    desk.until(lambda: len(ids(desk)) == 1)
    desk.key(K.Key_Return)
    assert len(ids(desk)) == 1
    assert desk.session.store.draft_counts() == {}


def test_a_class_chosen_for_a_refined_object_comes_back_with_it(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    other = desk.session.classes.add("other")
    desk.session.classes.pick(made.category_id)
    desk.program.commands.refine_object(made.id)
    desk.program.commands.pick_class(other)
    desk.click(50, 40)
    desk.wait_mask(50, 40)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert desk.refine.state.category_id == other
    desk.wait_mask(50, 40)
    desk.key(K.Key_Return)
    desk.until(lambda: desk.session.annotations[0].category_id == other)


def test_a_class_that_was_chosen_and_deleted_is_let_go(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    other = desk.session.classes.add("other")
    desk.program.commands.refine_object(made.id)
    desk.program.commands.pick_class(other)
    desk.session.classes.delete(other)
    assert desk.refine.state.category_id == made.category_id
    desk.click(50, 40)
    desk.wait_mask(50, 40)
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.refine.state.is_active)
    assert desk.session.annotations[0].category_id == made.category_id


# --- back and forth ----------------------------------------------------------------------


def test_as_many_steps_forward_as_back_lead_to_the_same_place(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    desk.click(110, 80)
    desk.wait_mask(110, 80)
    prompts = desk.refine.state.prompts
    desk.key(K.Key_Z, CTRL)
    assert not desk.refine.state.is_active
    desk.key(K.Key_Z, CTRL)
    assert ids(desk) == []
    desk.key(K.Key_Z, REDO)
    assert ids(desk) == [made.id]
    assert not desk.refine.state.is_active
    desk.key(K.Key_Z, REDO)
    assert desk.refine.state.prompts == prompts
    desk.wait_mask(110, 80)
    desk.key(K.Key_Return)
    assert len(ids(desk)) == 2


def test_a_double_click_on_an_object_keeps_the_one_in_work(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    desk.click(110, 80)
    desk.wait_mask(110, 80)
    prompts = desk.refine.state.prompts
    desk.window.objects.refine_wanted.emit(made.id)
    assert desk.refine.state.prompts == prompts
    assert "current object" in desk.window.status.message.text()


# --- keys that are held ----------------------------------------------------------------------


def test_a_held_key_ends_with_its_release_whatever_else_is_down(desk):
    desk.open()
    told = []
    desk.window.gate._on_held = lambda action, is_down: told.append((action, is_down))
    canvas = desk.window.canvas
    QTest.keyPress(canvas, K.Key_H)
    QTest.keyRelease(canvas, K.Key_H, SHIFT)
    assert told == [("peek", True), ("peek", False)]


def test_a_held_key_ends_when_another_window_takes_the_keys(desk):
    desk.open()
    told = []
    desk.window.gate._on_held = lambda action, is_down: told.append((action, is_down))
    QTest.keyPress(desk.window.canvas, K.Key_H)
    sheet = desk.program.files.show_keys()
    desk.until(sheet.isActiveWindow)
    desk.until(lambda: told == [("peek", True), ("peek", False)])
    sheet.reject()
