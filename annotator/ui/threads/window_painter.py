"""Images through other windows, off the GUI thread: a small preview for every step of a drag, the whole at its end."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from PySide6.QtCore import QObject, QRectF, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage

from annotator.domain.errors import UserError
from annotator.domain.window import Window
from annotator.domain.windowing import Native, show
from annotator.io.images.windowed import windowed
from annotator.ui.canvas.preview import PartInView, Preview
from annotator.ui.threads.loading import Picture, PoolJob, prepared_of

_log = logging.getLogger(__name__)
_WHOLE_PIXELS = 1_500_000
"""Local contrast depends on the whole picture: its preview is all of it, with so many pixels or fewer."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    generation: int
    picture: Picture
    window: Window | None
    part: PartInView | None
    """None: the whole, in full."""


class WindowPainter(QObject):
    """One picture at a time; a newer wish takes the place of one that waits."""

    previewed = Signal(int, object)
    """(generation, Preview)"""
    painted = Signal(int, object)
    """(generation, Picture)"""
    failed = Signal(int, str)
    """(generation, message); the picture stays as it is."""
    _arrived = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._waiting: _Wish | None = None
        self._is_running = self._is_over = False
        self._generation = 0
        self._source: tuple[Native, PartInView, bool, Native, QRectF] | None = None
        """What the previews of a drag are made of; the thread's own."""
        self._arrived.connect(self._on_arrived)

    def preview(self, picture: Picture, window: Window, part: PartInView) -> int:
        """Show what is in view through a window, soon; returns the wish's generation."""
        return self._wish(picture, window, part)

    def paint(self, picture: Picture, window: Window | None) -> int:
        """The whole picture, for the canvas and the model; returns the wish's generation."""
        return self._wish(picture, window, None)

    def drop(self) -> None:
        """Nothing that was wished for is wanted any more."""
        self._generation += 1
        self._waiting = None

    def shut_down(self) -> None:
        self._is_over = True
        self.drop()
        self._pool.waitForDone(10_000)

    def _wish(self, picture: Picture, window: Window | None, part: PartInView | None) -> int:
        self._generation += 1
        self._waiting = _Wish(self._generation, picture, window, part)
        if not self._is_running:
            self._next()
        return self._generation

    def _next(self) -> None:
        wish, self._waiting = self._waiting, None
        self._is_running = wish is not None
        if wish is not None:
            work = self._whole if wish.part is None else self._small
            self._pool.start(PoolJob(lambda: work(wish), lambda result, error: self._arrived.emit(wish, result, error)))

    def _whole(self, wish: _Wish) -> Picture:
        self._source = None
        shown = windowed(wish.picture.loaded, wish.window)
        return Picture(wish.picture.image_id, shown, prepared_of(shown), wish.picture.spread)

    def _small(self, wish: _Wish) -> Preview:
        assert wish.part is not None
        window = wish.window or wish.picture.loaded.source.default
        native, is_local = wish.picture.loaded.source, bool(window.clahe)
        kept = self._source
        if kept is None or kept[0].values is not native.values or kept[1:3] != (wish.part, is_local):
            whole = (wish.picture.loaded.width, wish.picture.loaded.height)
            kept = self._source = (native, wish.part, is_local, *_reduced(native, whole, wish.part, is_local=is_local))
        rgb = show(kept[3], window)
        height, width = rgb.shape[:2]
        image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        return Preview(image.convertToFormat(QImage.Format.Format_RGB32), kept[4])

    @Slot(object, object, object)
    def _on_arrived(self, wish: _Wish, result: object, error: Exception | None) -> None:
        if self._is_over:
            return
        is_wanted = wish.generation == self._generation
        if isinstance(result, Preview) and (is_wanted or self._waiting is not None):
            self.previewed.emit(wish.generation, result)  # a step behind is better than none
        elif isinstance(result, Picture) and is_wanted:
            self.painted.emit(wish.generation, result)
        elif error is not None and is_wanted:
            self.failed.emit(wish.generation, _message(error))
        self._next()


def _reduced(native: Native, whole_wh: tuple[int, int], part: PartInView, *, is_local: bool) -> tuple[Native, QRectF]:
    """What a preview is made of, and where it lies; of an image that is read region by region by its overview."""
    width, height = native.size_wh
    if (width, height) != whole_wh:
        return native, QRectF(0, 0, *whole_wh)
    if is_local:
        step = part.step
        while (width // step) * (height // step) > _WHOLE_PIXELS:
            step += 1
        return native.reduced(step), QRectF(0, 0, width, height)
    rows, columns = slice(part.top, part.top + part.height), slice(part.left, part.left + part.width)
    place = QRectF(part.left, part.top, part.width, part.height)
    return native.part(rows, columns).reduced(part.step), place


def _message(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    _log.error("a window could not be shown: %s", "".join(traceback.format_exception(error)))
    return f"The window cannot be shown because of an error in the program ({type(error).__name__})."
