"""Slices that pass and the one that stays: what only tells of a slice waits until the person rests on it."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

REST_MS = 80


class PassingSlices(QObject):
    """Part of the workbench."""

    stayed = Signal(object)
    """The id of an image that is on the canvas: at once, but of slices that pass only of the last one."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._image_id = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self._on_rest)

    @property
    def is_passing(self) -> bool:
        """Whether somebody goes through a series and has not rested yet."""
        return self._timer.isActive()

    def show(self, image_id: int, *, is_slice: bool) -> None:
        """An image is on the canvas. ``is_slice``: after another slice of the same series."""
        self._image_id = image_id
        if is_slice:
            self._timer.start()
        else:
            self._timer.stop()
            self.stayed.emit(image_id)

    def leave(self) -> None:
        """It is not there any more, and nothing of its series follows."""
        self._timer.stop()

    def _on_rest(self) -> None:
        self.stayed.emit(self._image_id)
