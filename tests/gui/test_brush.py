"""Brush and eraser: strokes over the mask in work, and objects painted by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt

from annotator.domain.brush import Stroke
from annotator.domain.errors import ModelError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Engine
from annotator.domain.project import Annotation, ImageRecord
from annotator.ui.threads import mask_encoder
from tests.fakes import fake_engine
from tests.gui.click_bench import NUCLEUS, RGB, Bench

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
BAR = Stroke(((90, 20), (110, 20)), 5)
"""Far from the discs of the clicks."""


def erased(x: float, y: float, *, radius_px: float = 4) -> Stroke:
    return Stroke(((x, y),), radius_px, is_positive=False)


def stored_object(mask: Mask) -> Annotation:
    return Annotation(7, 1, 2, 0, 0, 0, 0, 0, b"", 128, 96, score=0.8, model="old", origin="click").with_mask(mask)


def square() -> Mask:
    full = np.zeros((96, 128), bool)
    full[20:60, 20:60] = True
    return Mask.from_full(full)


# --- over the model's answer ------------------------------------------------------------------------------------------


def test_a_stroke_is_in_the_mask_that_is_kept(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    answered = bench.state.mask
    bench.controller.paint(BAR)
    bench.controller.paint(erased(40, 40))
    assert bench.state.mask.contains(100, 20)
    assert not bench.state.mask.contains(40, 40)
    bench.controller.accept()
    kept = bench.accepted[-1]
    assert kept.mask().contains(100, 20)
    assert not kept.mask().contains(40, 40)
    assert kept.mask().iou(answered) < 1
    assert kept.area == kept.mask().area
    assert [s["paint"] for s in kept.prompts["strokes"]] == [1, 0]
    assert (kept.origin, kept.model, kept.clicks) == ("click", "fake", 3)
    assert kept.score is None, "the model's score is of another mask"


def test_a_stroke_asks_the_model_nothing(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    asked = len(bench.segmenter.decodes)
    bench.controller.paint(BAR)
    assert not bench.state.is_waiting
    bench.controller.undo()
    assert not bench.state.mask.contains(100, 20)
    bench.controller.redo()
    assert bench.state.mask.contains(100, 20)
    bench.controller.remove_last()
    assert not bench.state.mask.contains(100, 20)
    assert len(bench.segmenter.decodes) == asked
    assert bench.state.prompts.points, "the click is older than the stroke"


def test_strokes_stay_while_clicks_go_on(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    bench.controller.paint(BAR)
    bench.click(50, 60)
    assert bench.state.mask.contains(100, 20), "also while the answer is awaited"
    bench.settle()
    assert bench.state.mask.contains(100, 20)
    assert bench.state.mask.contains(50, 60)
    assert bench.segmenter.decodes[-1].prompts.strokes == ()
    assert bench.segmenter.decodes[-1].continue_from is not None
    bench.controller.cycle(1)
    assert bench.state.mask.contains(100, 20)


def test_another_candidate_has_the_strokes_too(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    bench.controller.paint(BAR)
    areas = set()
    for _ in range(3):
        bench.controller.cycle(1)
        assert bench.state.mask.contains(100, 20)
        areas.add(bench.state.mask.area)
    assert len(areas) == 3


def test_a_click_that_contradicts_a_stroke_wins(bench: Bench) -> None:
    bench.click(40, 40)
    bench.controller.paint(BAR)
    bench.click(100, 20, positive=False)
    bench.settle()
    assert not bench.state.mask.contains(100, 20)
    bench.controller.undo()
    assert bench.state.mask.contains(100, 20)


def test_a_stroke_before_the_mask_is_there_counts(bench: Bench) -> None:
    bench.hold()
    bench.click(40, 40)
    bench.wait_at_decode()
    bench.controller.paint(BAR)
    bench.controller.accept()
    assert not bench.accepted
    assert bench.state.is_accept_pending
    bench.go()
    bench.settle()
    (kept,) = bench.accepted
    assert kept.mask().contains(100, 20)
    assert kept.mask().contains(40, 40)
    assert len(bench.segmenter.decodes) == 1


def test_a_large_painted_mask_is_encoded_beside_the_window(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_encoder, "LARGE_MASK_PIXELS", 50)
    bench.click(40, 40)
    bench.settle()
    bench.controller.paint(BAR)
    with bench.qtbot.waitSignal(bench.controller.accepted):
        bench.controller.accept()
        assert not bench.accepted
    assert bench.accepted[-1].mask().contains(100, 20)


def test_another_model_answers_under_the_same_strokes(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    bench.controller.paint(BAR)
    bench.client.ready.emit(bench.client.info)
    assert bench.state.is_waiting
    bench.settle()
    assert bench.state.mask.contains(100, 20)
    assert bench.state.mask.contains(40, 40)


# --- by hand alone ----------------------------------------------------------------------------------------------------


def test_an_object_can_be_painted_without_any_model(qtbot, make_client) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)
    bench.controller.open_image(ImageRecord(1, "a.png", width=128, height=96), RGB, "a")
    bench.controller.paint(BAR)
    assert bench.state.is_active
    assert not bench.state.is_waiting
    bench.time_s += 4
    bench.controller.accept()
    (kept,) = bench.accepted
    assert kept.mask().contains(100, 20)
    assert (kept.origin, kept.model, kept.score, kept.clicks, kept.seconds) == ("brush", "", None, 1, 4)


def test_an_object_that_was_erased_whole_is_not_stored(bench: Bench) -> None:
    bench.controller.paint(BAR)
    bench.controller.paint(replace(BAR, radius_px=9, is_positive=False))
    bench.controller.accept()
    assert not bench.accepted
    assert "empty" in bench.messages[-1]
    bench.controller.undo()
    bench.controller.accept()
    assert len(bench.accepted) == 1


def test_the_eraser_needs_something_to_erase(bench: Bench) -> None:
    bench.controller.paint(erased(40, 40))
    assert "nothing to erase" in bench.messages[-1]
    assert not bench.state.is_active


def test_a_stroke_beside_the_image_is_nothing(bench: Bench) -> None:
    bench.controller.paint(Stroke(((-50, -50),), 5))
    assert not bench.state.is_active


def test_an_accepted_object_is_corrected_by_hand(bench: Bench) -> None:
    old = stored_object(square())
    bench.controller.refine_annotation(old)
    bench.controller.paint(erased(30, 30, radius_px=6))
    assert not bench.state.mask.contains(30, 30)
    bench.controller.accept()
    (kept,) = bench.accepted
    assert (kept.id, kept.category_id, kept.model, kept.origin, kept.score) == (7, NUCLEUS.id, "old", "refine", None)
    assert 1600 - kept.area == pytest.approx(np.pi * 36, abs=15)
    assert not bench.segmenter.decodes


def test_a_painted_object_does_not_wait_for_a_model_that_fails(qtbot, make_client) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)

    def broken(_progress) -> Engine:
        raise ModelError("The model is missing.")

    bench.controller.open_image(ImageRecord(1, "a.png", width=128, height=96), RGB, "a")
    bench.client.start(fake_engine(bench.segmenter))
    bench.segmenter.encode_gate.close()
    bench.click(40, 40)
    bench.controller.accept()
    bench.controller.paint(BAR)
    bench.controller.accept()
    assert not bench.accepted, "the first waits, and the second behind it"
    bench.segmenter.encode_gate.open()
    bench.settle()
    assert [kept.origin for kept in bench.accepted] == ["click", "brush"]
    other = Bench(qtbot, make_client(), is_started=False)
    other.controller.open_image(ImageRecord(1, "a.png", width=128, height=96), RGB, "a")
    other.click(40, 40)
    other.client.start(broken)
    other.controller.accept()
    other.controller.paint(BAR)
    other.controller.accept()
    qtbot.waitUntil(lambda: len(other.accepted) == 1)
    assert other.accepted[0].origin == "brush"


def test_painted_work_can_be_kept_when_the_model_failed(bench: Bench) -> None:
    bench.segmenter.decode_errors = [ModelError("The memory is full.")]
    bench.click(40, 40)
    bench.settle()
    bench.controller.paint(erased(40, 40))
    bench.controller.accept()
    assert not bench.accepted, "nothing but an eraser was used"
    bench.controller.paint(BAR)
    bench.controller.accept()
    (kept,) = bench.accepted
    assert kept.mask().contains(100, 20)
    assert (kept.origin, kept.model) == ("brush", "")


def test_a_click_that_nobody_can_answer_does_not_lock_the_painting_in(qtbot, make_client) -> None:
    bench = Bench(qtbot, make_client(), is_started=False)
    bench.controller.open_image(ImageRecord(1, "a.png", width=128, height=96), RGB, "a")
    bench.click(40, 40)
    bench.controller.accept()
    assert "No model is loaded" in bench.messages[-1]
    bench.controller.paint(BAR)
    bench.controller.accept()
    assert [kept.origin for kept in bench.accepted] == ["brush"]


def test_strokes_of_an_accept_that_failed_are_in_work_again(bench: Bench) -> None:
    bench.hold()
    bench.segmenter.decode_errors = [ModelError("The memory is full.")]
    bench.click(40, 40)
    bench.wait_at_decode()
    bench.controller.paint(BAR)
    bench.controller.accept()
    bench.click(60, 80)
    bench.go()
    bench.qtbot.waitUntil(lambda: not bench.state.is_waiting)
    assert bench.state.prompts.strokes
    assert bench.state.mask.contains(100, 20)
    assert not bench.accepted


def test_a_switch_before_the_answer_survives_a_stroke(bench: Bench) -> None:
    bench.hold()
    bench.click(40, 40)
    bench.wait_at_decode()
    bench.controller.cycle(1)
    bench.controller.paint(BAR)
    bench.controller.paint(BAR)
    bench.controller.undo()
    bench.go()
    bench.settle()
    assert bench.state.candidate_index == (bench.state.candidates.best + 1) % 3


def test_going_back_paints_nothing_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.click(40, 40)
    bench.settle()
    for place in range(5):
        bench.controller.paint(Stroke(((80 + 5 * place, 20),), 5))
    masks = bench.state.mask
    monkeypatch.setattr("annotator.domain.drafts.draft.painted", lambda *_args: pytest.fail("painted again"))
    for _ in range(4):
        bench.controller.undo()
    for _ in range(4):
        bench.controller.redo()
    assert bench.state.mask is masks


# --- the draft that survives ------------------------------------------------------------------------------------------


def test_strokes_of_the_object_in_work_are_restored(bench: Bench) -> None:
    bench.click(40, 40)
    bench.controller.paint(BAR)
    bench.click(50, 44)
    bench.controller.paint(erased(40, 40))
    bench.settle()
    mask, draft = bench.state.mask, json.loads(json.dumps(bench.drafts[-1]))
    bench.controller.cancel()
    bench.controller.restore(draft)
    bench.settle()
    assert bench.state.mask.same_pixels(mask)
    bench.controller.undo()
    bench.controller.undo()
    assert len(bench.state.prompts.points) == 1
    assert len(bench.state.prompts.strokes) == 1


def test_the_candidate_under_the_strokes_is_restored(bench: Bench) -> None:
    bench.click(40, 40)
    bench.settle()
    bench.controller.cycle(1)
    bench.controller.paint(BAR)
    mask, draft = bench.state.mask, json.loads(json.dumps(bench.drafts[-1]))
    bench.controller.cancel()
    bench.controller.restore(draft)
    bench.settle()
    assert bench.state.mask.same_pixels(mask)


@pytest.mark.parametrize(
    "strokes",
    [
        [{"path": [1, 2], "radius_px": 4, "after": 1e999}],
        [{"path": [1, 2], "radius_px": 0}],
        ["x"],
        5,
        [{"path": "ab", "radius_px": 3}],
    ],
)
def test_damaged_strokes_do_not_bring_the_object_back_half(bench: Bench, strokes) -> None:
    bench.controller.restore({"points": [[40, 40, 1]], "box": None, "strokes": strokes})
    assert not bench.state.is_active
    assert "could not be restored" in bench.messages[-1]
