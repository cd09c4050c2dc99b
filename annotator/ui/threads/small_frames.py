"""Small pictures of a series' frames, read on a thread of their own: few, kept, and only those that are wanted last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from annotator.domain.errors import ImageError
from annotator.io.images.reader import DEFAULT_MAX_PIXELS
from annotator.io.images.reading import load_thumbnail
from annotator.ui.threads.loading import PoolJob

_SIDE_PX = 112
_KEPT = 400


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Where a frame is read."""

    image_id: int
    path: Path
    frame: int = 0


class SmallFrames(QObject):
    """One after the other, in the order that is asked for: videos are decoded in one go."""

    ready = Signal(int)
    """Image id of one that :meth:`picture` has by now."""
    _arrived = Signal(int, int, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._wanted: list[FramePlace] = []
        self._kept: OrderedDict[int, QPixmap | None] = OrderedDict()
        """By image id, that used last at the end; None of what cannot be read."""
        self._generation = 0
        self._is_running = self._is_held = False
        self.max_pixels = DEFAULT_MAX_PIXELS
        """Of larger images there is none."""
        self._arrived.connect(self._on_arrived)

    def picture(self, image_id: int) -> QPixmap | None:
        return self._kept.get(image_id)

    def want(self, places: Sequence[FramePlace]) -> None:
        """These, and nothing of what was asked for before."""
        for one in places:
            if one.image_id in self._kept:
                self._kept.move_to_end(one.image_id)
        self._wanted = [one for one in places if one.image_id not in self._kept]
        self._next()

    def hold(self, is_held: bool) -> None:
        """Read nothing for a while: the decoder is needed for what is looked at."""
        self._is_held = is_held
        self._next()

    def forget(self) -> None:
        """Another project, whose images have the same ids."""
        self._generation += 1
        self._kept.clear()
        self._wanted, self._is_running = [], False

    def shut_down(self) -> None:
        self.forget()
        self._pool.clear()
        self._pool.waitForDone(5000)

    def _next(self) -> None:
        if self._is_running or self._is_held or not self._wanted:
            return
        self._is_running = True
        one, generation, max_pixels = self._wanted.pop(0), self._generation, self.max_pixels

        def work() -> QImage:
            rgb = load_thumbnail(one.path, frame=one.frame, max_side=_SIDE_PX, max_pixels=max_pixels)
            height, width = rgb.shape[:2]
            return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, one.image_id, result, error)

        self._pool.start(PoolJob(work, done))

    @Slot(int, int, object, object)
    def _on_arrived(self, generation: int, image_id: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        self._is_running = False
        self._kept[image_id] = QPixmap.fromImage(result) if isinstance(result, QImage) else None
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        self._wanted = [one for one in self._wanted if one.image_id != image_id]
        self._next()
        if isinstance(error, Exception) and not isinstance(error, ImageError):
            raise error
        self.ready.emit(image_id)
