"""What is there is refined, and a draft brings the current object back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from annotator.domain.errors import ProjectError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, ImageRecord
from tests.gui.click_bench import CELL, NUCLEUS, RGB, Bench, is_at


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
