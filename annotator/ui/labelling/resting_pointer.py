"""While the pointer rests on the image, the engine gets ready for a click there."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Slot

from annotator.ui.refine.asides import EngineAsides

REST_MS = 60
"""A pointer on its way somewhere moves more often than this."""


class RestingPointer(QObject):
    """Fed with every move of the pointer; tells the controller where it rests."""

    def __init__(self, asides: EngineAsides, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asides = asides
        self._where = (0.0, 0.0)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self._rested)

    @Slot(float, float, bool)
    def move(self, x: float, y: float, is_inside: bool) -> None:
        """The pointer is at (x, y), in image pixels, or has left the image."""
        self._where = (x, y)
        if is_inside:
            self._timer.start()
        else:
            self._timer.stop()

    def _rested(self) -> None:
        self._asides.get_ready(*self._where)
