"""The jobs that run, in the status bar: how many and how far; a click shows the panel."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QToolButton, QWidget

from annotator.ui.threads.jobs import JobBoard


class JobFact(QToolButton):
    """Hidden while nothing runs."""

    def __init__(self, board: JobBoard, show_panel: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._board = board
        self.setObjectName("flat")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip("Show the jobs")
        self.clicked.connect(lambda: show_panel())
        board.listed.connect(self._refresh)
        board.changed.connect(self._refresh)
        self._refresh()

    @Slot()
    def _refresh(self) -> None:
        running = self._board.running
        self.setVisible(bool(running))
        if not running:
            return
        shares = [job.standing.share for job in running]
        far = f" · {int(100 * (shares[0] or 0))} %" if len(running) == 1 and shares[0] is not None else ""
        text = f"{len(running)} job{'s' if len(running) > 1 else ''}{far}"
        if text != self.text():
            self.setText(text)
            self.setAccessibleName(f"Running: {text}")
