"""Tracks in the window: objects are carried through a series by keys, looked at, corrected, undone and gone on with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from annotator.domain.project import Status, accept_edit, status_edit
from annotator.domain.tracks.plan import RECORD_KEY
from annotator.domain.tracks.track import is_key
from tests.fakes import FakeCarrier

K = Qt.Key
CTRL, ALT, SHIFT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ShiftModifier,
)
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
SLICES = 9


@pytest.fixture
def stack(desk):
    """A stack of nine pages, the first of which is shown, and a model that carries."""
    folder = desk.root / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8)
    pages = [Image.fromarray(np.roll(noise, number)) for number in range(SLICES)]
    pages[0].save(folder / "m.tif", save_all=True, append_images=pages[1:])
    desk.engine.segmenter = FakeCarrier()
    desk.open(folder=folder, first_row=SLICES // 2)
    go(desk, 0)
    return desk


def go(desk, position):
    desk.session.go_to(desk.session.images[position].id)
    desk.wait_image(position)


def object_at(desk, position, x=50, y=60):
    """A click, accepted, on a slice."""
    go(desk, position)
    desk.click(x, y)
    desk.wait_mask(x, y)
    desk.key(K.Key_Return)
    desk.until(lambda: any(row.image_id == desk.session.images[position].id for row in rows(desk)))
    return rows_at(desk, position)[-1]


def rows(desk):
    return list(desk.session.store.all_annotations())


def rows_at(desk, position):
    return [row for row in rows(desk) if row.image_id == desk.session.images[position].id]


def places(desk):
    """Where there are objects."""
    by_id = {image.id: image.position for image in desk.session.images}
    return sorted(by_id[row.image_id] for row in rows(desk))


def carried(desk):
    desk.until(lambda: not desk.program.tracks.carrying.is_running)


def carry(desk, key=K.Key_Right):
    desk.key(key, CTRL | SHIFT)
    carried(desk)


def marks(desk):
    return [mark.name[0] for mark in desk.window.area.slices.track._slices.tracks]


def test_an_object_is_carried_to_the_end_and_is_one_step_to_undo(stack):
    first = object_at(stack, 0)
    before = stack.session.store.edit_mark()[0]
    carry(stack)
    assert places(stack) == list(range(SLICES))
    assert {row.track_id for row in rows(stack)} == {1}
    assert {row.category_id for row in rows(stack)} == {first.category_id}
    later = rows_at(stack, 4)[0]
    assert (later.origin, later.score, later.model) == ("propagated", 0.9, "fake")
    assert later.x == first.x + 4
    assert is_key(rows_at(stack, 0)[0])
    assert all(image.status is Status.IN_PROGRESS for image in stack.session.store.images())
    assert stack.session.store.edit_mark()[0] == before + 1
    stack.key(K.Key_Z, CTRL)
    assert places(stack) == [0]
    assert rows(stack)[0].track_id == 0
    stack.key(K.Key_Z, CTRL | SHIFT)
    assert places(stack) == list(range(SLICES))


def test_key_frames_stay_and_a_correction_is_carried_only_from_there(stack):
    object_at(stack, 0)
    carry(stack)
    go(stack, 5)
    stack.window.objects.select_ids(frozenset({rows_at(stack, 5)[0].id}))
    stack.key(K.Key_Right, ALT | SHIFT)  # ten pixels to the right
    key = rows_at(stack, 5)[0]
    assert is_key(key)
    before = {row.id: row for row in rows(stack)}
    stack.window.objects.select_ids(frozenset({key.id}))
    carry(stack)
    after = {row.id: row for row in rows(stack)}
    moved = {row.id for row in rows(stack) if row.x != before[row.id].x}
    assert moved == {row.id for at in (6, 7, 8) for row in rows_at(stack, at)}
    assert after[key.id] == before[key.id]
    go(stack, 0)
    stack.window.objects.select_ids(frozenset())
    carry(stack)  # up to the key frame and no further
    assert {row.id: row.x for row in rows(stack)} == {one: row.x for one, row in after.items()}
    assert len(rows(stack)) == SLICES


def test_both_sides_are_one_step(stack):
    object_at(stack, 4)
    carry(stack, K.Key_B)
    assert places(stack) == list(range(SLICES))
    stack.key(K.Key_Z, CTRL)
    assert places(stack) == [4]


def test_one_frame_at_a_time(stack):
    object_at(stack, 2)
    stack.key(K.Key_Period, ALT)
    carried(stack)
    assert places(stack) == [2, 3]
    stack.key(K.Key_Comma, ALT)
    carried(stack)
    assert places(stack) == [1, 2, 3]


def test_a_track_that_is_lost_ends_and_says_so(stack):
    stack.engine.segmenter.looks = {3: 0.4, 5: None, 6: None}
    object_at(stack, 0)
    carry(stack)
    assert places(stack) == [0, 1, 2, 3, 4]
    assert "Lost: “object” after 5" in stack.window.area.error_bar.text
    assert marks(stack)[:6] == ["K", "F", "F", "D", "L", "N"]
    go(stack, 0)
    stack.key(K.Key_Period)  # doubtful frames in turn
    stack.wait_image(3)
    stack.until(lambda: stack.window.objects.selected_ids() == {rows_at(stack, 3)[0].id})
    stack.key(K.Key_Period)
    stack.wait_image(4)
    stack.key(K.Key_Period, CTRL)
    stack.wait_image(3)


def test_the_review_walks_doubtful_frames_first(stack):
    stack.engine.segmenter.looks = {3: 0.4, 6: 0.2}
    object_at(stack, 0)
    carry(stack)
    stack.key(K.Key_J)
    stack.wait_image(6)
    stack.key(K.Key_J)
    stack.wait_image(3)


def test_carrying_anew_after_a_loss_takes_the_mark_and_old_masks_away(stack):
    object_at(stack, 0)
    carry(stack)
    stack.engine.segmenter.looks = {4: None}
    go(stack, 0)
    carry(stack)
    assert places(stack) == [0, 1, 2, 3]  # what lay beyond came the same way
    stack.engine.segmenter.looks = {}
    go(stack, 3)
    stack.window.objects.select_ids(frozenset())
    carry(stack)
    assert places(stack) == list(range(SLICES))
    assert "L" not in marks(stack)


def test_a_run_is_stopped_by_escape_and_keeps_what_is_done(stack):
    object_at(stack, 0)
    gate = stack.engine.segmenter.carry_gate
    stack.key(K.Key_Right, CTRL | SHIFT)
    stack.until(lambda: len(stack.engine.segmenter.stepped) >= 2)
    gate.close()
    stack.until(lambda: stack.program.tracks.carrying.is_running)
    job = stack.window.jobs.jobs[0]
    stack.window.objects.select_ids(frozenset())
    stack.key(K.Key_Escape)
    gate.open()
    assert not stack.program.tracks.carrying.is_running
    assert job.standing.is_over
    done = places(stack)
    assert done == list(range(len(done)))
    assert stack.session.store.meta_get(RECORD_KEY) == ""


def test_a_click_is_answered_while_objects_are_carried(stack):
    object_at(stack, 0)
    gate = stack.engine.segmenter.carry_gate
    gate.close()
    stack.key(K.Key_Right, CTRL | SHIFT)
    stack.until(lambda: gate.arrived.acquire(blocking=False))
    stack.click(100, 30)
    stack.wait_mask(100, 30)  # the step gave way
    gate.open()
    carried(stack)
    assert places(stack) == list(range(SLICES))


def test_a_frame_that_a_person_takes_over_meanwhile_ends_the_track(stack):
    object_at(stack, 0)
    gate = stack.engine.segmenter.carry_gate
    gate.close()
    stack.key(K.Key_Right, CTRL | SHIFT)
    stack.until(lambda: gate.arrived.acquire(blocking=False))
    store = stack.session.store
    first = rows_at(stack, 0)[0]
    own = replace(first, id=store.new_id("annotation"), image_id=stack.session.images[4].id, origin="brush")
    stack.session.apply(accept_edit(own, stack.session.images[4]))
    gate.open()
    carried(stack)
    assert store.annotation(own.id) == own
    assert len(rows_at(stack, 4)) == 1


def test_images_that_a_person_found_empty_stop_a_run(stack):
    stack.session.apply(status_edit(stack.session.images[5], Status.EMPTY))
    object_at(stack, 3)
    carry(stack)
    assert places(stack) == [3, 4]


def test_between_two_key_frames_is_filled_in(stack):
    first = object_at(stack, 1)
    carry(stack)
    go(stack, 6)
    stack.window.objects.select_ids(frozenset({rows_at(stack, 6)[0].id}))
    stack.key(K.Key_Y, ALT)
    assert is_key(rows_at(stack, 6)[0])
    go(stack, 3)
    stack.window.objects.select_ids(frozenset())
    before = stack.session.store.edit_mark()[0]
    stack.key(K.Key_F, CTRL | SHIFT)
    carried(stack)
    assert stack.session.store.edit_mark()[0] == before + 1
    assert {row.origin for at in (2, 3, 4, 5) for row in rows_at(stack, at)} == {"interpolated"}
    assert rows_at(stack, 1)[0].x == first.x
    assert marks(stack) == ["N", "K", "F", "F", "F", "F", "K", "F", "F"]


def test_carried_masks_are_deleted_from_here_on_and_key_frames_stay(stack):
    object_at(stack, 0)
    carry(stack)
    go(stack, 6)
    stack.window.objects.select_ids(frozenset({rows_at(stack, 6)[0].id}))
    stack.key(K.Key_Y, ALT)
    go(stack, 3)
    stack.window.objects.select_ids(frozenset())
    stack.key(K.Key_Delete, SHIFT)
    assert places(stack) == [0, 1, 2, 6]


def test_a_run_that_was_cut_off_is_gone_on_with(stack):
    object_at(stack, 0)
    gate = stack.engine.segmenter.carry_gate
    stack.key(K.Key_Right, CTRL | SHIFT)
    stack.until(lambda: len(stack.engine.segmenter.stepped) >= 3)
    gate.close()
    stack.program.tracks.carrying.leave()  # as when the window is closed
    gate.open()
    done = places(stack)
    assert done == list(range(len(done)))
    assert len(done) < SLICES
    assert stack.session.store.meta_get(RECORD_KEY)
    folder = stack.folder
    stack.program.files.open_path(folder)
    stack.until(lambda: "cut off" in stack.window.area.error_bar.text)
    stack.window.area.error_bar.button.click()
    carried(stack)
    assert places(stack) == list(range(SLICES))
    stack.session.undo()
    assert places(stack) == [0]


def test_without_anything_to_carry_it_says_why(stack):
    carry(stack)
    assert rows(stack) == []
    object_at(stack, SLICES - 1)
    carry(stack)
    assert places(stack) == [SLICES - 1]


def test_a_photograph_has_nothing_to_carry_to(desk):
    desk.open()
    assert not desk.window.actions_by_id["carry_forward"].isEnabled()
