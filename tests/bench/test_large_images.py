"""An image of 30,000 x 30,000 pixels in the window: how long opening, zooming and panning take. ``-m bench -s``."""

from __future__ import annotations

import resource
import statistics
import time

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication

from tests.gui.shell import Desk
from tests.large_files import write_pyramid

pytestmark = [pytest.mark.bench, pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
SIDE = 30_000


@pytest.fixture
def desk(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


@pytest.mark.parametrize("levels", [6, 1], ids=["pyramid", "one level"])
def test_thirty_thousand_pixels_a_side(desk, levels):
    folder = desk.root / "slides"
    folder.mkdir()
    write_pyramid(folder / "slide.tif", SIDE, levels=levels)
    desk.build()
    started = time.perf_counter()
    desk.program.files.open_path(folder)
    desk.until(lambda: desk.shown_row() == 0)
    opened_s = time.perf_counter() - started
    canvas = desk.window.canvas
    desk.until(lambda: desk.client.info is not None)

    def timed_ms(change):
        begun, used = time.perf_counter(), time.thread_time()
        change()
        QApplication.processEvents()
        canvas.viewport().repaint()
        return (time.perf_counter() - begun) * 1e3, (time.thread_time() - used) * 1e3

    zooms = [timed_ms(lambda: canvas.zoom_by(1.25, QPointF(400, 300))) for _ in range(16)]
    begun = time.perf_counter()
    desk.until(lambda: canvas.ground.tiles.is_settled)
    settled_s = time.perf_counter() - begun
    pans = [timed_ms(lambda: canvas.pan_by(-40, -15)) for _ in range(120)]
    desk.until(lambda: canvas.ground.tiles.is_settled)
    print(f"\n{levels} levels: opened after {opened_s:.2f} s; the view complete {settled_s:.2f} s after the last zoom")
    for what, steps in (("zoom", zooms), ("pan", pans)):
        walls, used = zip(*steps, strict=True)
        print(
            f"{what}: median {statistics.median(walls):.1f} ms, most {max(walls):.1f}; "
            f"of the GUI thread {statistics.median(used):.1f}, most {max(used):.1f}"
        )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"tiles {canvas.ground.tiles.nbytes / 1e6:.0f} MB, most memory of the process {peak_mb:.0f} MB")
    assert canvas.ground.tiles.nbytes <= 384 << 20
