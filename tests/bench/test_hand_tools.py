"""What an edit by hand costs on a mask of most of a 12-megapixel image: processor time of the GUI thread per step, from
the gesture's end to the painted window.

Times are printed, because they belong to the machine; asserted is that every step changes the pixels.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.brush import Stroke
from annotator.domain.difference import differing_frames
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.operations import Operation, OperationKind
from annotator.ui.canvas.mask_level import prepare_level
from tests.bench.interleaved import percentiles
from tests.gui.shell import Desk

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(1800),
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]
WIDTH, HEIGHT = 4000, 3000
ROUNDS = max(2, int(os.environ.get("BENCH_ROUNDS", "5"))) * 2


@pytest.fixture
def desk(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


def test_edits_of_a_mask_of_twelve_megapixels(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 20, WIDTH // 20, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(folder / "0.png")
    desk.open(folder=folder)
    refine = desk.refine
    refine.paint(Stroke.ellipse(Box(100, 100, WIDTH - 100, HEIGHT - 100)))
    for _ in range(3):  # the mask is there and painted before an edit of it is timed
        QApplication.processEvents()
    cpu_ms: dict[str, list[float]] = {}

    def mask() -> Mask:
        found = refine.state.mask
        assert found is not None
        return found

    def timed(name: str, work: Callable[[], object]) -> None:
        before = mask()
        started = time.thread_time()
        work()
        QApplication.processEvents()
        cpu_ms.setdefault(name, []).append((time.thread_time() - started) * 1e3)
        assert not mask().same_pixels(before), name
        refine._loop.spare.wait()  # a hand needs longer than that for its next gesture

    rng, canvas = np.random.default_rng(1), desk.window.canvas
    for _ in range(ROUNDS):
        x, y = rng.uniform(1000, 3000), rng.uniform(800, 2200)
        timed("eraser", lambda x=x, y=y: refine.paint(Stroke(((x, y), (x + 90, y + 60)), 20.0, False)))
        corners = ((x, y), (x + 300, y + 40), (x + 200, y + 260), (x - 50, y + 180))
        timed("polygon", lambda corners=corners: refine.paint(Stroke.area(corners, is_positive=False)))
        timed("undo", refine.undo)
        timed("redo", refine.redo)
        edge = ((x, y), (x + 60, y - 30), (x + 90, y + 50))
        moved = (edge[0], edge[1], (x + 120, y + 140))
        reshape = Operation(OperationKind.RESHAPE, rings=(edge, moved))
        timed("corner dragged", lambda reshape=reshape: refine.operate(reshape))
        before = mask()
        grow = Operation(OperationKind.GROW, 3)
        known = before, grow.applied(before)
        assert known[1].area  # looked up on another thread, as in the window
        assert differing_frames(*known)
        prepare_level(known[1], canvas.zoom * canvas.devicePixelRatioF())
        timed("grow, tried out before", lambda grow=grow, known=known: refine.operate(grow, known=known))
    desk.key(Qt.Key.Key_Y)
    viewport = canvas.viewport()
    places = [desk._at(x, y) for x, y in ((500, 500), (3500, 600), (3300, 2500), (600, 2400))]
    for place in places:
        QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
        QApplication.processEvents()  # each click is a step of its own
    for step in range(ROUNDS * 4):
        started = time.thread_time()
        QTest.mouseMove(viewport, places[0] + (places[2] - places[0]) * (step / (ROUNDS * 4)))
        QApplication.processEvents()
        cpu_ms.setdefault("move with a polygon half drawn", []).append((time.thread_time() - started) * 1e3)
    print(f"\n### GUI thread, processor time, a mask of {mask().area:,} px in {WIDTH} x {HEIGHT}\n")
    for name, values in cpu_ms.items():
        print(f"{name}: {percentiles(values)}")
