"""Frames of a series read on a thread of their own, as they are shown, for what goes through all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from annotator.domain.errors import ImageError
from annotator.domain.ports.tracking import TrackFrame
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import through_stored
from annotator.ui.threads.loading import ImageLoader, PoolJob


class FrameReader(QObject):
    """One frame after the other. What the loader has in memory is taken from there."""

    read = Signal(int, object)
    """(position, TrackFrame or ImageError)"""
    _arrived = Signal(int, int, object, object)

    def __init__(self, loader: ImageLoader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._loader = loader
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._generation = 0
        self._arrived.connect(self._on_arrived)

    def ask(self, position: int, image_id: int, path: Path, *, frame: int) -> None:
        """Read an image; ``read`` is emitted later, never inside of this call."""
        generation, window_of, max_pixels = self._generation, self._loader.window_of, self._loader.max_pixels
        shown = self._loader.cached(image_id)

        def work() -> TrackFrame:
            loaded = shown.loaded if shown is not None else _as_shown(path, frame, max_pixels, window_of)
            return TrackFrame(position, loaded.rgb, loaded.image_key)

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, position, result, error)

        self._pool.start(PoolJob(work, done))

    def forget(self) -> None:
        """Nothing that was asked is wanted any more."""
        self._generation += 1
        self._pool.clear()

    def shut_down(self) -> None:
        self.forget()
        self._pool.waitForDone(5000)

    @Slot(int, int, object, object)
    def _on_arrived(self, generation: int, position: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        if isinstance(error, Exception) and not isinstance(error, ImageError):
            raise error
        self.read.emit(position, error if isinstance(error, ImageError) else result)


def _as_shown(path: Path, frame: int, max_pixels: int, window_of: Callable[[LoadedImage], object]) -> LoadedImage:
    loaded = load_image(path, frame=frame, max_pixels=max_pixels, is_native=True)
    return through_stored(loaded, window_of(loaded)).without_native()  # type: ignore[arg-type]
