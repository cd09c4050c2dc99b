"""Runs the program on a stack, carries objects through it by a key, or goes on with a run that was cut off.

    python -m tests.e2e.carry_driver PROJECT (carry | go-on)

Keys and clicks are real Qt events in the real window, the model is the embedded one. A line for each time that masks
were written, with how many there are, and ``over`` when the run is; the program stays open until somebody kills it.
"""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest

from annotator.cli import main
from annotator.ui.app import make_application
from annotator.ui.program import Program
from tests.e2e.kill_driver import Driver, say

_TOPIC_WORD = "cut off"


class CarryDriver(Driver):
    """The hands of the person."""

    def __init__(self, *, goes_on: bool) -> None:
        super().__init__(0, is_in_flight_wanted=False)
        self._goes_on = goes_on

    def _work(self) -> None:
        super()._work()
        window, program = self._window, self._program
        self._until(lambda: program.bench.picture is not None and program.client.can_answer)
        program.session.changed.connect(lambda _change: self._tell(program))
        program.tracks.carrying.ended.connect(lambda _report: say("over"))
        bar = window.area.error_bar
        if self._goes_on:
            self._until(lambda: _TOPIC_WORD in bar.text)
            QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
            return
        window.canvas.setFocus()
        both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        QTest.keyClick(window.canvas, Qt.Key.Key_Right, both)
        self._until(lambda: program.tracks.carrying.is_running)

    @staticmethod
    def _tell(program: Program) -> None:
        store = program.session.store
        if store is not None:
            say(f"written {sum(store.category_counts().values())}")


def run(project: str, mode: str) -> int:
    make_application()
    driver = CarryDriver(goes_on=mode == "go-on")
    QTimer.singleShot(0, driver.start)
    return main(["open", project, "--device", "cpu"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
