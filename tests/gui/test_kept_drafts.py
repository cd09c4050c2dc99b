"""Objects in work are in the project file, one row an image: they outlive leaving the image, closing and a crash."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from annotator.domain.errors import ModelError, ProjectError
from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


def points(desk) -> list[tuple[int, int]]:
    return [(round(p.x), round(p.y)) for p in desk.refine.state.prompts.points]


def begin(desk, x: float, y: float) -> None:
    desk.click(x, y)
    desk.wait_mask(x, y)


def go(desk, row: int) -> None:
    desk.key(K.Key_D if row > desk.shown_row() else K.Key_A)
    desk.wait_image(row)


def start_again(desk, *, row: int = 0) -> None:
    desk.engine.let_go()
    desk.open(folder=desk.folder, first_row=row)


@pytest.mark.parametrize("end", ["crash", "close"])
def test_what_is_in_work_on_every_image_comes_back(desk, end):
    desk.open()
    begin(desk, 40, 40)
    go(desk, 1)
    begin(desk, 60, 60)
    go(desk, 2)
    begin(desk, 80, 80)
    if end == "crash":
        desk.crash()
    else:
        desk.close()
    start_again(desk, row=2)
    for row, place in ((2, 80), (1, 60), (0, 40)):
        if row < 2:
            go(desk, row)
        desk.wait_mask(place, place)
        assert points(desk) == [(place, place)]
        assert "back" in desk.window.status.message.text()


def test_a_click_is_in_the_file_before_the_next_event(desk):
    desk.open()
    desk.engine.hold()
    desk.click(40, 40)
    assert len(desk.session.store.draft(1)["points"]) == 1
    desk.click(44, 40)
    assert len(desk.session.store.draft(1)["points"]) == 2
    desk.key(K.Key_Backspace)
    assert len(desk.session.store.draft(1)["points"]) == 1
    desk.key(K.Key_Escape)
    assert desk.session.store.draft(1) is None


def test_an_accept_that_waits_is_kept_beside_what_was_begun_behind_it(desk):
    desk.open()
    desk.engine.hold()
    desk.click(40, 40)
    desk.engine.segmenter.decode_gate.wait_for_arrival()
    desk.key(K.Key_Return)
    desk.click(100, 60)
    assert desk.session.store.draft_counts() == {1: 2}
    desk.engine.segmenter.decode_errors += [ModelError("No answer comes before the crash.")] * 2
    desk.engine.let_go()
    desk.crash()
    desk.engine.segmenter.decode_errors.clear()
    start_again(desk)
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert desk.session.annotations[0].mask().contains(40, 40)
    desk.wait_mask(100, 60)
    assert points(desk) == [(100, 60)]
    assert desk.session.store.draft_counts() == {1: 1}


def test_an_accept_that_waits_on_an_image_that_was_left_is_kept_with_the_work_there(desk):
    desk.open()
    desk.engine.hold()
    desk.click(40, 40)
    desk.engine.segmenter.decode_gate.wait_for_arrival()
    desk.key(K.Key_Return)
    desk.click(100, 60)
    go(desk, 1)
    desk.click(60, 60)
    assert desk.session.store.draft_counts() == {1: 2, 2: 1}
    desk.engine.let_go()
    desk.until(lambda: desk.session.store.draft_counts() == {1: 1, 2: 1})
    assert len(desk.session.store.annotations(1)) == 1
    go(desk, 0)
    desk.wait_mask(100, 60)
    assert points(desk) == [(100, 60)]


def test_a_mask_that_fails_on_an_image_that_was_left_is_tried_again_there(desk):
    desk.open()
    desk.engine.hold()
    desk.engine.segmenter.decode_errors.append(ModelError("The device is gone."))
    desk.click(40, 40)
    desk.engine.segmenter.decode_gate.wait_for_arrival()
    desk.key(K.Key_Return)
    go(desk, 1)
    desk.engine.let_go()
    desk.until(desk.refine.can_leave)
    assert "0.png" in desk.window.status.message.text()
    assert desk.session.store.draft_counts() == {1: 1}
    go(desk, 0)
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert desk.session.annotations[0].mask().contains(40, 40)
    assert desk.session.store.draft_counts() == {}


def test_a_refined_object_whose_object_is_gone_comes_back_as_a_new_one(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    desk.program.commands.refine_object(made.id)
    begin(desk, 44, 40)
    go(desk, 1)
    desk.session.undo()  # the accept, on the other image
    desk.wait_image(0)
    desk.until(lambda: points(desk) == [(44, 40)])
    desk.wait_mask(44, 40)
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1


def test_a_class_chosen_for_a_refined_object_is_kept_without_a_click(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    other = desk.session.classes.add("other")
    desk.session.classes.pick(made.category_id)
    desk.program.commands.refine_object(made.id)
    desk.session.classes.pick(other)
    desk.crash()
    start_again(desk)
    desk.until(lambda: desk.refine.state.category_id == other)
    desk.key(K.Key_Return)
    assert [(a.id, a.category_id) for a in desk.session.annotations] == [(made.id, other)]


def test_a_full_disk_is_told_and_the_next_write_has_what_was_missed(desk, monkeypatch):
    desk.open()
    real = ProjectStore.save_drafts

    def full(*_args, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "save_drafts", full)
    begin(desk, 40, 40)
    assert "The disk is full." in desk.window.area.error_bar.text
    go(desk, 1)
    monkeypatch.setattr(ProjectStore, "save_drafts", real)
    begin(desk, 60, 60)
    assert desk.session.store.draft_counts() == {1: 1, 2: 1}


def test_marking_empty_takes_what_is_in_work_and_undo_brings_it_back(desk):
    desk.open()
    desk.accept_at(40, 40)
    begin(desk, 100, 60)
    desk.key(K.Key_X)
    assert desk.session.image.status is Status.EMPTY
    assert not desk.refine.state.is_active
    assert desk.session.drafts.counts == {}
    assert desk.window.status.message.text() == (
        "Marked empty: 1 object deleted, 1 unaccepted object dropped, undo brings them back."
    )
    desk.key(K.Key_Z, CTRL)
    assert len(desk.session.annotations) == 1
    assert points(desk) == [(100, 60)]
    desk.wait_mask(100, 60)
    assert desk.session.drafts.counts == {1: 1}


def test_marking_empty_from_another_image_brings_the_work_back_there(desk):
    desk.open()
    begin(desk, 100, 60)
    desk.key(K.Key_X)
    go(desk, 1)
    desk.key(K.Key_Z, CTRL)
    desk.wait_image(0)
    desk.wait_mask(100, 60)
    assert desk.session.image.status is Status.UNSEEN


def test_an_object_begun_on_an_empty_image_goes_with_the_second_mark(desk):
    desk.open()
    desk.key(K.Key_X)
    begin(desk, 100, 60)
    desk.key(K.Key_X)
    assert desk.session.image.status is Status.EMPTY
    assert desk.session.drafts.counts == {}
    assert not desk.refine.state.is_active


def test_a_disk_that_refuses_the_mark_drops_nothing(desk, monkeypatch):
    desk.open()
    begin(desk, 100, 60)

    def full(*_args, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(ProjectStore, "apply", full)
        desk.key(K.Key_X)
    assert desk.session.image.status is Status.UNSEEN
    assert points(desk) == [(100, 60)]


def test_what_could_not_be_written_does_not_come_back_after_its_object_was_accepted(desk, monkeypatch):
    desk.open()

    def full(*_args, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(ProjectStore, "save_drafts", full)
        begin(desk, 40, 40)
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1
    go(desk, 1)
    begin(desk, 60, 60)
    assert desk.session.drafts.counts == {2: 1}
