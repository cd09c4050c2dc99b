"""Labels like a person, and is killed at the very moment in which the window reports something.

    python -m tests.e2e.report_driver FOLDER REPORT

The first object is accepted and its report let pass. Of the second, REPORT (a name of :data:`REPORTS`) ends the process
by SIGKILL from within, before anything else runs. What was reported is printed first.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer

from annotator.cli import main
from annotator.domain.drafts.state import RefineState
from annotator.ui.app import make_application
from annotator.ui.program import Program
from tests.e2e.kill_driver import Driver, say
from tests.e2e.pictures import DISCS, IMAGES

Die = Callable[[str], None]


def _on_change(program: Program, die: Die) -> None:
    program.session.changed.connect(lambda _change: die("object"))


def _on_accepted(program: Program, die: Die) -> None:
    program.refine.accepted.connect(lambda _row, _change: die("object"))


def _on_line(program: Program, die: Die) -> None:
    status = program.window.status
    plain = status.message.setText

    def told(text: str) -> None:
        plain(text)
        if text.startswith("Accepted"):
            die("object")

    status.message.setText = told  # type: ignore[method-assign]


def _on_row(program: Program, die: Die) -> None:
    program.window.objects.model.rowsInserted.connect(lambda *_place: die("object"))


def _on_count(program: Program, die: Die) -> None:
    dock = program.window.docks["objects"].detail
    plain = dock.setText

    def told(text: str) -> None:
        plain(text)
        if text == "2":
            die("object")

    dock.setText = told  # type: ignore[method-assign]


def _on_painted(program: Program, die: Die) -> None:
    layer = program.window.canvas._layer
    plain = layer.put

    def put(view: object) -> None:
        plain(view)  # type: ignore[arg-type]
        die("object")

    layer.put = put  # type: ignore[method-assign]


def _on_waiting(program: Program, die: Die) -> None:
    """The key that accepts was heard, while the mask is still to come."""
    program.refine.state_changed.connect(
        lambda state: die("accept") if state.is_accept_pending or state.parked else None
    )


def _on_dot(program: Program, die: Die) -> None:
    """A click is on the image."""

    def look(state: RefineState) -> None:
        if state.prompts.points:
            die("click")

    program.refine.state_changed.connect(look)


REPORTS: dict[str, Callable[[Program, Die], None]] = {
    "change": _on_change,
    "accepted": _on_accepted,
    "line": _on_line,
    "row": _on_row,
    "count": _on_count,
    "painted": _on_painted,
    "waiting": _on_waiting,
    "dot": _on_dot,
}


class ReportDriver(Driver):
    """Two objects, and the hook between them."""

    def __init__(self, report: str) -> None:
        super().__init__(1, is_in_flight_wanted=False)
        self._report = report

    def _work(self) -> None:
        super()._work()
        REPORTS[self._report](self._program, self._die)
        self._until(lambda: self._shows(IMAGES[0]))
        if self._report == "waiting":
            self._program.client.blockSignals(True)  # the answer stays away, however slow this machine is
        self._click(*DISCS[1])
        if self._report not in ("waiting", "dot"):
            self._until(self._has_mask)
        self._key(Qt.Key.Key_Return)
        self._until(lambda: False)

    @staticmethod
    def _die(what: str) -> None:
        say(f"reported {what}")
        os.kill(os.getpid(), signal.SIGKILL)


def run(folder: str, report: str) -> int:
    make_application()
    driver = ReportDriver(report)
    QTimer.singleShot(0, driver.start)
    return main(["open", folder, "--device", "cpu"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
