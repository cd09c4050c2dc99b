"""The tiles of an image that is too large to be held: read on threads while they are looked at, the newest wish first.

What is not there yet is seen in the tiles of smaller levels, and below all of them in the overview.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, QRectF, QRunnable, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage, QPainter

from annotator.domain.answering.zoom import Region
from annotator.ui.canvas.prepared import ReadRegion

SIDE_PX = 512
"""Of a tile."""
CACHE_BYTES = 384 << 20
"""Tiles that were looked at longest ago go beyond this."""
_THREADS = 2
_COARSER = 4
"""So many levels above the wanted one are looked at for what is missing."""

Place = tuple[int, int, int]
"""Level (a pixel of the tile is 2 ** level of the image), column, row."""


class FrameTiles(QObject):
    """Tiles of one image. Lives on the GUI thread.

    Args:
        width, height: of the image in pixels.
        overview_step: image pixels to each of the overview's, below which no tile is needed.
        read: for any thread.
    """

    changed = Signal(QRectF)
    """A part of the image can be painted better now."""
    failed = Signal(object)
    """The exception that the first tile that could not be read raised."""
    settled = Signal()
    """Everything that is in view is there."""
    _arrived = Signal(object, object, object)

    def __init__(self, width: int, height: int, overview_step: float, read: ReadRegion) -> None:
        super().__init__()
        self._width, self._height, self._overview_step, self._read = width, height, overview_step, read
        self._tiles: OrderedDict[Place, QImage] = OrderedDict()
        self._nbytes = 0
        self._wanted: list[Place] = []
        self._running: set[Place] = set()
        self._lost: set[Place] = set()
        self._is_over = False
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(_THREADS)
        self._arrived.connect(self._on_arrived)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @property
    def is_settled(self) -> bool:
        """Whether nothing is read or waits to be."""
        return not self._wanted and not self._running

    def draw(self, painter: QPainter, exposed: QRectF, scale: float, *, is_smooth: bool) -> None:
        """Paint what is there of a part of the image, the smaller levels first.

        Args:
            scale: device pixels per image pixel.
        """
        level = self._level_for(scale)
        if level is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, is_smooth)
        for coarser in range(level + _COARSER, level - 1, -1):
            for place in self._places(exposed, coarser):
                tile = self._tiles.get(place)
                if tile is not None:
                    self._draw(painter, place, tile, exposed)
                    self._tiles.move_to_end(place)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)

    def want(self, seen: QRectF, scale: float) -> None:
        """This part of the image is in view: read what is missing of it, from the middle on; nothing else any more."""
        level = self._level_for(scale)
        missing = [] if level is None else [p for p in self._places(seen, level) if self._is_missing(p)]
        middle = seen.center()

        def distance(place: Place) -> float:
            centre = self.rect_of(place).center()
            return math.hypot(centre.x() - middle.x(), centre.y() - middle.y())

        self._wanted = sorted(missing, key=distance)
        self._go_on()

    def close(self) -> None:
        """Another image is shown: what still runs ends unheard."""
        self._is_over = True
        if self._running:
            _ending.add(self)  # its threads still have something to tell
        self._wanted = []
        self._tiles.clear()
        self._nbytes = 0

    def region_of(self, place: Place) -> Region:
        """What a tile shows of the image, in its pixels."""
        level, column, row = place
        side = SIDE_PX << level
        x0, y0 = column * side, row * side
        return Region(x0, y0, min(self._width, x0 + side), min(self._height, y0 + side))

    def rect_of(self, place: Place) -> QRectF:
        region = self.region_of(place)
        return QRectF(region.x0, region.y0, region.width, region.height)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _level_for(self, scale: float) -> int | None:
        """The coarsest with a pixel for every device pixel; None where the overview has them."""
        level = max(0, math.floor(math.log2(1 / scale) + 1e-6)) if scale < 1 else 0
        return None if (1 << level) >= self._overview_step else level

    def _places(self, part: QRectF, level: int) -> Iterator[Place]:
        side = SIDE_PX << level
        left, top = max(0.0, part.left()), max(0.0, part.top())
        right, bottom = min(float(self._width), part.right()), min(float(self._height), part.bottom())
        if left >= right or top >= bottom:
            return
        for row in range(math.floor(top / side), math.ceil(bottom / side)):
            for column in range(math.floor(left / side), math.ceil(right / side)):
                yield level, column, row

    def _is_missing(self, place: Place) -> bool:
        return place not in self._tiles and place not in self._running and place not in self._lost

    def _draw(self, painter: QPainter, place: Place, tile: QImage, exposed: QRectF) -> None:
        whole = self.rect_of(place)
        part = whole.intersected(exposed)
        across, down = tile.width() / whole.width(), tile.height() / whole.height()
        # Whole pixels of the tile, so that a part that is painted again lies where it lay before.
        x0, y0 = math.floor((part.left() - whole.left()) * across), math.floor((part.top() - whole.top()) * down)
        x1 = min(tile.width(), math.ceil((part.right() - whole.left()) * across) + 1)
        y1 = min(tile.height(), math.ceil((part.bottom() - whole.top()) * down) + 1)
        target = QRectF(whole.left() + x0 / across, whole.top() + y0 / down, (x1 - x0) / across, (y1 - y0) / down)
        painter.drawImage(target, tile, QRectF(x0, y0, x1 - x0, y1 - y0))

    def _go_on(self) -> None:
        while self._wanted and len(self._running) < _THREADS and not self._is_over:
            place = self._wanted.pop(0)
            self._running.add(place)
            self._pool.start(_Reading(self._read, self.region_of(place), place, self._arrived.emit))
        if self.is_settled:
            self.settled.emit()

    @Slot(object, object, object)
    def _on_arrived(self, place: Place, tile: QImage | None, error: Exception | None) -> None:
        self._running.discard(place)
        if self._is_over:
            if not self._running:
                _ending.discard(self)
            return
        if tile is not None:
            self._keep(place, tile)
            self.changed.emit(self.rect_of(place))
        else:
            is_first = not self._lost
            self._lost.add(place)
            if is_first:
                self.failed.emit(error)
        self._go_on()

    def _keep(self, place: Place, tile: QImage) -> None:
        self._tiles[place] = tile
        self._nbytes += tile.sizeInBytes()
        while self._nbytes > CACHE_BYTES and len(self._tiles) > 1:
            self._nbytes -= self._tiles.popitem(last=False)[1].sizeInBytes()


_ending: set[FrameTiles] = set()
_Done = Callable[[Place, QImage | None, Exception | None], None]


class _Reading(QRunnable):
    """Reads a tile and hands it, or what was raised, to ``done``."""

    def __init__(self, read: ReadRegion, region: Region, place: Place, done: _Done) -> None:
        super().__init__()
        self._read, self._region, self._place, self._done = read, region, place, done

    def run(self) -> None:
        step = 1 << self._place[0]
        size = (-(-self._region.width // step), -(-self._region.height // step))
        try:
            rgb = self._read(self._region, size)
            view = QImage(rgb.data, size[0], size[1], 3 * size[0], QImage.Format.Format_RGB888)
            tile = view.convertToFormat(QImage.Format.Format_RGB32)
        except Exception as error:  # handed on: the GUI thread decides
            self._done(self._place, None, error)
        else:
            self._done(self._place, tile, None)
