"""What thousands of proposals cost the window: processor time of the GUI thread per step.

Times are printed, because they belong to the machine; asserted is that all proposals are there and what was taken.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.bench.interleaved import percentiles
from tests.bench.test_many_files import Turns
from tests.bench.test_objects import HEIGHT, ROUNDS, WIDTH, WINDOW_PX, blob, settle
from tests.fakes import FakeFinder, FakeProposal
from tests.gui.shell import Desk

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(1800),
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
PROPOSALS = int(os.environ.get("BENCH_OBJECTS", "2000"))


@pytest.fixture
def desk(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


def test_every_step_among_thousands_of_proposals(desk: Desk, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "many"
    folder.mkdir()
    noise = rng.integers(0, 255, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(folder / "0.png")
    found = [FakeProposal(blob(rng), float(rng.uniform(0.5, 1))) for _ in range(PROPOSALS)]
    finder = FakeFinder([])
    desk.engine.segmenter = finder
    desk.build()
    desk.window.resize(*WINDOW_PX)
    desk.program.files.open_path(folder)
    desk.until(lambda: desk.client.info is not None and desk.shown_row() == 0)
    gc.freeze()  # as the program does when its model is ready
    canvas, panel = desk.window.canvas, desk.window.proposals
    own = desk.program.proposals.proposals
    layer = canvas.proposals
    cpu_ms: dict[str, list[float]] = {}

    def is_complete() -> bool:
        is_painted = layer._tiles.is_complete and canvas._layer._tiles.is_complete
        return is_painted and not own._work.is_busy and desk.program.views.objects.is_complete

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.thread_time()
        work()
        QApplication.processEvents()
        cpu_ms.setdefault(name, []).append((time.thread_time() - started) * 1e3)
        settle(0.03, is_complete)

    canvas.setFocus()
    desk.key(Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)
    desk.until(lambda: not own.search.is_running and not own._work.is_busy)
    real = own._on_gathered

    def arrive(result: object) -> None:
        started = time.thread_time()
        real(result)
        cpu_ms.setdefault("proposals arrive", []).append((time.thread_time() - started) * 1e3)

    own._work.gathered.disconnect()
    own._work.gathered.connect(arrive)
    for count in (PROPOSALS // 2, PROPOSALS):
        finder.found, finder.is_at_once = found[:count], True
        own.ask()
        desk.until(lambda count=count: len(own.review.table) == count and is_complete())
    assert len(layer.ids) == PROPOSALS
    panel.overlap.setValue(100)
    settle(0.5, is_complete)
    for n in range(ROUNDS):
        timed("score slider", lambda n=n: panel.score.setValue(50 + (7 * n) % 45))
    for n in range(ROUNDS):
        timed("overlap slider", lambda n=n: panel.overlap.setValue(30 + (11 * n) % 70))
    panel.score.setValue(0)
    for _ in range(ROUNDS):
        timed("Tab", lambda: desk.key(Qt.Key.Key_Tab))
    for n in range(ROUNDS):
        place = canvas.image_to_view(200 + (91 * n) % 1600, 200 + (57 * n) % 1100).toPoint()
        timed("hover", lambda place=place: QTest.mouseMove(canvas.viewport(), place))
    for n in range(ROUNDS):
        timed("pan", lambda n=n: canvas.pan_by(7 if n % 2 else -7, 3))
    for n in range(ROUNDS):
        timed("zoom", lambda n=n: canvas.zoom_by(1.05 if n % 4 < 2 else 1 / 1.05, QPointF(300, 300)))
    for _ in range(ROUNDS):
        timed("Enter", lambda: desk.key(Qt.Key.Key_Return))
    for _ in range(ROUNDS):
        timed("Backspace", lambda: desk.key(Qt.Key.Key_Backspace))
    shown, before = len(own.review.shown), len(desk.session.annotations)
    steps = {
        "accept all": (Qt.Key.Key_Return, SHIFT, before + shown),
        "undo of it": (Qt.Key.Key_Z, CONTROL, before),
        "redo of it": (Qt.Key.Key_Z, CONTROL | SHIFT, before + shown),
    }
    for name, (key, modifiers, expected) in steps.items():
        held = Turns()
        held.turn(lambda key=key, modifiers=modifiers: desk.key(key, modifiers))
        held.until(lambda expected=expected: len(desk.session.annotations) == expected and is_complete())
        cpu_ms[f"{name}, longest events"] = sorted(held.cpu_ms)[:-4:-1]
        settle(0.5, is_complete)
    print(f"\n### GUI thread, processor time, {PROPOSALS} proposals, window {WINDOW_PX[0]} x {WINDOW_PX[1]}\n")
    for name, values in cpu_ms.items():
        longest = ", ".join(f"{value:.3g}" for value in values)
        print(f"{name} ({shown}): {longest} ms" if "events" in name else f"{name}: {percentiles(values)}")
