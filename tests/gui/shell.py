"""Fixtures for tests of the window's shell; test files import what they use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Engine
from annotator.domain.project import Annotation
from annotator.io.settings import Settings
from annotator.ui.app import build_program
from annotator.ui.program import Program
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.screens import WANTED_PX
from tests.fakes import FakeFinder, FakeSegmenter, fake_engine

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


@cache
def _noise_png(seed: int) -> bytes:
    """A small image that no other seed gives; nearly every test has some, so each is made once."""
    noise = np.random.default_rng(seed).integers(0, 255, (120, 160, 3), np.uint8)
    packed = BytesIO()
    Image.fromarray(noise).save(packed, "PNG")
    return packed.getvalue()


class HeldEngine:
    """The fake engine with handles: answers and loading can be held."""

    def __init__(self) -> None:
        self.segmenter = FakeSegmenter(radius_px=9.0)
        self._load_gate = threading.Event()
        self._load_gate.set()
        self.load_error = ""

    def hold(self) -> None:
        """Let decodes wait from now on."""
        self.segmenter.decode_gate.close()

    def let_go(self) -> None:
        self.segmenter.decode_gate.open()

    def hold_load(self) -> None:
        self._load_gate.clear()

    def let_load(self) -> None:
        self._load_gate.set()

    def factory(self, progress: Callable[[str], None]) -> Engine:
        self._load_gate.wait(10)
        if self.load_error:
            raise ModelError(self.load_error)
        return fake_engine(self.segmenter)(progress)


class Desk:
    """A window with a folder open, and hands: real clicks and keys."""

    window: MainWindow
    program: Program
    """Both are there once :meth:`build` has made them."""
    finder: FakeFinder
    """The engine's, of a test that searches."""

    def __init__(self, qtbot: QtBot, root: Path) -> None:
        self.qtbot, self.root = qtbot, root
        self.engine = HeldEngine()
        self._is_built = False
        self.knows_drafts_stay = True
        self.options: dict[str, Any] = {}
        """More for ``build_program``."""

    def make_folder(self, *, images: int = 3) -> Path:
        self.folder = self.root / "pictures"
        self.folder.mkdir()
        for number in range(images):
            (self.folder / f"{number}.png").write_bytes(_noise_png(number))
        return self.folder

    def make_other_folder(self) -> Path:
        """A second folder, with one image."""
        folder = self.root / "other"
        folder.mkdir()
        Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(folder / "0.png")
        return folder

    def build(self) -> None:
        self.settings = Settings.load(self.root / "settings.toml")
        if self.knows_drafts_stay:
            self.settings.set("knows_drafts_stay", True)
        self.program = program = build_program(self.settings, self.engine.factory, **self.options)
        self.window, self._is_built = program.window, True
        self.window.resize(*WANTED_PX)  # the screen of the tests has 800 x 800
        self.session, self.refine, self.client, self.loader = (
            *(program.session, program.refine, program.client),
            program.loader,
        )
        program.files.restore_window()
        self.window.show()
        self.window.activateWindow()
        self.until(self.window.isActiveWindow)

    def open(self, *, images: int = 3, folder: Path | None = None, wait_ready: bool = True, first_row: int = 0) -> None:
        self.folder = folder or self.make_folder(images=images)
        self.build()
        self.program.files.open_path(self.folder)
        self.until(lambda: self.shown_row() == first_row)
        if wait_ready:
            self.until(lambda: self.client.info is not None)
        self.window.canvas.setFocus()

    def shown_row(self) -> int:
        picture = self.program.bench.picture
        return -1 if picture is None else self.session.row_of[picture.image_id]

    def wait_image(self, row: int) -> None:
        self.until(lambda: self.shown_row() == row)

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=30_000)

    def _at(self, x: float, y: float) -> QPoint:
        at: QPoint = self.window.canvas.image_to_view(x, y).toPoint()
        return at

    def click(self, x: float, y: float, *, button: Qt.MouseButton = LEFT, modifier: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseClick(self.window.canvas.viewport(), button, modifier, self._at(x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, button: Qt.MouseButton = LEFT) -> None:
        viewport = self.window.canvas.viewport()
        QTest.mousePress(viewport, button, NONE, self._at(*start))
        for part in (0.3, 0.7, 1.0):
            x, y = (a + (b - a) * part for a, b in zip(start, end, strict=True))
            QTest.mouseMove(viewport, self._at(x, y))
        QTest.mouseRelease(viewport, button, NONE, self._at(*end))

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        if not self.window.isActiveWindow():
            self.window.activateWindow()
            self.until(self.window.isActiveWindow)
        QTest.keyClick(self.window.focusWidget() or self.window.canvas, key, modifier)

    def wait_mask(self, x: float, y: float) -> None:
        """Until the mask on the screen answers the newest click and holds this place."""

        def is_there() -> bool:
            state = self.refine.state
            return not state.is_waiting and state.mask is not None and state.mask.contains(x, y)

        self.until(is_there)

    def accept_at(self, x: float, y: float) -> Annotation:
        before = len(self.session.annotations)
        self.click(x, y)
        self.wait_mask(x, y)
        self.key(Qt.Key.Key_Return)
        assert len(self.session.annotations) == before + 1
        return self.session.annotations[-1]

    def crash(self) -> None:
        """End without any good-bye: only what is in the project file is left."""
        program = self.program
        self._forget()
        program._is_over = True
        assert program.client.stop(60_000), "the engine's thread did not end"
        program.loader.shut_down()
        program.thumbnails.shut_down()
        store = program.session._let_go()
        assert store is not None
        store.close()  # nothing that still arrives finds a project
        program.window.close()
        program.window.deleteLater()

    def _forget(self) -> None:
        del self.window, self.program
        self._is_built = False

    def close(self) -> None:
        self.engine.let_go()
        self.engine.let_load()
        if self._is_built:
            window, client = self.window, self.program.client
            self._forget()
            window.close()
            # On a busy machine a model may need longer than a person would wait for it; a thread that still runs when
            # its object goes ends the process.
            assert type(client).stop(client, 60_000), "the engine's thread did not end"
            window.deleteLater()


def drag(
    desk: Desk,
    *places: tuple[float, float],
    button: Qt.MouseButton = LEFT,
    modifier: Qt.KeyboardModifier = NONE,
) -> None:
    """Press at the first position, in image pixels, move through the others, release at the last."""
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, button, modifier, desk._at(*places[0]))
    for place in places[1:]:
        QTest.mouseMove(viewport, desk._at(*place))
    QTest.mouseRelease(viewport, button, modifier, desk._at(*places[-1]))
