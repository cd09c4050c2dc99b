"""A layer of thousands of objects, painted once per zoom into tiles: panning shows them again, zooming stretches the
tiles of the zoom before until the new ones are painted, a few at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QImage, QPainter

SIDE_PX = 160
"""Of a tile, in device pixels."""
BAND_PX = 24
"""Of a tile so much is painted before it is asked whether there is time for more: it may hold a hundred new objects."""
SLICE_S = 0.005
"""So long tiles are painted in one go: less than half a frame."""
REST_MS = 40
"""Tiles of a new zoom are begun when it has not changed for so long."""
MOST_TILES = 1200
"""More of them (120 MB) are not kept."""
Place = tuple[int, int]


@dataclass(slots=True)
class _Tile:
    image: QImage
    stale: QRectF
    """The part (device pixels of the tile) that has to be painted again; empty for none."""
    is_whole: bool = False
    """Whether it was ever painted from end to end."""


class LayerTiles:
    """Tiles of one layer in one view.

    Args:
        paint: paints a part of the scene (a rectangle in scene coordinates).
        changed: called with a part of the scene that can be painted better now.
    """

    def __init__(self, paint: Callable[[QPainter, QRectF], None], changed: Callable[[QRectF], None]) -> None:
        self._paint, self._changed = paint, changed
        self._scale, self._ratio = 0.0, 1.0
        self._tiles: dict[Place, _Tile] = {}
        self._before: tuple[float, dict[Place, _Tile]] = (0.0, {})
        self._wanted: list[Place] = []
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for is there."""
        return not self._wanted

    def clear(self) -> None:
        """Forget all: another image."""
        self._timer.stop()
        self._tiles, self._before, self._wanted = {}, (0.0, {}), []

    def renew(self) -> None:
        """All looks different; what is there is shown until it is painted again."""
        self._keep_as_before()
        self._tiles = {}

    def invalidate(self, part: QRectF) -> None:
        """A part of the scene looks different; it is painted again when it is drawn next."""
        if self._scale:
            for place in self._places(part):
                tile = self._tiles.get(place)
                if tile is not None:
                    inside = self._inside(place, part)
                    # Qt unites with a rectangle without height as well, where it has a width: a line of the tile.
                    tile.stale = inside if tile.stale.isEmpty() else tile.stale.united(inside)

    def draw(self, painter: QPainter, parts: Iterable[QRectF], *, scale: float, ratio: float) -> None:
        """Draw parts of the scene.

        Args:
            scale: device pixels per scene pixel.
            ratio: device pixels per logical pixel.
        """
        if (scale, ratio) != (self._scale, self._ratio):
            self._keep_as_before()
            self._scale, self._ratio, self._tiles, self._wanted = scale, ratio, {}, []
        has_before = bool(self._before[1])
        deadline = time.perf_counter() + SLICE_S
        missing = []
        for place in dict.fromkeys(place for part in parts for place in self._places(part)):
            tile = self._tiles.get(place)
            is_begun = tile is not None and not tile.is_whole
            if (tile is None and time.perf_counter() > deadline) or (has_before and (tile is None or is_begun)):
                self._draw_before(painter, place)
                missing.append(place)
                continue
            tile = tile or self._new(place)
            if not tile.stale.isEmpty() and time.perf_counter() < deadline:
                self._repaint(place, tile, deadline)
            if not tile.stale.isEmpty():
                missing.append(place)  # as it was, for a moment
            self._draw_tile(painter, place, tile)
        if missing:
            self._wanted = list(dict.fromkeys([*missing, *self._wanted]))
            self._timer.start(REST_MS if has_before else 0)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _places(self, part: QRectF) -> list[Place]:
        side = SIDE_PX / self._scale
        columns = range(math.floor(part.left() / side), math.ceil(part.right() / side))
        rows = range(math.floor(part.top() / side), math.ceil(part.bottom() / side))
        return [(column, row) for row in rows for column in columns]

    def _scene_rect(self, place: Place) -> QRectF:
        side = SIDE_PX / self._scale
        return QRectF(place[0] * side, place[1] * side, side, side)

    def _inside(self, place: Place, part: QRectF) -> QRectF:
        """A part of the scene in whole device pixels of a tile."""
        left, top = place[0] * SIDE_PX, place[1] * SIDE_PX
        moved = QRectF(part.topLeft() * self._scale, part.size() * self._scale).translated(-left, -top)
        return QRectF(moved.toAlignedRect()).intersected(QRectF(0, 0, SIDE_PX, SIDE_PX))

    def _keep_as_before(self) -> None:
        # What is only half there would be worse than what it replaces.
        if self._tiles and (self.is_complete or not self._before[1]):
            self._before = (self._scale, self._tiles)

    def _new(self, place: Place) -> _Tile:
        if len(self._tiles) >= MOST_TILES:
            self._tiles.clear()
        image = QImage(SIDE_PX, SIDE_PX, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(self._ratio)
        image.fill(Qt.GlobalColor.transparent)  # it may be drawn before all of it is painted
        tile = self._tiles[place] = _Tile(image, QRectF(0, 0, SIDE_PX, SIDE_PX))
        return tile

    def _repaint(self, place: Place, tile: _Tile, deadline: float) -> None:
        """Paint the stale part of a tile again, band by band, at least one."""
        while not tile.stale.isEmpty():
            rest = tile.stale
            height = min(rest.height(), BAND_PX)
            tile.stale = rest.adjusted(0, height, 0, 0)
            self._repaint_band(place, tile, QRectF(rest.left(), rest.top(), rest.width(), height))
            if time.perf_counter() > deadline:
                break
        tile.is_whole |= tile.stale.isEmpty()

    def _repaint_band(self, place: Place, tile: _Tile, part: QRectF) -> None:
        ratio, zoom = self._ratio, self._scale / self._ratio
        painter = QPainter(tile.image)
        painter.setClipRect(QRectF(part.topLeft() / ratio, part.size() / ratio))
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.fillRect(QRectF(part.topLeft() / ratio, part.size() / ratio), Qt.GlobalColor.transparent)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.translate(-place[0] * SIDE_PX / ratio, -place[1] * SIDE_PX / ratio)
        painter.scale(zoom, zoom)
        corner = QPointF(place[0] * SIDE_PX, place[1] * SIDE_PX) + part.topLeft()
        self._paint(painter, QRectF(corner / self._scale, part.size() / self._scale))
        painter.end()

    def _draw_tile(self, painter: QPainter, place: Place, tile: _Tile) -> None:
        """Unscaled, on whole device pixels."""
        origin = painter.worldTransform()
        left = place[0] * SIDE_PX + round(origin.dx() * self._ratio)
        top = place[1] * SIDE_PX + round(origin.dy() * self._ratio)
        painter.save()
        painter.resetTransform()
        painter.drawImage(QPointF(left / self._ratio, top / self._ratio), tile.image)
        painter.restore()

    def _draw_before(self, painter: QPainter, place: Place) -> None:
        """The tiles of the zoom before, stretched over the place of one that is missing."""
        scale, tiles = self._before
        if not tiles:
            return
        here, side = self._scene_rect(place), SIDE_PX / scale
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for column in range(math.floor(here.left() / side), math.ceil(here.right() / side)):
            for row in range(math.floor(here.top() / side), math.ceil(here.bottom() / side)):
                tile = tiles.get((column, row))
                if tile is None:
                    continue
                whole = QRectF(column * side, row * side, side, side)
                shared = whole.intersected(here)
                source = QRectF((shared.topLeft() - whole.topLeft()) * scale, shared.size() * scale)
                painter.drawImage(shared, tile.image, source)
        painter.restore()

    def _go_on(self) -> None:
        """Paint missing tiles for a moment; the rest later."""
        deadline = time.perf_counter() + SLICE_S
        while self._wanted and time.perf_counter() < deadline:
            place = self._wanted[0]
            tile = self._tiles.get(place) or self._new(place)
            self._repaint(place, tile, deadline)
            if tile.stale.isEmpty():
                self._wanted.pop(0)
                self._changed(self._scene_rect(place))
        if self._wanted:
            self._timer.start(0)
        else:
            self._before = (0.0, {})
