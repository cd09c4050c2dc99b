"""Runs the program on a folder, labels like a person, and reports every accept on a line of its own.

    python -m tests.e2e.kill_driver FOLDER ACCEPTS [in-flight]

Clicks and keys are real Qt events in the real window, the model is the embedded one. After the last accept the program
stays open and idle, until somebody kills it; with ``in-flight`` one more object is clicked and accepted before that,
without waiting for its mask.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.cli import main
from annotator.demo.hands import spin
from annotator.domain.project import Annotation
from annotator.ui.app import make_application
from annotator.ui.program import Program
from annotator.ui.shell.main_window import MainWindow
from tests.e2e.pictures import DISCS, IMAGES

PATIENCE_S = 60
PER_IMAGE = len(DISCS) - 1
"""One disc of every image is left for the object in flight."""


def fingerprint(annotation: Annotation) -> str:
    """What a mask is, in one word: the same for the same pixels at the same place."""
    text = f"{annotation.image_width} {annotation.image_height} ".encode() + annotation.rle
    return hashlib.sha256(text).hexdigest()[:16]


def say(line: str) -> None:
    print(line, flush=True)


class Driver:
    """The hands of the person."""

    def __init__(self, accepts: int, *, is_in_flight_wanted: bool) -> None:
        self._accepts, self._is_in_flight_wanted = accepts, is_in_flight_wanted
        self._accepted = 0

    def start(self) -> None:
        try:
            self._work()
        except BaseException as error:
            say(f"failed {error!r}")
            raise

    def _work(self) -> None:
        self._until(lambda: self._find_window() is not None)
        window = self._find_window()
        assert window is not None
        program = window.findChild(Program)
        assert program is not None
        self._window, self._program = window, program
        self._program.refine.accepted.connect(self._on_accepted)
        window.activateWindow()
        self._until(window.isActiveWindow)
        for number in range(self._accepts):
            place = number % PER_IMAGE
            if number and place == 0:
                self._key(Qt.Key.Key_D)
            self._until(partial(self._shows, IMAGES[number // PER_IMAGE]))
            self._click(*DISCS[place])
            self._until(self._has_mask)
            self._key(Qt.Key.Key_Return)
            self._until(partial(self._has_accepted, number + 1))
        if self._is_in_flight_wanted:
            self._click(*DISCS[-1])
            self._key(Qt.Key.Key_Return)
            say("in-flight" if not self._program.refine.can_leave() else "too-late")

    def _on_accepted(self, annotation: Annotation, _change: object) -> None:
        self._accepted += 1
        image = self._program.session.image
        assert image is not None
        say(f"accepted {annotation.id} {image.path} {annotation.area} {fingerprint(annotation)}")

    def _shows(self, path: str) -> bool:
        return self._shown_path() == path

    def _has_accepted(self, count: int) -> bool:
        return self._accepted == count

    def _has_mask(self) -> bool:
        state = self._program.refine.state
        return not state.is_waiting and state.mask is not None and not state.mask.is_empty

    def _shown_path(self) -> str:
        picture, image = self._program.bench.picture, self._program.session.image
        return image.path if image is not None and picture is not None and picture.image_id == image.id else ""

    def _click(self, x: float, y: float) -> None:
        canvas = self._window.canvas
        at: QPoint = canvas.image_to_view(x, y).toPoint()
        QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)

    def _key(self, key: Qt.Key) -> None:
        QTest.keyClick(self._window.focusWidget() or self._window.canvas, key)

    @staticmethod
    def _find_window() -> MainWindow | None:
        return next((w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow) and w.isVisible()), None)

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise TimeoutError("the window did not get there")
            spin(5)


def run(folder: str, count: str, *modes: str) -> int:
    make_application()
    driver = Driver(int(count), is_in_flight_wanted=modes == ("in-flight",))
    QTimer.singleShot(0, driver.start)
    return main(["open", folder, "--device", "cpu"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
