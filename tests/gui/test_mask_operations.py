"""Operations on masks by key: tried out first, applied in one step, on the current object or on selected ones."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain import difference, spare_copy
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation, OperationKind
from annotator.domain.overlap import Overlap
from annotator.ui.labelling import mask_operations
from annotator.ui.threads import spare_copies

K = Qt.Key
LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def open_desk(desk):
    desk.open()
    desk.key(K.Key_I)
    return desk


def draw(desk, x0, y0, x1, y1, *, modifier=NONE) -> None:
    """A rectangle of pixels, the last two left out."""
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, modifier, desk._at(x0 + 0.5, y0 + 0.5))
    QTest.mouseMove(viewport, desk._at(x1 - 0.5, y1 - 0.5))
    QTest.mouseRelease(viewport, LEFT, modifier, desk._at(x1 - 0.5, y1 - 0.5))


def accept(desk, *box) -> None:
    draw(desk, *box)
    desk.key(K.Key_Return)
    assert not desk.refine.state.is_active


def tried(desk) -> None:
    desk.until(lambda: not desk.program.commands.masks._work.is_busy)


def shown(desk) -> Mask:
    """What the canvas paints of the current object."""
    return desk.window.canvas._overlays._candidate.mask


def objects(desk) -> dict[int, Mask]:
    return {row.id: row.mask() for row in desk.session.annotations}


def test_growing_is_seen_before_it_is_kept_and_undone_in_one_step(open_desk) -> None:
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    before = desk.refine.state.mask
    desk.key(K.Key_G, SHIFT)
    tried(desk)
    bar = desk.window.area.operation
    assert bar.is_open
    assert "px²" in bar.effect.text()
    assert shown(desk).same_pixels(Operation(OperationKind.GROW, 2).applied(before))
    assert desk.refine.state.mask is before, "nothing is changed yet"
    desk.key(K.Key_BracketRight)
    tried(desk)
    assert bar.amount.value() == 3
    desk.key(K.Key_Return)
    grown = desk.refine.state.mask
    assert grown.same_pixels(Operation(OperationKind.GROW, 3).applied(before))
    assert not bar.is_open
    assert not desk.session.annotations, "Enter has applied it, and accepted nothing"
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask.same_pixels(before)
    desk.key(K.Key_Y, CONTROL)
    assert desk.refine.state.mask.same_pixels(grown)
    desk.key(K.Key_Return)
    assert objects(desk)[desk.session.annotations[0].id].same_pixels(grown)


def test_facts_of_the_image_do_not_drop_what_is_tried_out(open_desk) -> None:
    """They are written when the person rests, which may be in the middle of a trial."""
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    desk.session.facts.settle()
    desk.key(K.Key_G, SHIFT)
    tried(desk)
    image = desk.session.image
    desk.session.facts.take(image.id, sha256="0" * 64, width=image.width, height=image.height, extra={})
    desk.session.facts.settle()
    assert desk.window.area.operation.is_open


def test_escape_and_another_stroke_drop_what_is_tried_out(open_desk) -> None:
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    before = desk.refine.state.mask
    desk.key(K.Key_F, SHIFT)
    tried(desk)
    desk.key(K.Key_Escape)
    assert not desk.window.area.operation.is_open
    assert shown(desk) is desk.refine.state.mask is before
    desk.key(K.Key_F, SHIFT)
    draw(desk, 90, 30, 99, 40)
    assert not desk.window.area.operation.is_open
    assert len(desk.refine.state.prompts.strokes) == 2


def test_enter_before_the_result_is_there_keeps_it_when_it_is(open_desk, monkeypatch) -> None:
    desk, gate = open_desk, threading.Event()
    draw(desk, 40, 30, 80, 60)
    applied = Operation.applied
    monkeypatch.setattr(Operation, "applied", lambda self, mask: gate.wait(20) and applied(self, mask))
    desk.key(K.Key_G, SHIFT)
    desk.key(K.Key_Return)
    assert len(desk.refine.state.prompts.strokes) == 1
    gate.set()
    desk.until(lambda: len(desk.refine.state.prompts.strokes) == 2)
    assert desk.refine.state.mask.area > 40 * 30


@pytest.mark.parametrize(
    ("key", "area"),
    [(K.Key_H, 40 * 30 + 16), (K.Key_K, 40 * 30 - 100), (K.Key_X, 100 + 20 * 30 - 16)],
)
def test_holes_parts_and_the_box(open_desk, key, area: int) -> None:
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    draw(desk, 50, 40, 60, 50, modifier=SHIFT)
    draw(desk, 96, 30, 100, 34)
    desk.key(key, SHIFT)
    tried(desk)
    desk.key(K.Key_Return)
    assert desk.refine.state.mask.area == area


def test_selected_objects_are_changed_together_and_come_back_with_one_undo(open_desk) -> None:
    desk = open_desk
    accept(desk, 10, 10, 30, 30)
    accept(desk, 50, 10, 70, 30)
    before = objects(desk)
    desk.key(K.Key_A, CONTROL)
    desk.key(K.Key_F, SHIFT)
    tried(desk)
    desk.key(K.Key_Return)
    assert {mask.area for mask in objects(desk).values()} == {16 * 16}
    assert all(row.score is None for row in desk.session.annotations)
    desk.key(K.Key_Z, CONTROL)
    assert all(mask.same_pixels(before[at]) for at, mask in objects(desk).items())


def test_an_object_that_would_vanish_stays(open_desk) -> None:
    desk = open_desk
    accept(desk, 10, 10, 13, 13)
    desk.key(K.Key_A, CONTROL)
    desk.key(K.Key_F, SHIFT)
    tried(desk)
    desk.key(K.Key_Return)
    assert [mask.area for mask in objects(desk).values()] == [9]
    assert "would vanish" in desk.window.status.message.text()


def test_what_neighbours_have_is_taken_away(open_desk) -> None:
    desk = open_desk
    accept(desk, 10, 10, 30, 30)
    draw(desk, 20, 10, 50, 30)
    desk.key(K.Key_U, SHIFT)
    tried(desk)
    desk.key(K.Key_Return)
    assert desk.refine.state.mask.bbox_xywh == (30, 10, 20, 20)


def test_without_a_mask_it_is_said_what_to_do(open_desk) -> None:
    desk = open_desk
    desk.program.commands.masks.start("grow")
    assert "Click an object" in desk.window.status.message.text()
    assert not desk.window.area.operation.is_open


def test_objects_are_merged_and_split_again(open_desk) -> None:
    desk = open_desk
    accept(desk, 10, 10, 30, 30)
    accept(desk, 50, 10, 60, 20)
    first = desk.session.annotations[0].id
    desk.key(K.Key_A, CONTROL)
    desk.key(K.Key_M, CONTROL)
    ((kept, mask),) = objects(desk).items()
    assert (kept, mask.area) == (first, 500)
    desk.key(K.Key_M, CONTROL | SHIFT)
    assert sorted(mask.area for mask in objects(desk).values()) == [100, 400]
    desk.key(K.Key_Z, CONTROL)
    desk.key(K.Key_Z, CONTROL)
    assert sorted(mask.area for mask in objects(desk).values()) == [100, 400]


def test_a_line_parts_the_objects_that_it_crosses(open_desk) -> None:
    desk = open_desk
    accept(desk, 10, 10, 30, 30)
    accept(desk, 50, 10, 70, 30)
    accept(desk, 100, 10, 120, 30)
    desk.key(K.Key_C, SHIFT)
    assert desk.window.canvas.tool == "cut"
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(5.5, 20.5))
    for x in (40, 75):
        QTest.mouseMove(viewport, desk._at(x, 20.5))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(75, 20.5))
    found = objects(desk)
    assert len(found) == 5
    assert sum(mask.area for mask in found.values()) == 1200
    desk.key(K.Key_Z, CONTROL)
    assert len(objects(desk)) == 3
    QTest.mousePress(viewport, LEFT, NONE, desk._at(5.5, 60.5))
    QTest.mouseMove(viewport, desk._at(75, 60.5))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(75, 60.5))
    assert "parts no object" in desk.window.status.message.text()


@pytest.mark.parametrize(("rule", "areas"), [(Overlap.YIELDS, [400, 400]), (Overlap.TAKES, [200, 600])])
def test_in_a_project_without_overlap_the_new_one_yields_or_takes(open_desk, rule: Overlap, areas) -> None:
    desk = open_desk
    desk.window.actions_by_id[f"overlap_{rule.name.lower()}"].trigger()
    accept(desk, 10, 10, 30, 30)
    accept(desk, 20, 10, 50, 30)
    masks = list(objects(desk).values())
    assert [mask.area for mask in masks] == areas
    assert masks[0].intersection_area(masks[1]) == 0
    desk.key(K.Key_Z, CONTROL)
    assert [mask.area for mask in objects(desk).values()] == [400], "one undo takes both back"
    desk.crash()
    desk.open(folder=desk.folder)
    assert desk.window.actions_by_id[f"overlap_{rule.name.lower()}"].isChecked()


def test_an_operation_survives_a_crash(open_desk) -> None:
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    desk.key(K.Key_S, SHIFT)
    tried(desk)
    desk.key(K.Key_Return)
    mask = desk.refine.state.mask
    assert np.count_nonzero(mask.bits) != 1200
    desk.crash()
    desk.open(folder=desk.folder)
    desk.until(lambda: desk.refine.state.mask is not None)
    assert desk.refine.state.mask.same_pixels(mask)


def test_where_masks_differ_is_looked_up_beside_the_gui_thread(open_desk, monkeypatch) -> None:
    """Of 12 megapixels it takes milliseconds, at every step of an amount."""
    threads, found = [], difference._found
    monkeypatch.setattr(difference, "_found", lambda *masks: threads.append(threading.get_ident()) or found(*masks))
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    draw(desk, 60, 40, 90, 70, modifier=SHIFT)
    desk.key(K.Key_G, SHIFT)
    tried(desk)
    for _ in range(2):
        desk.key(K.Key_BracketRight)
        tried(desk)
    desk.key(K.Key_Return)
    desk.key(K.Key_G, SHIFT)
    tried(desk)
    desk.key(K.Key_Escape)
    assert threads
    assert threading.get_ident() not in threads


def test_what_is_tried_out_is_made_ready_to_paint_beside_the_gui_thread(open_desk, monkeypatch) -> None:
    """Of 12 megapixels it takes a third of a frame."""
    prepared, prepare = [], mask_operations.prepare_level
    monkeypatch.setattr(
        mask_operations,
        "prepare_level",
        lambda mask, scale: prepared.append((mask, scale, threading.get_ident())) or prepare(mask, scale),
    )
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    desk.key(K.Key_G, SHIFT)
    tried(desk)
    ((mask, scale, thread),) = prepared
    assert mask is shown(desk)
    assert scale == desk.window.canvas.zoom * desk.window.canvas.devicePixelRatioF()
    assert thread != threading.get_ident()


def test_a_large_mask_is_not_copied_by_the_edits_of_it(open_desk, monkeypatch) -> None:
    """Into new memory that took most of a frame, now and then: the copy is made while the hand rests."""
    for module in (spare_copy, spare_copies):
        monkeypatch.setattr(module, "LEAST_BYTES", 500)
    desk = open_desk
    draw(desk, 40, 30, 80, 60)
    spare = desk.refine._loop.spare

    def ready():
        spare.wait()
        mask = desk.refine.state.mask
        assert spare_copy.has_spare(mask)
        return mask, spare_copy._Slot.spare.flat

    for step in range(3):
        before, flat = ready()
        draw(desk, 45 + 8 * step, 40, 50 + 8 * step, 50, modifier=SHIFT)
        assert np.shares_memory(desk.refine.state.mask.bits, flat)
        assert desk.refine.state.mask.area < before.area
    desk.key(K.Key_Z, CONTROL)
    assert ready()[0].same_pixels(before)
    desk.key(K.Key_Escape)
    spare.wait()
    assert spare_copy._Slot.spare is None, "no edit is expected"
