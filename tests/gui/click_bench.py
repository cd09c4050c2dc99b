"""A controller of the click loop on a fake engine, and what a person does with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pytestqt.qtbot import QtBot

from annotator.domain.drafts.state import RefineState
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Category, Change, Edit, ImageRecord
from annotator.domain.prompt import PointPrompt
from annotator.ui.refine.controller import RefineController
from annotator.ui.threads.worker import EngineClient
from tests.fakes import FakeSegmenter, fake_engine

Draft = dict[str, Any]
MakeClient = Callable[..., EngineClient]
RGB = np.zeros((96, 128, 3), np.uint8)
CELL = Category(1, "cell", "#e69f00", 1)
NUCLEUS = Category(2, "nucleus", "#56b4e9", 2)


class ListSink:
    """Keeps edits in memory; ``errors`` are raised by the next applies."""

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self.errors: list[Exception] = []
        self.kept: dict[int, Draft | None] = {}
        """What is in work by image id, as the project file would have it."""
        self._next_id = 100

    def new_annotation_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def apply(self, edit: Edit, *, kept: Mapping[int, Draft | None] | None = None) -> Change:
        if self.errors:
            raise self.errors.pop(0)
        self.edits.append(edit)
        self.kept.update(kept or {})
        return edit.change()

    @property
    def annotations(self) -> list[Annotation]:
        return [c.after for e in self.edits for c in e.changes if isinstance(c.after, Annotation)]


class Bench:
    """A controller with a fake engine, its image open and encoded."""

    def __init__(self, qtbot: QtBot, client: EngineClient, *, is_started: bool = True) -> None:
        self.qtbot, self.client = qtbot, client
        self.segmenter, self.sink = FakeSegmenter(), ListSink()
        self.time_s = 100.0
        self.controller = RefineController(client, self.sink, clock=lambda: self.time_s, now=lambda: "2026-01-01")
        self.states: list[RefineState] = []
        self.messages: list[str] = []
        self.refused: list[tuple[str, int]] = []
        self.accepted: list[Annotation] = []
        self.drafts: list[Draft | None] = []
        self.busy: list[bool] = []
        self.controller.state_changed.connect(self.states.append)
        self.controller.message.connect(self.messages.append)
        self.controller.not_stored.connect(lambda error, epoch: self.refused.append((str(error), epoch)))
        self.controller.accepted.connect(lambda annotation, change: self.accepted.append(annotation))
        self.controller.draft_changed.connect(self._on_draft)
        self.controller.busy_changed.connect(self.busy.append)
        self.controller.set_category(CELL)
        self.image = ImageRecord(1, "a.png", width=128, height=96)
        if is_started:
            with qtbot.waitSignal(client.ready):
                client.start(fake_engine(self.segmenter))
            with qtbot.waitSignal(client.encoded):
                self.controller.open_image(self.image, RGB, "a")

    def _on_draft(self, image_id: int, data: Draft | None) -> None:
        self.drafts.append(data)
        self.sink.kept[image_id] = data

    @property
    def state(self) -> RefineState:
        return self.controller.state

    def click(self, x: float, y: float, *, positive: bool = True) -> None:
        self.controller.add_point(PointPrompt(x, y, positive))

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.state.is_waiting and self.state.parked == 0, timeout=10_000)

    def hold(self) -> None:
        self.segmenter.decode_gate.close()

    def wait_at_decode(self) -> None:
        self.segmenter.decode_gate.wait_for_arrival()

    def go(self) -> None:
        self.segmenter.decode_gate.open()


def centre(mask: Mask | None) -> tuple[float, float]:
    assert mask is not None
    x, y, w, h = mask.bbox_xywh
    return x + w / 2, y + h / 2


def is_at(mask: Mask | None, x: float, y: float) -> bool:
    found = centre(mask)
    return math.hypot(found[0] - x, found[1] - y) < 3
