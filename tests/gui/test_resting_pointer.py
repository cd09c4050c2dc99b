"""The engine gets ready where the pointer rests, never at a click's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from annotator.domain.ports.engine import Embedding
from annotator.domain.ports.requests import DecodeRequest, EncodeRequest, WarmRequest
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.labelling.resting_pointer import REST_MS, RestingPointer
from annotator.ui.threads.worker import EngineClient
from tests.fakes import FakeSegmenter, Gate, fake_engine

RGB = np.zeros((48, 64, 3), np.uint8)


class WarmSegmenter(FakeSegmenter):
    """Has three pieces to encode for every place."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed: list[tuple[float, float]] = []
        self.warm_gate = Gate()
        self.warm_errors: list[Exception] = []

    def warm(self, embedding: Embedding, x: float, y: float, *, is_cancelled: Callable[[], bool]) -> bool:
        if self.warmed.count((x, y)) >= 3:
            return False
        self.warmed.append((x, y))
        self.warm_gate.pass_through(is_cancelled)
        if self.warm_errors:
            raise self.warm_errors.pop(0)
        return True


@pytest.fixture
def segmenter() -> WarmSegmenter:
    return WarmSegmenter()


@pytest.fixture
def client(qtbot: QtBot, make_client: Callable[..., EngineClient], segmenter: WarmSegmenter) -> EngineClient:
    made = make_client()
    with qtbot.waitSignal(made.ready):
        made.start(fake_engine(segmenter))
    with qtbot.waitSignal(made.encoded):
        made.submit_encode(EncodeRequest(1, "a", RGB))
    return made


def test_all_pieces_are_made_ready(qtbot: QtBot, client: EngineClient, segmenter: WarmSegmenter) -> None:
    client.submit_warm(WarmRequest(1, "a", 10.0, 20.0))
    qtbot.waitUntil(lambda: segmenter.warmed == [(10.0, 20.0)] * 3)


def test_a_click_goes_between_the_pieces(qtbot: QtBot, client: EngineClient, segmenter: WarmSegmenter) -> None:
    segmenter.warm_gate.close()
    client.submit_warm(WarmRequest(1, "a", 10.0, 20.0))
    segmenter.warm_gate.wait_for_arrival()
    with qtbot.waitSignal(client.decoded):
        client.submit_decode(DecodeRequest(1, 1, "a", RGB, Prompts((PointPrompt(5.0, 5.0),))))
        segmenter.warm_gate.open()
    assert len(segmenter.decodes) == 1
    qtbot.waitUntil(lambda: segmenter.warmed == [(10.0, 20.0)] * 3)


def test_the_newest_place_wins(qtbot: QtBot, client: EngineClient, segmenter: WarmSegmenter) -> None:
    segmenter.warm_gate.close()
    client.submit_warm(WarmRequest(1, "a", 10.0, 20.0))
    segmenter.warm_gate.wait_for_arrival()
    for x in (11.0, 12.0, 13.0):
        client.submit_warm(WarmRequest(1, "a", x, 20.0))
    segmenter.warm_gate.open()
    qtbot.waitUntil(lambda: segmenter.warmed == [(10.0, 20.0)] + [(13.0, 20.0)] * 3)


def test_an_image_that_is_not_encoded_is_left_alone(
    qtbot: QtBot, client: EngineClient, segmenter: WarmSegmenter
) -> None:
    client.submit_warm(WarmRequest(1, "other", 10.0, 20.0))
    client.submit_warm(WarmRequest(1, "a", 1.0, 2.0))
    qtbot.waitUntil(lambda: (1.0, 2.0) in segmenter.warmed)
    assert (10.0, 20.0) not in segmenter.warmed
    assert segmenter.encodes == ["a"]


def test_a_failure_is_not_reported_before_somebody_clicks(
    qtbot: QtBot, client: EngineClient, segmenter: WarmSegmenter
) -> None:
    failures: list[object] = []
    client.failed.connect(failures.append)
    segmenter.warm_errors = [RuntimeError("no memory")]
    client.submit_warm(WarmRequest(1, "a", 10.0, 20.0))
    qtbot.waitUntil(lambda: len(segmenter.warmed) == 1)
    with qtbot.waitSignal(client.decoded):
        client.submit_decode(DecodeRequest(1, 1, "a", RGB, Prompts((PointPrompt(5.0, 5.0),))))
    assert failures == []


@dataclass
class Places:
    """Stands for the controller."""

    rested: list[tuple[float, float]] = field(default_factory=list)

    def get_ready(self, x: float, y: float) -> None:
        self.rested.append((x, y))


def test_only_where_the_pointer_rests(qtbot: QtBot) -> None:
    places = Places()
    pointer = RestingPointer(places)  # type: ignore[arg-type]
    for step in range(20):
        pointer.move(float(step), 0.0, True)
    assert places.rested == []
    qtbot.waitUntil(lambda: places.rested == [(19.0, 0.0)])
    pointer.move(30.0, 0.0, True)
    pointer.move(0.0, 0.0, False)  # left the image
    QTest.qWait(3 * REST_MS)
    assert places.rested == [(19.0, 0.0)]
