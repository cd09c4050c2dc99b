"""The click loop: what is sent, what is shown, whatever the order in which things arrive."""

from __future__ import annotations

import pytest

from annotator.domain.geometry import Box
from annotator.domain.ports.requests import WarmRequest
from annotator.domain.prompt import PointPrompt
from tests.gui.click_bench import Bench, is_at

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
