"""Run-length encoding of large masks beside the GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, SignalInstance, Slot

from annotator.domain.mask import Mask

LARGE_MASK_PIXELS = 400_000
"""Crops up to here are encoded in less than a frame, so they need no thread."""


class _Job(QRunnable):
    def __init__(self, done: SignalInstance, mask: Mask) -> None:
        super().__init__()
        self._done, self._mask = done, mask

    def run(self) -> None:
        runs: bytes | None = None
        try:
            runs = self._mask.rle()
        finally:
            self._done.emit(self._mask, runs)


class MaskEncoder(QObject):
    """Encodes one mask at a time."""

    encoded = Signal(object, object)
    """(Mask, its compressed runs), on the GUI thread"""
    _done = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._busy_with: Mask | None = None
        self._done.connect(self._on_done)

    @staticmethod
    def is_large(mask: Mask) -> bool:
        """Whether encoding takes longer than the GUI thread may be kept."""
        return mask.bits.size > LARGE_MASK_PIXELS

    def encode(self, mask: Mask) -> None:
        """Start; asking again for the same mask while it is being encoded changes nothing."""
        if self._busy_with is not mask:
            self._busy_with = mask
            self._pool.start(_Job(self._done, mask))

    @Slot(object, object)
    def _on_done(self, mask: Mask, runs: bytes | None) -> None:
        if self._busy_with is mask:
            self._busy_with = None
        # A failure on the other thread shows itself here, where it is reported.
        self.encoded.emit(mask, mask.rle() if runs is None else runs)
