"""Masks of an image's objects, decoded off the GUI thread: two thousand take a quarter of a second."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation
from annotator.io.project.soundness import sound_mask
from annotator.ui.threads.loading import PoolJob

KnownMasks = dict[int, tuple[bytes, Mask | str]]
"""By annotation id: the run lengths, and the mask that they are, or why they are none."""


class MaskReader(QObject):
    """One list of objects at a time; the next one takes the place of the one before."""

    decoded = Signal(object)
    """KnownMasks of the newest list"""
    _arrived = Signal(int, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._generation = 0
        self._arrived.connect(self._on_arrived)

    def decode(self, rows: Sequence[Annotation]) -> None:
        """Decode the masks of these; ``decoded`` has them."""
        self._generation += 1
        generation = self._generation

        def work() -> KnownMasks | None:
            known: KnownMasks = {}
            for row in rows:
                if generation != self._generation:
                    return None
                try:
                    mask = sound_mask(row)
                    known[row.id] = (row.rle, mask)
                    _ = mask.area  # kept by the mask; asked for in the window's thread
                except ValueError as error:
                    known[row.id] = (row.rle, str(error))
            return known

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, result, error)

        self._pool.start(PoolJob(work, done))

    def forget(self) -> None:
        """Nobody waits for the newest list any more."""
        self._generation += 1

    def shut_down(self) -> None:
        """Wait for what still runs; call before the program ends."""
        self.forget()
        self._pool.waitForDone(5000)

    @Slot(int, object, object)
    def _on_arrived(self, generation: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        if isinstance(error, Exception):
            raise error
        self.decoded.emit(result)
