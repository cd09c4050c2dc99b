"""The engine thread: newest wins, urgent first, nothing lost, and the GUI thread never computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from annotator.domain.errors import ModelError, PromptError
from annotator.domain.ports.engine import Engine, ModelInfo
from annotator.domain.ports.requests import (
    LOAD_EPOCH,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
)
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.session import BUG_MESSAGE
from annotator.ui.threads.worker import EngineClient
from tests.fakes import FakeCache, FakeSegmenter, fake_engine

MakeClient = Callable[..., EngineClient]
RGB = np.zeros((48, 64, 3), np.uint8)


class Heard(QObject):
    """Everything a client said, in order, with the thread that it arrived on."""

    def __init__(self, client: EngineClient) -> None:
        super().__init__()
        self.loading: list[str] = []
        self.started: list[str] = []
        self.encoded: list[EncodeResult] = []
        self.decoded: list[DecodeResult] = []
        self.failed: list[EngineFailure] = []
        self.thread_ids: set[int] = set()
        client.loading.connect(self._note(self.loading))
        client.encode_started.connect(self._note(self.started))
        client.encoded.connect(self._note(self.encoded))
        client.decoded.connect(self._note(self.decoded))
        client.failed.connect(self._note(self.failed))

    def _note(self, into: list) -> Callable[[object], None]:
        def note(value: object) -> None:
            self.thread_ids.add(threading.get_ident())
            into.append(value)

        return note


def decode(generation: int, *, key: str = "a", epoch: int = 1, x: float = 20.0) -> DecodeRequest:
    return DecodeRequest(epoch, generation, key, RGB, Prompts((PointPrompt(x, 20.0),)))


def encode(key: str = "a", *, epoch: int = 1) -> EncodeRequest:
    return EncodeRequest(epoch, key, RGB)


def started(make_client: MakeClient, qtbot: QtBot, segmenter: FakeSegmenter, **keywords: int) -> EngineClient:
    client = make_client(**keywords)
    with qtbot.waitSignal(client.ready, timeout=20_000):
        client.start(fake_engine(segmenter))
    return client


def test_the_factory_runs_on_the_engine_thread_and_reports(qtbot: QtBot, make_client: MakeClient) -> None:
    client, segmenter = make_client(), FakeSegmenter()
    heard = Heard(client)
    with qtbot.waitSignal(client.ready) as ready:
        client.start(fake_engine(segmenter))
    assert ready.args == [segmenter.info]
    assert client.info == segmenter.info
    assert heard.loading == ["loading fake"]
    assert segmenter.thread_ids.isdisjoint({threading.get_ident()})
    assert heard.thread_ids == {threading.get_ident()}


def test_the_gui_stays_alive_while_the_engine_loads(qtbot: QtBot, make_client: MakeClient) -> None:
    client, segmenter, gate = make_client(), FakeSegmenter(), threading.Event()
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1) or (len(ticks) >= 5 and gate.set()))

    def slow(report: Callable[[str], None]) -> Engine:
        assert gate.wait(20)
        return Engine(segmenter, FakeCache())

    timer.start(1)
    with qtbot.waitSignal(client.ready):
        client.start(slow)
    timer.stop()
    assert len(ticks) >= 5


def test_requests_before_the_engine_is_there_are_answered(qtbot: QtBot, make_client: MakeClient) -> None:
    client, segmenter = make_client(), FakeSegmenter()
    client.submit_encode(encode())
    client.submit_decode(decode(1))
    with qtbot.waitSignals([client.decoded, client.encoded]):
        client.start(fake_engine(segmenter))
    assert segmenter.encodes == ["a"]


def test_many_clicks_few_decodes_and_the_last_is_answered(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.decode_gate.close()
    client.submit_decode(decode(1))
    segmenter.decode_gate.wait_for_arrival()
    for generation in range(2, 202):
        client.submit_decode(decode(generation, x=generation / 4))
    segmenter.decode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.decoded) and heard.decoded[-1].generation == 201)
    assert [result.generation for result in heard.decoded] == [1, 201]
    assert len(segmenter.decodes) == 2


def test_clicks_during_the_first_encode_are_answered_once(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_decode(decode(1))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_decode(decode(2))
    client.submit_decode(decode(3))
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.decoded))
    assert [result.generation for result in heard.decoded] == [3]
    assert segmenter.encodes == ["a"]
    assert segmenter.cancelled == []


def test_an_encode_of_the_same_image_is_not_cancelled_by_a_click(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_encode(encode("a"))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_decode(decode(1, key="a"))
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.decoded))
    assert segmenter.encodes == ["a"]
    assert heard.started == ["a"]
    assert heard.decoded[0].was_cached
    assert not heard.encoded[0].was_cached


def test_a_prefetch_gives_way_to_a_click_and_comes_back(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_encode(encode("a"))
    qtbot.waitUntil(lambda: len(heard.encoded) == 1)
    segmenter.encode_gate.close()
    client.submit_prefetch(encode("b"))
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.wait_for_arrival()
    client.submit_decode(decode(1, key="a"))
    qtbot.waitUntil(lambda: bool(heard.decoded))
    assert segmenter.cancelled == ["b"]
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: len(heard.encoded) == 2)
    assert heard.encoded[1].image_key == "b"
    assert heard.encoded[1].is_prefetch
    assert heard.failed == []


def test_a_prefetch_of_the_image_that_is_opened_goes_on(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_prefetch(encode("b"))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_encode(encode("b", epoch=2))
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: len(heard.encoded) == 2)
    assert segmenter.encodes == ["b"]
    assert heard.encoded[1] == EncodeResult(2, "b", 12.5, True)


def test_a_prefetch_waits_until_the_engine_was_idle(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter, prefetch_idle_ms=30)
    heard = Heard(client)
    client.submit_encode(encode("a"))
    client.submit_prefetch(encode("b"))
    qtbot.waitUntil(lambda: len(heard.encoded) == 2)
    assert [result.image_key for result in heard.encoded] == ["a", "b"]


def test_leaving_an_image_cancels_its_encode(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_encode(encode("a", epoch=1))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_encode(encode("b", epoch=2))
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.encoded))
    assert segmenter.cancelled == ["a"]
    assert segmenter.encodes == ["a", "b"]
    assert [result.image_key for result in heard.encoded] == ["b"]
    assert heard.failed == []


def test_an_older_images_click_does_not_end_the_current_encode_for_good(qtbot: QtBot, make_client: MakeClient) -> None:
    """An accepted object of the image before still needs its mask; then the current image's encode goes on."""
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_encode(encode("a", epoch=1))
    qtbot.waitUntil(lambda: len(heard.encoded) == 1)
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.close()
    client.submit_encode(encode("b", epoch=5))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_decode(decode(1, key="a", epoch=2))
    qtbot.waitUntil(lambda: bool(heard.decoded))
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: len(heard.encoded) == 2)
    assert heard.encoded[1].image_key == "b"


def test_a_click_that_nobody_wants_any_more_ends_its_encode(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_decode(decode(1, key="a", epoch=1))
    segmenter.encode_gate.wait_for_arrival()
    client.drop_decodes(2)
    client.submit_encode(encode("b", epoch=2))
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.encoded))
    assert segmenter.cancelled == ["a"]
    assert heard.decoded == []


def test_a_click_that_is_wanted_keeps_its_encode_through_an_image_switch(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_decode(decode(1, key="a", epoch=1))
    segmenter.encode_gate.wait_for_arrival()
    client.submit_encode(encode("b", epoch=2))
    segmenter.encode_gate.open()
    qtbot.waitUntil(lambda: bool(heard.encoded))
    assert segmenter.cancelled == []
    assert heard.decoded[0].image_key == "a"


def test_clear_forgets_what_waits(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.decode_gate.close()
    client.submit_decode(decode(1))
    segmenter.decode_gate.wait_for_arrival()
    client.submit_decode(decode(2))
    client.submit_encode(encode("b"))
    client.clear()
    segmenter.decode_gate.open()
    client.submit_encode(encode("c"))
    qtbot.waitUntil(lambda: bool(heard.encoded))
    assert [result.generation for result in heard.decoded] == [1]
    assert [result.image_key for result in heard.encoded] == ["c"]


def test_a_users_error_is_told_and_the_thread_goes_on(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    segmenter.decode_errors.append(PromptError("That prompt is no good.", "Click again."))
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_decode(decode(7))
    qtbot.waitUntil(lambda: bool(heard.failed))
    assert heard.failed == [EngineFailure(1, 7, "That prompt is no good. Click again.")]
    client.submit_decode(decode(8))
    qtbot.waitUntil(lambda: bool(heard.decoded))
    assert heard.decoded[0].generation == 8


def test_a_bug_of_ours_carries_its_traceback_and_the_thread_goes_on(
    qtbot: QtBot, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter = FakeSegmenter()
    segmenter.encode_errors.append(ZeroDivisionError("planted"))
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_encode(encode())
    qtbot.waitUntil(lambda: bool(heard.failed))
    failure = heard.failed[0]
    assert (failure.epoch, failure.generation) == (1, 0)
    assert failure.message.startswith(BUG_MESSAGE)
    assert "planted" in failure.details
    assert "Traceback" in failure.details
    assert "engine job failed" in caplog.text
    client.submit_encode(encode())
    qtbot.waitUntil(lambda: bool(heard.encoded))


def test_a_failed_prefetch_disturbs_nobody(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    segmenter.encode_errors.append(PromptError("cannot"))
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_prefetch(encode("b"))
    qtbot.waitUntil(lambda: segmenter.encodes == ["b"])
    client.submit_encode(encode("a"))
    qtbot.waitUntil(lambda: bool(heard.encoded))
    assert heard.failed == []


def test_a_model_that_cannot_be_loaded_is_told_and_another_can_be(qtbot: QtBot, make_client: MakeClient) -> None:
    client, segmenter = make_client(), FakeSegmenter()
    heard = Heard(client)

    def broken(report: Callable[[str], None]) -> Engine:
        raise ModelError("The weights are damaged.", "Download them again.")

    client.submit_decode(decode(1))
    with qtbot.waitSignal(client.failed):
        client.start(broken)
    assert heard.failed[0].epoch == LOAD_EPOCH
    assert not client.can_answer
    with qtbot.waitSignals([client.ready, client.decoded]):
        client.restart(fake_engine(segmenter))
    assert heard.decoded[0].generation == 1


def test_a_failed_switch_keeps_the_model_in_use(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)

    def broken(report: Callable[[str], None]) -> Engine:
        raise ModelError("no")

    with qtbot.waitSignal(client.failed):
        client.restart(broken)
    assert client.info == segmenter.info
    with qtbot.waitSignal(client.decoded):
        client.submit_decode(decode(1))


def test_switching_the_model_interrupts_an_encode_and_drops_old_logits(qtbot: QtBot, make_client: MakeClient) -> None:
    old, new = FakeSegmenter("old"), FakeSegmenter("new")
    client = started(make_client, qtbot, old)
    heard = Heard(client)
    old.encode_gate.close()
    request = DecodeRequest(1, 1, "a", RGB, Prompts((PointPrompt(20, 20),)), np.zeros((64, 64), np.float32))
    client.submit_decode(request)
    old.encode_gate.wait_for_arrival()
    with qtbot.waitSignal(client.ready):
        client.restart(fake_engine(new))
    qtbot.waitUntil(lambda: bool(heard.decoded))
    assert old.cancelled == ["a"]
    assert old.decodes == []
    assert new.decodes[0].continue_from is None
    client.submit_decode(DecodeRequest(1, 2, "a", RGB, request.prompts, np.zeros((64, 64), np.float32)))
    qtbot.waitUntil(lambda: len(heard.decoded) == 2)
    assert new.decodes[1].continue_from is not None


def test_a_newer_model_wish_ends_a_load_that_reports(qtbot: QtBot, make_client: MakeClient) -> None:
    client, segmenter = make_client(), FakeSegmenter()
    at_gate, gate = threading.Event(), threading.Event()
    reached_end = []

    def download(report: Callable[[str], None]) -> Engine:
        at_gate.set()
        assert gate.wait(20)
        report("50 %")
        reached_end.append(True)
        return Engine(FakeSegmenter("unwanted"), FakeCache())

    client.start(download)
    assert at_gate.wait(20)
    client.restart(fake_engine(segmenter))
    with qtbot.waitSignal(client.ready) as ready:
        gate.set()
    assert ready.args == [segmenter.info]
    assert reached_end == []


def test_a_move_to_another_device_is_told_once_after_any_job(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    told: list[ModelInfo] = []
    client.moved.connect(told.append)
    with qtbot.waitSignal(client.encoded):
        client.submit_encode(encode())
    assert told == []
    segmenter.info = replace(segmenter.info, device="cpu", note="There was no room.")  # as if while it encodes
    with qtbot.waitSignal(client.moved):
        client.submit_encode(encode("b"))
    with qtbot.waitSignal(client.decoded):
        client.submit_decode(decode(1))
    assert told == [segmenter.info]
    assert client.info == segmenter.info


class _Owner:
    """Says on which thread it went."""

    def __init__(self, told: list[int]) -> None:
        self._told = told

    def __del__(self) -> None:
        self._told.append(threading.get_ident())


def test_the_engine_goes_on_its_own_thread_whatever_it_was_doing(qtbot: QtBot, make_client: MakeClient) -> None:
    """Stopped while a prefetch runs, begun by a timer: a queued "let go" would be lost with the loop."""
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter, prefetch_idle_ms=1)
    heard, went_on = Heard(client), []
    segmenter.owner = _Owner(went_on)  # type: ignore[attr-defined]
    client.submit_encode(encode("a"))
    qtbot.waitUntil(lambda: len(heard.encoded) == 1)
    segmenter.encode_gate.wait_for_arrival()
    segmenter.encode_gate.close()
    client.submit_prefetch(encode("b"))
    segmenter.encode_gate.wait_for_arrival()
    engine_threads = set(segmenter.thread_ids)
    del segmenter
    assert client.stop()
    assert client._worker._session._engine is None
    assert set(went_on) == engine_threads != {threading.get_ident()}
    assert not client._worker._idle_timer.isActive()


def test_stopping_mid_encode_is_quick_and_final(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    segmenter.encode_gate.close()
    client.submit_encode(encode())
    segmenter.encode_gate.wait_for_arrival()
    assert client.stop(5000)
    assert segmenter.cancelled == ["a"]
    assert not client.is_running
    client.submit_decode(decode(1))
    assert client.stop()
    assert heard.failed == []
    with pytest.raises(RuntimeError, match="stopped"):
        client.start(fake_engine(segmenter))


def test_stopping_reports_a_call_that_does_not_come_back(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    segmenter.decode_gate.close()
    client.submit_decode(decode(1))
    qtbot.waitUntil(lambda: len(segmenter.decodes) == 1)
    assert not client.stop(timeout_ms=20)
    segmenter.decode_gate.open()
    assert client.stop()


def test_the_model_never_runs_on_the_gui_thread(qtbot: QtBot, make_client: MakeClient) -> None:
    segmenter = FakeSegmenter()
    client = started(make_client, qtbot, segmenter)
    heard = Heard(client)
    client.submit_encode(encode())
    client.submit_decode(decode(1))
    qtbot.waitUntil(lambda: bool(heard.decoded) and bool(heard.encoded))
    assert len(segmenter.thread_ids) == 1
    assert segmenter.thread_ids.isdisjoint({threading.get_ident()})
    assert heard.thread_ids == {threading.get_ident()}
