"""Accepting in the click loop: every mask that is stored is its own last click's."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtWidgets import QApplication

from annotator.domain.brush import Stroke
from annotator.domain.errors import ProjectError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.project import ImageRecord, Status
from annotator.ui.threads import mask_encoder
from tests.gui.click_bench import CELL, NUCLEUS, RGB, Bench, is_at

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
