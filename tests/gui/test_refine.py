"""The click loop: what is sent, what is shown, what is accepted, whatever the order in which things arrive."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.domain.brush import Stroke
from annotator.domain.errors import ModelError, ProjectError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Engine
from annotator.domain.ports.requests import WarmRequest
from annotator.domain.project import Annotation, ImageRecord, Status
from annotator.domain.prompt import PointPrompt
from annotator.ui.threads import mask_encoder
from tests.fakes import FakeCache, FakeSegmenter, fake_engine
from tests.gui.click_bench import CELL, NUCLEUS, RGB, Bench, MakeClient, is_at

# --- one object -------------------------------------------------------------------------------------------------------


def test_a_click_shows_its_dot_at_once_and_its_mask_later(bench: Bench) -> None:
    bench.click(40, 30)
    assert bench.state.prompts.points == (PointPrompt(40, 30),)
    assert bench.state.is_waiting
    assert bench.state.mask is None
    bench.settle()
    assert len(bench.state.candidates.items) == 3
    assert is_at(bench.state.mask, 40, 30)
    assert not bench.state.is_stale


def test_two_hundred_clicks_need_few_decodes_and_end_at_the_last(bench: Bench) -> None:
    bench.hold()
    bench.click(10, 10)
    bench.wait_at_decode()
    for step in range(1, 200):
        bench.click(10 + step / 2, 40)
    bench.go()
    bench.settle()
    assert len(bench.segmenter.decodes) == 2
    assert len(bench.segmenter.decodes[-1].prompts.points) == 200
    assert is_at(bench.state.mask, 109.5, 40)


def test_an_older_answer_is_painted_while_the_newest_is_awaited(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(90, 60)
    bench.go()
    bench.qtbot.waitUntil(lambda: bench.state.candidates is not None)
    first = next(state for state in bench.states if state.candidates is not None)
    assert is_at(first.mask, 20, 20)
    assert first.is_waiting
    assert first.is_stale
    bench.settle()
    assert is_at(bench.state.mask, 90, 60)
    assert not bench.state.is_stale


def test_a_newer_click_keeps_the_older_mask_on_the_screen(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    bench.hold()
    bench.click(90, 60)
    assert is_at(bench.state.mask, 20, 20)
    assert bench.state.is_stale
    bench.go()
    bench.settle()


def test_logits_go_back_only_when_the_prompts_extend(bench: Bench) -> None:
    bench.click(40, 30)
    bench.settle()
    bench.click(44, 30)
    bench.settle()
    chosen = bench.segmenter.decodes[1].continue_from
    assert chosen is not None
    bench.controller.set_box(Box(10, 10, 60, 60))
    bench.settle()
    assert bench.segmenter.decodes[2].continue_from is None
    bench.click(50, 30)
    bench.settle()
    assert bench.segmenter.decodes[3].continue_from is not None
    bench.controller.remove_last()
    bench.click(70, 30)
    bench.settle()
    assert bench.segmenter.decodes[-1].prompts.points[-1].x == 70


def test_the_logits_of_the_candidate_in_use_go_back(bench: Bench) -> None:
    bench.click(40, 30)
    bench.settle()
    items = bench.state.candidates.items
    assert bench.state.candidate_index == 1
    bench.controller.cycle(1)
    assert bench.state.candidate_index == 2
    bench.click(44, 30)
    bench.settle()
    assert bench.segmenter.decodes[1].continue_from is items[2]


def test_logits_are_not_sent_while_the_step_before_is_unknown(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(30, 20)
    bench.click(40, 20)
    bench.go()
    bench.settle()
    assert [call.continue_from for call in bench.segmenter.decodes] == [None, None]


def test_cycling_wraps_and_choosing_picks(bench: Bench) -> None:
    bench.click(40, 30)
    bench.settle()
    areas = [item.mask.area for item in bench.state.candidates.items]
    seen = []
    for _ in range(3):
        bench.controller.cycle()
        seen.append(bench.state.mask.area)
    assert seen == [areas[2], areas[0], areas[1]]
    bench.controller.cycle(-1)
    assert bench.state.mask.area == areas[0]
    bench.controller.choose(2)
    assert bench.state.candidate_index == 2
    bench.controller.choose(7)
    assert bench.state.candidate_index == 2


def test_a_switch_before_the_answer_is_remembered(bench: Bench) -> None:
    bench.hold()
    bench.click(40, 30)
    bench.controller.cycle()
    bench.go()
    bench.settle()
    assert bench.state.candidate_index == 2


# --- undo, redo, removal ----------------------------------------------------------------------------------------------


def test_undo_and_redo_need_no_decode(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    first = bench.state.mask
    bench.controller.cycle()
    switched = bench.state.mask
    bench.click(90, 60)
    bench.settle()
    second = bench.state.mask
    bench.hold()
    assert bench.controller.undo()
    assert bench.state.mask is switched
    assert bench.state.mask is not first
    assert not bench.state.is_waiting
    assert bench.controller.redo()
    assert bench.state.mask is second
    assert bench.controller.undo()
    assert bench.controller.undo()
    assert not bench.state.is_active
    assert bench.state.mask is None
    assert not bench.controller.undo()
    assert bench.controller.redo()
    assert bench.state.mask is switched
    assert len(bench.segmenter.decodes) == 2
    bench.go()


def test_an_answer_to_an_undone_click_is_not_shown_but_kept_for_redo(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    bench.wait_at_decode()
    bench.hold()
    bench.click(90, 60)
    bench.wait_at_decode()
    assert bench.controller.undo()
    bench.states.clear()
    with bench.qtbot.waitSignal(bench.client.decoded):
        bench.go()
    assert all(is_at(state.mask, 20, 20) for state in bench.states)
    assert bench.controller.redo()
    assert not bench.state.is_waiting
    assert is_at(bench.state.mask, 90, 60)
    assert len(bench.segmenter.decodes) == 2


def test_redo_to_a_step_that_was_never_answered_asks(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(50, 20)
    bench.click(80, 60)
    bench.controller.undo()
    assert bench.state.is_waiting
    bench.go()
    bench.settle()
    assert is_at(bench.state.mask, 50, 20)
    bench.controller.redo()
    bench.settle()
    assert is_at(bench.state.mask, 80, 60)


def test_a_new_branch_after_undo_forgets_the_old_one(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    bench.click(50, 20)
    bench.settle()
    bench.controller.undo()
    first = bench.state.candidates.items[bench.state.candidate_index]
    bench.click(80, 60)
    bench.settle()
    assert bench.segmenter.decodes[-1].continue_from is first
    assert not bench.controller.redo()


def test_removing_the_last_prompt_is_instant_and_can_be_undone(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    first = bench.state.mask
    bench.click(90, 60)
    bench.settle()
    bench.controller.remove_last()
    assert bench.state.mask is first
    assert len(bench.segmenter.decodes) == 2
    assert bench.controller.undo()
    assert is_at(bench.state.mask, 90, 60)
    bench.controller.redo()
    bench.controller.remove_last()
    assert not bench.state.is_active
    assert bench.state.mask is None
    assert bench.controller.undo()
    assert bench.state.mask is first


def test_after_a_removal_unknown_prompts_are_asked_without_logits(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(50, 20)
    bench.click(90, 60)
    bench.controller.remove_last()
    bench.go()
    bench.settle()
    assert bench.segmenter.decodes[-1].continue_from is None
    assert len(bench.segmenter.decodes[-1].prompts.points) == 2
    assert is_at(bench.state.mask, 50, 20)


def test_cancel_drops_the_object_and_its_answer(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    assert bench.controller.cancel()
    assert not bench.state.is_active
    with bench.qtbot.waitSignal(bench.client.decoded):
        bench.go()
    assert bench.state.mask is None
    assert not bench.controller.cancel()
    assert not bench.controller.undo()


# --- accepting --------------------------------------------------------------------------------------------------------


def test_accept_records_all_that_was_spent(bench: Bench) -> None:
    bench.click(40, 30)
    bench.settle()
    bench.time_s += 2.5
    bench.click(44, 34, positive=False)
    bench.settle()
    mask = bench.state.mask
    bench.time_s += 1.0
    bench.controller.accept()
    (annotation,) = bench.accepted
    assert annotation == bench.sink.annotations[0]
    assert annotation.mask().same_pixels(mask)
    assert (annotation.image_id, annotation.category_id, annotation.origin) == (1, 1, "click")
    assert (annotation.model, annotation.model_sha256) == ("fake", "sha-of-fake")
    assert (annotation.clicks, annotation.seconds, annotation.score) == (2, 3.5, 0.9)
    assert annotation.prompts["points"] == [[40, 30, 1], [44, 34, 0]]
    assert annotation.created_at == "2026-01-01"
    assert not bench.state.is_active
    assert bench.sink.edits[0].changes[1].after.status is Status.IN_PROGRESS


def test_the_second_accept_does_not_change_the_image_again(bench: Bench) -> None:
    for x in (30, 90):
        bench.click(x, 40)
        bench.settle()
        bench.controller.accept()
    assert [len(edit.changes) for edit in bench.sink.edits] == [2, 1]
    assert bench.accepted[0].id != bench.accepted[1].id


def test_a_status_changed_elsewhere_is_known_at_accept(bench: Bench) -> None:
    bench.controller.update_image(replace(bench.image, status=Status.DONE))
    bench.click(30, 40)
    bench.settle()
    bench.controller.accept()
    assert len(bench.sink.edits[0].changes) == 1


def test_accept_while_waiting_takes_exactly_the_last_clicks_answer(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(90, 60)
    bench.controller.accept()
    assert bench.state.is_accept_pending
    assert not bench.controller.can_leave()
    assert bench.accepted == []
    bench.go()
    bench.qtbot.waitUntil(lambda: bool(bench.accepted))
    assert is_at(bench.accepted[0].mask(), 90, 60)
    assert len(bench.accepted) == 1
    assert not bench.state.is_active
    assert bench.controller.can_leave()


def test_clicks_after_a_waiting_accept_belong_to_the_next_object(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.controller.set_category(NUCLEUS)
    bench.click(90, 60)
    assert [p.x for p in bench.state.prompts.points] == [90]
    bench.controller.accept()
    bench.click(60, 40)
    assert bench.state.parked == 2
    bench.go()
    bench.settle()
    assert [a.category_id for a in bench.accepted] == [1, 2]
    assert is_at(bench.accepted[0].mask(), 20, 20)
    assert is_at(bench.accepted[1].mask(), 90, 60)
    assert is_at(bench.state.mask, 60, 40)
    assert bench.state.is_active


def test_a_large_mask_is_encoded_beside_and_stored_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are made off the GUI thread; taking the accept back and using another candidate gets that one's."""
    threads: list[int] = []
    plain = Mask.rle

    def spied(mask: Mask) -> bytes:
        threads.append(threading.get_ident())
        return plain(mask)

    monkeypatch.setattr(mask_encoder, "LARGE_MASK_PIXELS", 10)
    monkeypatch.setattr(Mask, "rle", spied)
    bench.click(40, 30)
    bench.settle()
    bench.controller.accept()
    assert bench.controller.undo()
    bench.controller.cycle()
    wanted = bench.state.mask
    bench.controller.accept()
    assert bench.accepted == []
    assert not bench.controller.can_leave()
    bench.qtbot.waitUntil(lambda: bool(bench.accepted))
    assert bench.accepted[0].mask().same_pixels(wanted)
    assert bench.accepted[0].area == wanted.area
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_cancel_drops_a_waiting_accept(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.controller.accept()
    assert bench.controller.cancel()
    assert bench.controller.can_leave()
    with bench.qtbot.waitSignal(bench.client.decoded):
        bench.go()
    assert bench.accepted == []


def test_undo_takes_back_a_waiting_accept(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    assert bench.controller.undo()
    assert not bench.state.is_accept_pending
    assert bench.state.is_active
    bench.go()
    bench.settle()
    assert bench.accepted == []
    assert is_at(bench.state.mask, 20, 20)


def test_accepting_twice_stores_once(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.controller.accept()
    bench.go()
    bench.settle()
    assert len(bench.accepted) == 1


def test_after_a_reset_nothing_of_the_old_project_is_stored(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.controller.accept()
    bench.controller.reset()
    assert bench.controller.can_leave()
    assert not bench.state.is_active
    with bench.qtbot.waitSignal(bench.client.decoded):
        bench.go()
    assert bench.sink.edits == []


def test_when_idle_waits_for_the_mask(bench: Bench) -> None:
    order: list[str] = []
    bench.controller.accepted.connect(lambda annotation, change: order.append("accepted"))
    bench.controller.when_idle(lambda: order.append("at once"))
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.controller.when_idle(lambda: order.append("left"))
    assert order == ["at once"]
    bench.go()
    bench.qtbot.waitUntil(lambda: len(order) == 3)
    assert order == ["at once", "accepted", "left"]


def test_an_accept_survives_an_image_switch_and_stays_with_its_image(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.click(90, 60)
    bench.controller.accept()
    bench.controller.open_image(ImageRecord(2, "b.png"), RGB.copy(), "b")
    bench.click(60, 40)
    bench.go()
    bench.qtbot.waitUntil(lambda: bench.state.mask is not None and bool(bench.accepted))
    assert bench.accepted[0].image_id == 1
    assert is_at(bench.accepted[0].mask(), 90, 60)
    assert is_at(bench.state.mask, 60, 40)
    assert bench.segmenter.decodes[-1].image_key == "b"


def test_an_answer_for_the_image_before_is_never_shown(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.controller.open_image(ImageRecord(2, "b.png"), RGB.copy(), "b")
    bench.states.clear()
    with bench.qtbot.waitSignals([bench.client.decoded, bench.client.encoded]):
        bench.go()
    assert all(state.mask is None and not state.is_waiting for state in bench.states)
    bench.click(60, 40)
    bench.controller.accept()
    bench.qtbot.waitUntil(lambda: bool(bench.accepted))
    assert bench.accepted[0].image_id == 2


def test_nothing_is_accepted_without_class_prompts_or_pixels(bench: Bench) -> None:
    bench.controller.accept()
    assert bench.messages == ["Click an object first."]
    bench.controller.set_category(None)
    bench.click(20, 20)
    bench.settle()
    bench.controller.accept()
    assert "class" in bench.messages[-1]
    assert bench.state.is_active
    bench.controller.cancel()
    bench.controller.set_category(CELL)
    bench.click(20, 20, positive=False)
    bench.settle()
    assert bench.state.mask.is_empty
    bench.controller.accept()
    assert "empty" in bench.messages[-1]
    assert bench.state.is_active
    assert not bench.state.is_accept_pending
    assert bench.sink.edits == []


def test_a_full_disk_loses_neither_the_object_nor_the_session(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    mask = bench.state.mask
    bench.sink.errors.append(ProjectError("The disk is full.", "Free some space."))
    left: list[bool] = []
    bench.controller.accept()
    (refusal,) = bench.refused
    assert refusal[0] == "The disk is full. Free some space."
    assert bench.state.mask is mask
    assert bench.accepted == []
    bench.controller.when_idle(lambda: left.append(True))
    bench.controller.accept(epoch=refusal[1])
    assert bench.accepted[0].mask().same_pixels(mask)
    assert left == [True]
    bench.click(90, 60)
    bench.settle()
    bench.controller.accept(epoch=refusal[1])
    assert len(bench.accepted) == 1, "another object is in work now"


def test_a_full_disk_while_the_next_object_is_clicked_keeps_the_accepted_one(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.click(90, 60)
    bench.sink.errors.append(ProjectError("The disk is full."))
    bench.go()
    bench.qtbot.waitUntil(lambda: bool(bench.refused))
    assert is_at(bench.state.mask, 20, 20)
    bench.controller.accept()
    assert is_at(bench.accepted[0].mask(), 20, 20)


# --- bad prompts, failures, models ------------------------------------------------------------------------------------


def test_an_accepted_object_whose_mask_comes_empty_does_not_take_the_place_of_the_next(bench: Bench) -> None:
    """The clicks on the next object were dropped for it."""
    bench.hold()
    bench.click(20, 20)
    bench.controller.paint(Stroke(((20, 20),), 40, is_positive=False))
    bench.controller.accept()
    bench.click(80, 50)
    bench.go()
    bench.settle()
    assert [(p.x, p.y) for p in bench.state.prompts.points] == [(80, 50)]
    assert is_at(bench.state.mask, 80, 50)
    assert "came empty, so it was not stored" in bench.messages[-1]
    bench.controller.accept()
    assert len(bench.accepted) == 1


def test_prompts_outside_are_pulled_in_and_senseless_ones_ignored(bench: Bench) -> None:
    bench.click(-50, 1e9)
    assert bench.state.prompts.points == (PointPrompt(0, 96),)
    bench.click(math.nan, 3)
    bench.click(math.inf, 3)
    assert len(bench.state.prompts.points) == 1
    assert len(bench.messages) == 2
    bench.controller.set_box(Box(-10, -10, 500, 40))
    assert bench.state.prompts.box == Box(0, 0, 128, 40)
    for box in (Box(5, 5, 5, 60), Box(200, 0, 300, 50), Box(math.nan, 0, 5, 5)):
        bench.controller.set_box(box)
    assert bench.state.prompts.box == Box(0, 0, 128, 40)
    assert len(bench.messages) == 5
    bench.settle()


def test_without_an_image_nothing_happens(qtbot: QtBot, make_client: MakeClient) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)
    bench.click(3, 3)
    bench.controller.set_box(Box(0, 0, 5, 5))
    for act in (bench.controller.remove_last, bench.controller.accept, bench.controller.close_image):
        act()
    assert not bench.controller.undo()
    assert not bench.controller.redo()
    assert not bench.controller.cancel()
    assert bench.controller.can_leave()


def test_a_failed_decode_keeps_the_session_usable(bench: Bench) -> None:
    bench.segmenter.decode_errors.append(PromptError("no"))
    with bench.qtbot.waitSignal(bench.client.failed):
        bench.click(20, 20)
    assert not bench.state.is_waiting
    bench.controller.accept()
    assert "no mask" in bench.messages[-1]
    bench.click(30, 20)
    bench.settle()
    bench.controller.accept()
    assert is_at(bench.accepted[0].mask(), 30, 20)


def test_a_failed_decode_takes_a_waiting_accept_back(bench: Bench) -> None:
    left: list[bool] = []
    bench.segmenter.decode_errors.append(PromptError("no"))
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.controller.when_idle(lambda: left.append(True))
    with bench.qtbot.waitSignal(bench.client.failed):
        bench.go()
    assert bench.controller.can_leave()
    assert bench.state.prompts.points == (PointPrompt(20, 20),)
    assert left == []
    assert bench.sink.edits == []


def test_a_failed_decode_of_a_parked_object_is_told(bench: Bench) -> None:
    bench.segmenter.decode_errors.append(PromptError("no"))
    bench.hold()
    bench.click(20, 20)
    bench.controller.accept()
    bench.click(90, 60)
    bench.go()
    bench.settle()
    assert "could not be accepted" in bench.messages[-1]
    assert is_at(bench.state.mask, 90, 60)


def test_an_image_that_cannot_be_encoded_is_not_busy_for_ever(bench: Bench) -> None:
    bench.segmenter.encode_errors.append(ModelError("no"))
    with bench.qtbot.waitSignal(bench.client.failed):
        bench.controller.open_image(ImageRecord(2, "b.png"), RGB.copy(), "b")
    assert bench.busy[-1] is False


def test_clicks_wait_for_the_model_and_are_answered(qtbot: QtBot, make_client: MakeClient) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)
    bench.controller.open_image(bench.image, RGB, "a")
    bench.click(20, 20)
    bench.click(50, 20)
    assert bench.busy == [True]
    bench.client.start(fake_engine(bench.segmenter))
    bench.controller.accept()
    bench.qtbot.waitUntil(lambda: bool(bench.accepted))
    assert is_at(bench.accepted[0].mask(), 50, 20)
    assert len(bench.segmenter.decodes) == 1
    bench.qtbot.waitUntil(lambda: bench.busy[-1] is False)


def test_a_model_that_cannot_be_loaded_leaves_no_accept_hanging(qtbot: QtBot, make_client: MakeClient) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)

    def broken(report: Callable[[str], None]) -> Engine:
        raise ModelError("no weights")

    bench.controller.open_image(bench.image, RGB, "a")
    bench.click(20, 20)
    with qtbot.waitSignal(bench.client.failed):
        bench.client.start(broken)
        bench.controller.accept()
    assert bench.controller.can_leave()
    assert bench.state.prompts.points == (PointPrompt(20, 20),)
    bench.controller.accept()
    assert "No model" in bench.messages[-1]
    bench.client.restart(fake_engine(bench.segmenter))
    bench.settle()
    bench.controller.accept()
    assert len(bench.accepted) == 1


def test_another_model_answers_the_same_prompts_again(bench: Bench) -> None:
    bench.click(20, 20)
    bench.settle()
    other = FakeSegmenter("other", radius_px=20)
    small = bench.state.mask.area
    with bench.qtbot.waitSignals([bench.client.ready, bench.client.encoded, bench.client.decoded]):
        bench.client.restart(fake_engine(other, FakeCache()))
    bench.settle()
    assert bench.state.mask.area > small
    assert other.decodes[0].continue_from is None
    bench.controller.accept()
    assert bench.accepted[0].model == "other"


# --- refining what is there, drafts -----------------------------------------------------------------------------------


def accepted_at(bench: Bench, x: float, y: float) -> Annotation:
    bench.click(x, y)
    bench.settle()
    bench.time_s += 2
    bench.controller.accept()
    return bench.accepted[-1]


def test_refining_replaces_the_object_and_keeps_its_id(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.set_category(NUCLEUS)
    bench.controller.refine_annotation(old)
    assert bench.state.origin_id == old.id
    assert bench.state.mask.same_pixels(old.mask())
    assert not bench.state.is_waiting
    assert len(bench.segmenter.decodes) == 1
    bench.click(60, 40)
    assert bench.state.mask.same_pixels(old.mask())
    bench.settle()
    assert bench.segmenter.decodes[-1].prompts.base_mask.same_pixels(old.mask())
    bench.time_s += 3
    bench.controller.accept()
    new = bench.accepted[-1]
    assert (new.id, new.category_id, new.origin) == (old.id, CELL.id, "refine")
    assert (new.clicks, new.seconds) == (2, 5.0)
    assert bench.sink.edits[-1].changes[0].before == old
    assert bench.state.origin_id is None


def test_a_class_picked_while_refining_is_used(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(old)
    assert bench.state.category_id == CELL.id
    bench.controller.set_category(NUCLEUS)
    assert bench.state.category_id == CELL.id, "its own, whatever the next object gets"
    bench.controller.pick_category(NUCLEUS)
    assert bench.state.category_id == NUCLEUS.id
    bench.click(60, 40)
    bench.settle()
    bench.controller.accept()
    assert bench.accepted[-1].category_id == NUCLEUS.id


def test_a_class_picked_without_a_click_is_kept_too(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(old)
    bench.controller.pick_category(NUCLEUS)
    bench.controller.accept()
    (change,) = bench.sink.edits[-1].changes
    assert (change.before, change.after.category_id) == (old, NUCLEUS.id)
    assert change.after.mask().same_pixels(old.mask())
    assert not bench.state.is_active
    assert bench.messages == ["The class was changed; the mask is as it was."]


def test_accepting_an_untouched_refinement_changes_nothing(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(old)
    bench.controller.accept()
    assert len(bench.sink.edits) == 1
    assert not bench.state.is_active
    assert bench.messages == ["Nothing was changed."]


def test_undo_while_refining_ends_at_the_old_mask(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(old)
    bench.click(60, 40)
    bench.settle()
    assert bench.controller.undo()
    assert bench.state.mask.same_pixels(old.mask())
    assert not bench.controller.undo()
    assert bench.state.origin_id == old.id


def test_an_object_of_another_size_or_image_is_not_refined(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(replace(old, image_id=9))
    assert not bench.state.is_active
    small = Mask.from_full(np.ones((4, 4), bool))
    bench.controller.refine_annotation(old.with_mask(small))
    assert not bench.state.is_active
    assert "size" in bench.messages[-1]


def test_a_draft_brings_the_object_in_work_back(bench: Bench) -> None:
    bench.controller.set_box(Box(10, 10, 60, 50))
    bench.click(30, 30)
    bench.click(50, 30, positive=False)
    bench.settle()
    draft, mask = bench.drafts[-1], bench.state.mask
    assert draft == {"points": [[30, 30, 1], [50, 30, 0]], "box": [10, 10, 60, 50], "from_mask": False}
    bench.controller.cancel()
    assert bench.drafts[-1] is None
    count = len(bench.segmenter.decodes)
    bench.controller.restore(draft)
    bench.settle()
    assert bench.state.mask.same_pixels(mask)
    assert len(bench.segmenter.decodes) == count + 1
    assert bench.controller.undo()
    assert len(bench.state.prompts.points) == 1
    bench.settle()


def test_a_draft_of_a_refinement_names_its_object(bench: Bench) -> None:
    old = accepted_at(bench, 40, 40)
    bench.controller.refine_annotation(old)
    bench.click(60, 40)
    draft = bench.drafts[-1]
    assert draft["annotation_id"] == old.id
    bench.controller.cancel()
    bench.controller.restore(draft, annotations=[old])
    bench.settle()
    bench.controller.accept()
    assert bench.accepted[-1].id == old.id


@pytest.mark.parametrize(
    "draft",
    [{"points": [[1]]}, {"points": 7}, {"points": [["x", 2, 1]]}, {"box": [1, 2]}, {"points": [[math.nan, 1, 1]]}],
)
def test_a_damaged_draft_is_told_and_harmless(bench: Bench, draft: dict) -> None:
    bench.controller.restore(draft)
    assert bench.messages == ["The current object could not be restored."]
    assert not bench.state.is_active


def test_a_store_failure_on_an_image_that_was_left_is_told(bench: Bench) -> None:
    bench.hold()
    bench.click(20, 20)
    bench.wait_at_decode()
    bench.controller.accept()
    bench.controller.open_image(ImageRecord(2, "b.png"), RGB.copy(), "b")
    bench.sink.errors.append(ProjectError("The disk is full."))
    bench.go()
    bench.qtbot.waitUntil(lambda: bool(bench.messages))
    assert "a.png" in bench.messages[0]
    assert bench.refused == [("The disk is full.", 0)], "nothing of it is there to try again"
    bench.click(60, 40)
    bench.settle()
    assert is_at(bench.state.mask, 60, 40)


def test_opening_an_image_with_nothing_in_work_keeps_the_stored_draft(bench: Bench) -> None:
    bench.controller.open_image(ImageRecord(2, "b.png"), RGB.copy(), "b")
    assert bench.drafts == []
    with bench.qtbot.waitSignal(bench.client.encoded):
        bench.controller.asides.prefetch("c", RGB.copy())
    bench.qtbot.waitUntil(lambda: "c" in bench.segmenter.encodes)


# --- anything, in any order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_order_every_accepted_mask_is_its_own_last_clicks(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    controller, gate = bench.controller, bench.segmenter.decode_gate
    images = iter(range(2, 1000))

    def refine_one() -> None:
        if bench.accepted:
            controller.refine_annotation(bench.accepted[-1])

    def open_next() -> None:
        number = next(images)
        controller.open_image(ImageRecord(number, f"{number}.png"), RGB, f"image {number}")

    actions: list[tuple[int, Callable[[], object]]] = [
        (40, lambda: bench.click(chance.uniform(0, 128), chance.uniform(0, 96), positive=chance.random() < 0.9)),
        (5, lambda: controller.set_box(Box(5, 5, chance.uniform(20, 120), chance.uniform(20, 90)))),
        (8, controller.undo),
        (6, controller.redo),
        (6, controller.remove_last),
        (3, controller.cancel),
        (14, controller.accept),
        (5, controller.cycle),
        (4, gate.close),
        (8, gate.open),
        (3, open_next),
        (4, refine_one),
        (2, lambda: bench.segmenter.decode_errors.append(PromptError("planted"))),
        (30, QApplication.processEvents),
    ]
    weights = [weight for weight, _ in actions]
    for _ in range(250):
        chance.choices(actions, weights)[0][1]()
    gate.open()
    bench.qtbot.waitUntil(lambda: bench.busy[-1] is False and controller.can_leave(), timeout=20_000)
    assert bench.accepted
    for annotation in bench.accepted:
        positive = [(x, y) for x, y, sign in annotation.prompts["points"] if sign]
        if positive:
            x, y, w, h = annotation.mask().bbox_xywh
            assert x - 3 <= positive[-1][0] <= x + w + 3
            assert y - 3 <= positive[-1][1] <= y + h + 3


def test_the_engine_gets_ready_only_for_an_objects_first_click(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[WarmRequest] = []
    monkeypatch.setattr(bench.client, "submit_warm", asked.append)
    bench.controller.asides.get_ready(10.0, 20.0)
    assert [(r.image_key, r.x, r.y) for r in asked] == [("a", 10.0, 20.0)]
    bench.controller.add_point(PointPrompt(30.0, 30.0))
    bench.controller.asides.get_ready(11.0, 20.0)
    bench.controller.close_image()
    bench.controller.asides.get_ready(12.0, 20.0)
    assert len(asked) == 1
