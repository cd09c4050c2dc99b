"""What a folder of a hundred thousand images costs the window: to open it the first time and again, to search in it.

Times are printed, because they belong to the machine; asserted is that all images are there.
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

from tests.gui.shell import Desk

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(1800),
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]

FILES = int(os.environ.get("BENCH_FILES", "100000"))
ROUNDS = max(1, int(os.environ.get("BENCH_ROUNDS", "3")))
WINDOW_PX = (1440, 900)


@pytest.fixture
def desk(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


def make_folder(root: Path) -> Path:
    folder = root / "many"
    folder.mkdir()
    first = folder / f"image_{0:06d}.png"
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(first)
    data = first.read_bytes()
    for number in range(1, FILES):
        (folder / f"image_{number:06d}.png").write_bytes(data)
    return folder


class Turns:
    """Runs the event loop and keeps how long each turn held the GUI thread, in milliseconds of computing."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end
            self.turn(QApplication.processEvents)
            time.sleep(0.001)

    def turn(self, work: Callable[[], object]) -> None:
        started = time.thread_time()
        work()
        self.cpu_ms.append((time.thread_time() - started) * 1e3)

    def __str__(self) -> str:
        worst = ", ".join(f"{ms:.1f}" for ms in sorted(self.cpu_ms)[:-6:-1])
        return f"GUI thread {sum(self.cpu_ms) / 1e3:.2f} s in {len(self.cpu_ms)} turns, longest {worst} ms"


def test_a_hundred_thousand_files(desk: Desk, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    project = folder / "many.annot"
    desk.build()
    desk.window.resize(*WINDOW_PX)
    desk.until(lambda: desk.client.info is not None)
    desk.open_path = desk.program.files.open_path
    print(f"\n### {FILES} files, window {WINDOW_PX[0]} x {WINDOW_PX[1]}\n")
    for number in range(ROUNDS):
        for what in ("the first time", "again"):
            if what == "the first time":
                desk.session.close()
                project.unlink(missing_ok=True)
            turns, started, cpu_s = Turns(), time.monotonic(), time.process_time()
            desk.session.close()
            turns.turn(lambda: desk.program.files.open_path(folder))
            turns.until(lambda: len(desk.session.images) == FILES and desk.shown_row() == 0)
            took_s, used_s = time.monotonic() - started, time.process_time() - cpu_s
            print(f"{number}: open {what}: {took_s:.2f} s by the clock, {used_s:.2f} s of computing; {turns}")
    field = desk.window.film.filter.field
    for text in ("i", "im", "im9", "99", ""):
        turns = Turns()
        if text:
            field.clear()
            QApplication.processEvents()
        turns.turn(lambda text=text: field.setText(text))
        shown = desk.window.film.model
        wanted = sum(text in f"image_{number:06d}.png" for number in range(FILES)) if text else FILES
        turns.until(lambda wanted=wanted: abs(desk.window.film.model.rowCount() - wanted) <= 1)
        print(f"search {text!r}: {shown.rowCount()} shown; {turns}")
    turns = Turns()
    desk.window.canvas.setFocus()
    turns.turn(lambda: QTest.keyClick(desk.window.canvas, Qt.Key.Key_D))
    turns.until(lambda: desk.shown_row() == 1)
    print(f"next image: {turns}")
