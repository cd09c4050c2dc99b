"""Masks as they were painted, for one zoom and look each: what is painted anew beside them costs them little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage, QPainter

from annotator.ui.canvas.items import DeviceGrid, device_transform
from annotator.ui.canvas.mask_picture import MaskBrush, MaskPicture

MOST_SIDE_PX = 64.0
"""Larger masks are painted where they are seen: in device pixels."""
LIMIT_BYTES = 32 << 20
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class _Painted:
    """``place``: the upper left corner in device pixels, from where ``phase`` (0..1 of a pixel) counts."""

    brush: MaskBrush
    phase: tuple[float, float]
    image: QImage
    place: tuple[int, int]


class PaintedMask:
    """One mask of any size as it was painted last: while something is drawn over it, it is painted again and again."""

    def __init__(self) -> None:
        self._picture: MaskPicture | None = None
        self._brush: MaskBrush | None = None
        self._origin = (0.0, 0.0)
        self._grid: DeviceGrid | None = None
        self._image = QImage()

    def paint(self, picture: MaskPicture, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        """Paint what of a mask is in ``exposed`` (scene)."""
        grid = None if picture.place.isEmpty() else picture.grid_of(painter, brush, exposed)
        if grid is None:
            return
        to_device = device_transform(painter)
        origin = to_device.dx(), to_device.dy()
        is_same = picture is self._picture and brush is self._brush and origin == self._origin
        if not (is_same and self._grid is not None and self._grid.holds(grid)):
            self._picture, self._brush, self._origin, self._grid = picture, brush, origin, grid
            self._image = picture.image_on(grid, brush).copy()  # that one's memory goes
        kept = self._grid or grid
        grid.draw(painter, self._image, at=(grid.left - kept.left, grid.top - kept.top))


class PaintedMasks:
    """Of one layer."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: WeakKeyDictionary[MaskPicture, _Painted] = WeakKeyDictionary()
        self._used_bytes = 0

    def paint(self, picture: MaskPicture, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        """Paint a mask; the painter's clip has to end at ``exposed`` (scene)."""
        if picture.side * brush.scale > MOST_SIDE_PX:
            picture.paint(painter, brush, exposed)
            return
        to_device = device_transform(painter)
        left, top = math.floor(to_device.dx() + _SAME), math.floor(to_device.dy() + _SAME)
        phase = to_device.dx() - left, to_device.dy() - top
        kept = self._kept.get(picture)
        if kept is None or kept.brush is not brush or math.dist(kept.phase, phase) > _SAME:
            kept = self._painted(picture, brush, phase)
        if kept is None:
            return
        painter.save()
        painter.resetTransform()
        x, y = kept.place[0] + left, kept.place[1] + top
        painter.drawImage(QPointF(x / brush.ratio, y / brush.ratio), kept.image)
        painter.restore()

    def _painted(self, picture: MaskPicture, brush: MaskBrush, phase: tuple[float, float]) -> _Painted | None:
        grid = DeviceGrid.under(
            picture.with_spill(brush), scale=brush.scale, origin=phase, ratio=brush.ratio, margin=picture.margin(brush)
        )
        if grid is None:
            return None
        image = picture.image_on(grid, brush).copy()  # that one's memory goes
        image.setDevicePixelRatio(brush.ratio)
        self._used_bytes += image.sizeInBytes()
        if self._used_bytes > self._limit_bytes:
            self._kept.clear()
            self._used_bytes = image.sizeInBytes()
        kept = self._kept[picture] = _Painted(brush, phase, image, (grid.left, grid.top))
        return kept
