"""The click loop with senseless prompts, failed answers and models that do not come."""

from __future__ import annotations

import math
from collections.abc import Callable

from pytestqt.qtbot import QtBot

from annotator.domain.errors import ModelError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Engine
from annotator.domain.project import ImageRecord
from annotator.domain.prompt import PointPrompt
from tests.fakes import FakeCache, FakeSegmenter, fake_engine
from tests.gui.click_bench import RGB, Bench, MakeClient, is_at


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
