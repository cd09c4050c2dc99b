"""What thousands of accepted objects cost the window: processor time of the GUI thread per pan, zoom and accept.

Times are printed, because they belong to the machine; asserted is that all objects are there and that every accept
is stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.project.store import ProjectStore
from tests.bench.interleaved import percentiles
from tests.gui.shell import Desk

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(1800),
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]

OBJECTS = int(os.environ.get("BENCH_OBJECTS", "2000"))
ROUNDS = max(2, int(os.environ.get("BENCH_ROUNDS", "5"))) * 12
WIDTH, HEIGHT = 2000, 1500
WINDOW_PX = (1440, 900)


@pytest.fixture
def desk(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    desk.engine.segmenter.radius_px = 12.0
    yield desk
    desk.close()


def blob(rng: np.random.Generator) -> Mask:
    """A lobed disc, 16 to 40 pixels across."""
    radius, lobes, turn = float(rng.uniform(8, 20)), int(rng.integers(2, 6)), rng.uniform(0, 6)
    cx, cy = rng.uniform(30, WIDTH - 30), rng.uniform(30, HEIGHT - 30)
    x0, y0 = int(cx - radius * 1.3), int(cy - radius * 1.3)
    y, x = np.mgrid[y0 : int(cy + radius * 1.3) + 1, x0 : int(cx + radius * 1.3) + 1]
    edge = radius * (1 + 0.2 * np.sin(np.arctan2(y - cy, x - cx) * lobes + turn))
    return Mask(np.hypot(x - cx, y - cy) < edge, x0, y0, WIDTH, HEIGHT).tight()


def make_folder(root: Path, rng: np.random.Generator) -> Path:
    folder = root / "many"
    folder.mkdir()
    noise = rng.integers(0, 255, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(folder / "0.png")
    with ProjectStore.open_folder(folder) as store:
        store.record_image_facts(1, sha256="0" * 64, width=WIDTH, height=HEIGHT)
        for _ in range(OBJECTS):
            row = Annotation(store.new_id("annotation"), 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT, score=0.9, clicks=2)
            store.apply(accept_edit(row.with_mask(blob(rng)), store.image(1)))
    return folder


def settle(least_s: float, is_complete: Callable[[], bool]) -> None:
    """Let the window paint what is left for later."""
    until = time.monotonic() + least_s
    while time.monotonic() < until or not is_complete():
        QApplication.processEvents()
        time.sleep(0.001)


def test_pan_zoom_and_accept_among_thousands(desk: Desk, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = make_folder(tmp_path, rng)
    desk.build()
    desk.window.resize(*WINDOW_PX)
    desk.program.files.open_path(folder)
    canvas = desk.window.canvas
    layer = canvas._layer
    desk.until(lambda: desk.client.info is not None and len(layer.ids) == OBJECTS)
    canvas.setFocus()
    cpu_ms: dict[str, list[float]] = {}

    def is_complete() -> bool:
        return layer._tiles.is_complete

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.thread_time()
        work()
        QApplication.processEvents()
        cpu_ms.setdefault(name, []).append((time.thread_time() - started) * 1e3)
        settle(0.02, is_complete)

    for view, zoom, (dx, dy) in (("fitted", 1.0, (7, 3)), ("at three times that", 3.0, (20, 9))):
        canvas.fit()
        canvas.zoom_by(zoom)
        settle(0.5, is_complete)
        for n in range(ROUNDS):
            sign = 1 if n % 2 else -1
            timed(f"pan, {view}", lambda sign=sign, dx=dx, dy=dy: canvas.pan_by(sign * dx, sign * dy))
        for n in range(ROUNDS):
            factor = 1.05 if n % 4 < 2 else 1 / 1.05
            timed(f"zoom, {view}", lambda factor=factor: canvas.zoom_by(factor, QPointF(300, 300)))
    canvas.fit()
    settle(0.5, is_complete)
    for done in range(ROUNDS):
        _click_somewhere(desk, rng)
        settle(0.03, is_complete)
        timed("accept", lambda: desk.key(Qt.Key.Key_Return))
        assert len(desk.session.annotations) == OBJECTS + done + 1
    print(f"\n### GUI thread, processor time, {OBJECTS} objects, window {WINDOW_PX[0]} x {WINDOW_PX[1]}\n")
    for name, values in cpu_ms.items():
        print(f"{name}: {percentiles(values)}")


def _click_somewhere(desk: Desk, rng: np.random.Generator) -> None:
    """Until a mask is in work that can be accepted."""
    while True:
        desk.click(*_free_place(desk, rng))
        desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
        if not desk.refine.state.mask.is_empty:
            return
        desk.refine.cancel()


def _free_place(desk: Desk, rng: np.random.Generator) -> tuple[float, float]:
    """Under no card of the canvas and on the image."""
    area = desk.window.area
    cards = [card for card in (area.doubt, area.chip, area.candidates, area.hint) if card.isVisible()]
    while True:
        x, y = rng.uniform(50, WIDTH - 50), rng.uniform(50, HEIGHT - 50)
        at = desk.window.canvas.mapTo(area, desk.window.canvas.image_to_view(x, y).toPoint())
        if not any(card.rect().contains(card.mapFrom(area, at)) for card in cards):
            return float(x), float(y)
