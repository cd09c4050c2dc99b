"""The window's end: not before the last accepted mask is in the project file."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.ui.refine.controller import RefineController
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.main_window import MainWindow


class ClosingGate(QObject):
    """Says whether the window may close now; if not, it closes the window later.

    Args:
        window: its ``may_close`` becomes this gate.
    """

    def __init__(self, window: MainWindow, refine: RefineController, patience: Patience) -> None:
        super().__init__(window)
        self._window, self._refine, self._patience = window, refine, patience
        self._is_waiting = self._is_due = False
        window.may_close = self.may_close
        window.closing.connect(patience.forget_all)

    def may_close(self) -> bool:
        """Asked by the window for every wish to close it."""
        if self._is_due or self._refine.can_leave():
            return True
        if self._is_waiting:
            # Asked again: the person does not want to wait for an engine that may not come back.
            self._patience.offer_way_out()
        else:
            self._is_waiting = True
            self._patience.wait(
                self._close, then="The window closes by itself", way_out="Close without it", give_up=self._stay
            )
        return False

    def _close(self) -> None:
        self._is_due = True
        self._window.close()

    def _stay(self) -> None:
        """The mask did not come, or was taken back: the person sees to that first, and can close right after."""
        self._is_waiting = False
