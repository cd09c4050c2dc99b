"""The current object's mask copied beside the GUI thread, for the next edit of it."""

from __future__ import annotations

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from annotator.domain.mask import Mask
from annotator.domain.spare_copy import LEAST_BYTES, forget_spare, make_spare
from annotator.ui.threads.loading import PoolJob


class SpareCopies(QObject):
    """Of one mask at a time; the newest counts."""

    _done = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._mask: Mask | None = None
        self._done.connect(self._on_done)

    def prepare(self, mask: Mask | None) -> None:
        """This mask may be edited next; None: there is none."""
        if mask is self._mask:
            return
        before, self._mask = self._mask, mask
        if mask is not None and mask.bits.size >= LEAST_BYTES:
            self._pool.start(PoolJob(lambda: mask is self._mask and make_spare(mask), self._tell))
        elif before is not None:
            forget_spare()

    def wait(self) -> None:
        """Until it is there."""
        self._pool.waitForDone()

    def _tell(self, _has_spare: object, error: Exception | None) -> None:
        if error is not None:
            self._done.emit(error)

    @Slot(object)
    def _on_done(self, error: Exception) -> None:
        raise error
