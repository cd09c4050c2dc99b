"""No display is needed, and a test that leaves a window behind fails."""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import QAbstractEventDispatcher, QEvent, QEventLoop, QObject, QTimer
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.domain.collecting import no_collection
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.threads.worker import EngineClient
from tests.fakes import FakeFinder
from tests.gui.canvas_hand import Heard, noise_canvas
from tests.gui.click_bench import Bench
from tests.gui.proposal_hand import objects
from tests.gui.shell import Desk


class AttentiveBot(QtBot):
    """Looks at a condition as soon as something has happened; the original looks every ten milliseconds."""

    def waitUntil(self, callback: Callable[[], bool | None], *, timeout: int = 5000) -> None:
        end_s = time.monotonic() + timeout / 1000
        while True:
            failure: AssertionError | None = None
            try:
                if callback() in (True, None):
                    return
            except AssertionError as error:
                failure = error
            if time.monotonic() > end_s:
                raise TimeoutError(f"waitUntil timed out in {timeout} milliseconds") from failure
            _serve_until_idle()

    wait_until = waitUntil


def _serve_until_idle() -> None:
    """Wait for an event, but no more than ten milliseconds, and serve all that are there then."""
    loop, alarm = QEventLoop(), QTimer()
    has_woken = False

    def on_awake() -> None:
        nonlocal has_woken
        has_woken = True

    def on_about_to_block() -> None:
        if has_woken:
            loop.quit()

    dispatcher = QAbstractEventDispatcher.instance()
    assert dispatcher is not None
    joined = dispatcher.awake.connect(on_awake), dispatcher.aboutToBlock.connect(on_about_to_block)
    alarm.timeout.connect(loop.quit)
    alarm.start(10)
    try:
        loop.exec()
    finally:
        for one in joined:
            QObject.disconnect(one)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    return AttentiveBot(request)


def _others_than(before: set[int]) -> list[str]:
    """The top-level widgets that are there and were not."""
    return [
        f"{type(widget).__name__} {widget.objectName()!r} {widget.windowTitle()!r}"
        for widget in QApplication.topLevelWidgets()
        if id(widget) not in before
    ]


@pytest.fixture(autouse=True)
def _no_leaked_windows(qapp: QApplication) -> Iterator[None]:
    """Top-level widgets of a test go with it: what stays would take keys and paint in the tests after it."""
    before = {id(widget) for widget in QApplication.topLevelWidgets()}
    yield
    leaked = _others_than(before)
    for _ in range(2 * bool(leaked)):  # they may be on their way
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        leaked = _others_than(before)
    assert not leaked, f"top-level widgets left behind: {leaked}"


@pytest.fixture
def make_client(qtbot: QtBot) -> Iterator[Callable[..., EngineClient]]:
    """Engine clients that are stopped at the end, whatever the test did."""
    made: list[EngineClient] = []

    def make(*, prefetch_idle_ms: int = 0, **keywords: Any) -> EngineClient:
        client = EngineClient(prefetch_idle_ms=prefetch_idle_ms, **keywords)
        made.append(client)
        return client

    yield make
    for client in made:
        assert client.stop(20_000), "the engine thread did not end"


@pytest.fixture(autouse=True)
def restored_look(qapp: QApplication) -> Iterator[None]:
    """Give the application its own look back: it lives longer than one test. A sheet that stayed would be put on the
    widgets of all tests after it; Qt remembers some that are gone by then, and the process ends by a fault."""
    font = qapp.font()
    assert not qapp.styleSheet()
    # What is left of the test before, now that nothing holds what was made for it, goes; what stays is set aside.
    gc.collect()
    gc.freeze()
    yield
    if qapp.styleSheet():
        # Windows that were closed go first.
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        QApplication.processEvents()
        with no_collection():
            qapp.setStyleSheet("")
            qapp.setPalette(QPalette())
            qapp.setFont(font)
        qapp.styleHints().unsetColorScheme()


class _HastyConnection(sqlite3.Connection):
    """Waits for the disk at no commit, whatever it is told."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute("PRAGMA synchronous = OFF" if "PRAGMA synchronous" in sql else sql, *values)


@pytest.fixture(autouse=True)
def _no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window's test shows what is in a file, not that it survives a power cut: ``test_files.py`` and
    ``test_store_crash.py`` see to that."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    monkeypatch.setattr("sqlite3.connect", partial(sqlite3.connect, factory=_HastyConnection))


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_look: None) -> Iterator[Desk]:
    """A window's desk, with settings, logs and models of its own; nothing is open yet. It closes what was opened."""
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def seeker(desk: Desk) -> Desk:
    """The desk with an engine that finds six objects."""
    desk.finder = desk.engine.segmenter = FakeFinder(objects(), radius_px=9.0)
    return desk


@pytest.fixture
def bench(qtbot: QtBot, make_client: Callable[..., EngineClient]) -> Bench:
    """The click loop without a window, its image open and encoded."""
    return Bench(qtbot, make_client())


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    return noise_canvas(qtbot)


@pytest.fixture
def heard(canvas: Canvas) -> Heard:
    return Heard(canvas)
