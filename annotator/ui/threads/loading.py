"""Images and thumbnails are read off the GUI thread; answers come back as queued signals."""

from __future__ import annotations

import logging
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QThreadPool, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from annotator.domain import budget
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import UserError
from annotator.domain.windowing import Spread, is_blank, spread_of
from annotator.io.images.reader import DEFAULT_MAX_PIXELS, LoadedImage, RgbArray
from annotator.io.images.reading import interrupt, load_image, load_region, load_thumbnail
from annotator.io.images.windowed import Remembered, through_stored
from annotator.ui.canvas.prepared import PreparedImage, prepare_image

_log = logging.getLogger(__name__)

LRU_BYTES, LRU_SHARE = 768 << 20, 4
"""All pictures together take no more than the first, nor than this part of what one image may take
(:func:`annotator.domain.budget.limit_bytes`)."""
LRU_IMAGES = 8
LRU_SMALL_IMAGES, SMALL_BYTES = 256, 192 << 20
"""So many of those that are not near are kept while all of these together are this small."""
AHEAD_AT_ONCE = 2
_THUMB_PX = 224


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image that is ready to be shown: what was read, through the window that is in use, and what the canvas paints.

    ``spread`` is that of its own numbers, for everything that is said of windows.
    """

    image_id: int
    loaded: LoadedImage
    prepared: PreparedImage
    spread: Spread

    @property
    def is_overview(self) -> bool:
        """Whether the image is too large to be looked at as a whole: its pixels are read where they are needed."""
        return self.loaded.regions is not None

    @property
    def nbytes(self) -> int:
        # The canvas keeps a copy in Qt's four-byte format beside the RGB that the encoder gets.
        return self.loaded.nbytes + self.loaded.rgb.nbytes * 4 // 3


def picture_of(image_id: int, image: LoadedImage, kept: Remembered | None, spread: Spread | None = None) -> Picture:
    """An image through a window that is remembered for it, ready to be shown. For a worker thread.

    Raises:
        ImageError: it needs more memory than an image may take.
    """
    spread = spread or spread_of(image.source)
    shown = through_stored(image, kept, spread)
    return Picture(image_id, shown, prepared_of(shown), spread)


def prepared_of(image: LoadedImage) -> PreparedImage:
    """An image ready to paint; of one that is read region by region its overview, and what reads the rest."""
    regions = image.regions
    if regions is None:
        return prepare_image(image.rgb)
    window = image.window or (None if image.native is None else image.native.default)

    def read(region: Region, size_wh: tuple[int, int]) -> RgbArray:
        return load_region(regions, region, size_wh, window=window)

    return prepare_image(image.rgb, size_wh=(image.width, image.height), read=read)


def is_through(picture: Picture, kept: Remembered | None) -> bool:
    """Whether this is what :func:`picture_of` makes of an image and a window."""
    if kept is None or kept.window == picture.loaded.source.default:
        return picture.loaded.window is None
    is_passed_over = not kept.of_slices and is_blank(kept.window, picture.spread)
    return picture.loaded.window == (None if is_passed_over else kept.window)


class PoolJob(QRunnable):
    """Runs ``work`` on a pool thread and hands its result, or its error, to ``done`` (which emits a signal)."""

    def __init__(self, work: Callable[[], object], done: Callable[[object, Exception | None], None]) -> None:
        super().__init__()
        self._work, self._done = work, done

    def run(self) -> None:
        try:
            result = self._work()
        except Exception as error:  # handed on: the GUI thread decides
            self._done(None, error)
        else:
            self._done(result, None)


def kept_bytes() -> int:
    """What all pictures in memory may take together."""
    return min(LRU_BYTES, budget.limit_bytes() // LRU_SHARE)


class ImageLoader(QObject):
    """Loads the image that is wanted, and neighbours ahead of time, on threads of their own.

    Every request carries an epoch; the answer carries it back, so that the receiver can drop answers for an image that
    is no longer wanted. The newest request is read first, and it is the only one: what was asked for before it, also
    ahead of time, is given up where its read has come to.
    """

    loaded = Signal(int, object)
    """(epoch, Picture)"""
    preloaded = Signal(object)
    """A Picture that was loaded ahead of time, or was there already."""
    ahead_ended = Signal()
    """A read has ended, whatever became of it: there may be room for another one ahead of time."""
    failed = Signal(int, object, str)
    """(epoch, image id, message)"""
    _arrived = Signal(int, object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(2)
        self._ahead_pool = QThreadPool(self)
        self._ahead_pool.setMaxThreadCount(AHEAD_AT_ONCE)
        self._cache: OrderedDict[int, Picture] = OrderedDict()
        self._bytes = 0
        """Of all that is in it."""
        self._near: tuple[int, ...] = ()
        self._near_set: frozenset[int] = frozenset()
        self._wanted: dict[int, tuple[int, Path, int]] = {}
        """What is still to come, by image id: its epoch (0: ahead of time), file and frame. The reading threads ask it,
        too."""
        self._reading: set[int] = set()
        """Images whose read waits or runs, also those that are not wanted any more."""
        self._order = 0
        self._has_ended = False
        self._arrived.connect(self._on_arrived)
        self._generation = 0
        self.max_pixels = DEFAULT_MAX_PIXELS
        """Larger images are refused."""
        self.window_of: Callable[[LoadedImage], Remembered | None] = lambda _image: None
        """What each is to be shown through; asked by the reading threads, too."""

    def request(self, epoch: int, image_id: int, path: Path, *, frame: int = 0, keeps_ahead: bool = False) -> None:
        """Load an image; answers at once (inside this call) when it is in memory.

        Args:
            keeps_ahead: what is loaded ahead of time is still wanted: the neighbours of a slice.
        """
        ahead = {one: wish for one, wish in self._wanted.items() if keeps_ahead and not wish[0]}
        picture = self.cached(image_id)
        if picture is not None:
            self._wanted = ahead
            self._cache.move_to_end(image_id)
            self.loaded.emit(epoch, picture)
            return
        # A new dict: the threads that read an image which is not in it stop.
        self._wanted = {**ahead, image_id: (epoch, path, frame)}
        self._order += 1
        self._start(image_id, path, frame, priority=self._order)

    def preload(self, image_id: int, path: Path, *, frame: int = 0) -> None:
        """Load an image that will probably be wanted next; silent when it fails."""
        picture = self.cached(image_id)
        if picture is not None:
            self.preloaded.emit(picture)
        elif image_id not in self._wanted and not self._has_ended:
            self._wanted[image_id] = (0, path, frame)
            self._start(image_id, path, frame, priority=0)

    @property
    def ahead(self) -> int:
        """How many images are being read ahead of time."""
        return sum(not epoch for epoch, _path, _frame in self._wanted.values())

    def keep_near(self, image_ids: Sequence[int]) -> None:
        """These are kept as long as there is memory, the first the longest; all others go before them."""
        self._near, self._near_set = tuple(image_ids), frozenset(image_ids)

    def holds(self, image_id: int) -> bool:
        """Whether an image is in memory, through whatever window."""
        return image_id in self._cache

    def cached(self, image_id: int) -> Picture | None:
        """An image that is in memory; not one that is to be shown through another window by now."""
        picture = self._cache.get(image_id)
        if picture is None or not is_through(picture, self.window_of(picture.loaded)):
            return None
        return picture

    def keep_instead(self, picture: Picture) -> None:
        """Keep an image in the place of what it was."""
        before = self._cache.get(picture.image_id)
        if before is not None:
            self._cache[picture.image_id] = picture
            self._bytes += picture.nbytes - before.nbytes

    def clear(self) -> None:
        """Forget everything (another project); running reads end unheard."""
        self._generation += 1
        self._cache.clear()
        self._bytes = 0
        self.keep_near(())
        self._wanted = {}
        self._reading.clear()

    def shut_down(self) -> None:
        """End running reads; call before the program ends. Nothing is read ahead of time any more."""
        self._has_ended = True
        self.clear()
        pools = (self._pool, self._ahead_pool)
        for pool in pools:
            pool.clear()
        interrupt()
        for pool in pools:
            pool.waitForDone(5000)

    def _start(self, image_id: int, path: Path, frame: int, *, priority: int) -> None:
        if image_id in self._reading or self._has_ended:  # nobody would be there to hear the answer
            return
        self._reading.add(image_id)
        generation, max_pixels, window_of = self._generation, self.max_pixels, self.window_of
        again = self._cache.get(image_id)

        def is_wanted() -> bool:
            return generation == self._generation and image_id in self._wanted

        def work() -> Picture | None:
            if not is_wanted():
                return None
            if again is not None:
                return picture_of(image_id, again.loaded, window_of(again.loaded), again.spread)
            loaded = load_image(path, frame=frame, max_pixels=max_pixels, is_native=True, may_be_overview=True)
            return picture_of(image_id, loaded, window_of(loaded)) if is_wanted() else None

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, image_id, result, error)

        (self._pool if priority else self._ahead_pool).start(PoolJob(work, done), priority)

    @Slot(int, object, object, object)
    def _on_arrived(self, generation: int, image_id: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        self._reading.discard(image_id)
        self._answer(image_id, result, error)
        self.ahead_ended.emit()

    def _answer(self, image_id: int, result: object, error: object) -> None:
        if isinstance(result, Picture):
            self._keep(result)
        if image_id not in self._wanted:
            return
        epoch, path, frame = self._wanted[image_id]
        if result is None and error is None:
            # Given up, and wanted again meanwhile.
            self._order += 1
            self._start(image_id, path, frame, priority=self._order if epoch else 0)
            return
        del self._wanted[image_id]
        if isinstance(result, Picture):
            if epoch:
                self.loaded.emit(epoch, result)
            else:
                self.preloaded.emit(result)
        elif epoch:
            self.failed.emit(epoch, image_id, _message(error))

    def _keep(self, picture: Picture) -> None:
        before = self._cache.pop(picture.image_id, None)
        self._bytes += picture.nbytes - (0 if before is None else before.nbytes)
        self._cache[picture.image_id] = picture
        others = [one for one in self._cache if one not in self._near_set and one != picture.image_id]
        beside = sum(self._cache[one].nbytes for one in others)
        for one in others:
            most = LRU_IMAGES if beside > SMALL_BYTES else LRU_SMALL_IMAGES
            if len(self._cache) == 1 or (self._bytes <= kept_bytes() and len(others) <= most):
                break
            beside -= self._cache[one].nbytes
            others = others[1:]
            self._drop(one)
        for one in reversed(self._near):
            if len(self._cache) == 1 or self._bytes <= kept_bytes():
                break
            if one in self._cache:
                self._drop(one)

    def _drop(self, image_id: int) -> None:
        self._bytes -= self._cache.pop(image_id).nbytes


class ThumbnailLoader(QObject):
    """Thumbnails on one thread of their own, newest request first: what is in view comes before what was."""

    ready = Signal(object, QPixmap)
    """(image id, pixmap)"""
    failed = Signal(object, str)
    """(image id, why it has no thumbnail)"""
    _arrived = Signal(int, object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._waiting: list[tuple[int, Path, int]] = []
        self._is_running = self._has_ended = False
        self._generation = 0
        self._arrived.connect(self._on_arrived)
        self.max_pixels = DEFAULT_MAX_PIXELS
        """Larger images have no thumbnail."""

    def request(self, image_id: int, path: Path, *, frame: int = 0) -> None:
        if self._has_ended:  # a window that closes is painted once more
            return
        self._waiting.append((image_id, path, frame))
        if not self._is_running:
            self._next()

    def refuse(self, image_id: int, error: UserError) -> None:
        """It has none; reported later, because thumbnails are asked for while they are painted."""
        generation = self._generation

        def tell() -> None:
            if generation == self._generation:
                self.failed.emit(image_id, str(error))

        QTimer.singleShot(0, self, tell)

    def clear(self) -> None:
        self._generation += 1
        self._waiting.clear()
        self._is_running = False

    def shut_down(self) -> None:
        """Nothing is read any more; what is being read ends unheard."""
        self._has_ended = True
        self.clear()
        self._pool.clear()
        self._pool.waitForDone(5000)

    def _next(self) -> None:
        if not self._waiting:
            self._is_running = False
            return
        self._is_running = True
        image_id, path, frame = self._waiting.pop()
        generation, max_pixels = self._generation, self.max_pixels

        def work() -> QImage:
            rgb = load_thumbnail(path, frame=frame, max_side=_THUMB_PX, max_pixels=max_pixels)
            height, width = rgb.shape[:2]
            return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()

        def done(result: object, error: Exception | None) -> None:
            self._arrived.emit(generation, image_id, result, error)

        self._pool.start(PoolJob(work, done))

    @Slot(int, object, object, object)
    def _on_arrived(self, generation: int, image_id: int, result: object, error: object) -> None:
        if generation != self._generation:
            return
        if isinstance(result, QImage):
            self.ready.emit(image_id, QPixmap.fromImage(result))
        else:
            self.failed.emit(image_id, _message(error))
        self._next()


def _message(error: object) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Exception):
        _log.error("an image could not be loaded: %s", "".join(traceback.format_exception(error)))
        return f"The image cannot be shown because of an error in the program ({type(error).__name__}: {error})."
    return "The image cannot be shown."
