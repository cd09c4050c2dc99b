"""A loupe at the pointer while its key is held: what is under it, larger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen

from annotator.ui.canvas.mask_items import ObjectLayer
from annotator.ui.canvas.overlays import Overlays
from annotator.ui.canvas.view import MAX_ZOOM

if TYPE_CHECKING:
    from annotator.ui.canvas.display import CanvasDisplay

SIDE_PX = 260
ENLARGED = 4.0
"""Times the zoom of the view, and at least ``LEAST_ZOOM``."""
LEAST_ZOOM = 4.0
_RIM_PX, _CROSS_PX, _CROSS_GAP_PX = 3.0, 12.0, 4.0
_DARK, _LIGHT = QColor(0, 0, 0, 190), QColor(255, 255, 255)


class Loupe:
    """Paints image, masks and prompts once more; asks for repaints of its own place alone."""

    def __init__(self, view: CanvasDisplay, overlays: Overlays) -> None:
        self._view, self._overlays = view, overlays
        self.is_shown = False
        self._at: tuple[float, float] | None = None
        """Image position under its middle; None while the pointer is elsewhere."""

    @property
    def zoom(self) -> float:
        """View pixels per image pixel inside of it."""
        return min(MAX_ZOOM, max(LEAST_ZOOM, ENLARGED * self._view.zoom))

    def set_shown(self, is_shown: bool) -> None:
        self._update()
        self.is_shown = is_shown
        self._update()

    def move_to(self, x: float, y: float, is_inside: bool) -> None:
        """The pointer is at this place of the image, or not over it."""
        self._update()
        self._at = (x, y) if is_inside else None
        self._update()

    @property
    def place(self) -> QRectF:
        """In view pixels; empty while there is nothing to show."""
        if not self.is_shown or self._at is None or not self._view.has_image:
            return QRectF()
        middle = self._view.image_to_view(*self._at)
        return QRectF(middle.x() - SIDE_PX / 2, middle.y() - SIDE_PX / 2, SIDE_PX, SIDE_PX)

    def paint(self, painter: QPainter) -> None:
        place = self.place
        if place.isEmpty():
            return
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        circle = QPainterPath()
        circle.addEllipse(place)
        painter.save()
        painter.setClipPath(circle, Qt.ClipOperation.IntersectClip)
        painter.drawImage(place.topLeft(), self._enlarged(painter.device().devicePixelRatioF()))
        painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((_DARK, _RIM_PX + 2), (_LIGHT, _RIM_PX - 1)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(place.adjusted(_RIM_PX, _RIM_PX, -_RIM_PX, -_RIM_PX))
        for colour, width in ((_DARK, 3.0), (_LIGHT, 1.25)):
            painter.setPen(QPen(colour, width))
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                arm = QPointF(dx, dy)
                painter.drawLine(place.center() + arm * _CROSS_GAP_PX, place.center() + arm * _CROSS_PX)
        painter.restore()

    def _enlarged(self, ratio: float) -> QImage:
        """What is round the pointer, as large as the loupe."""
        image = QImage(round(SIDE_PX * ratio), round(SIDE_PX * ratio), QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        image.fill(self._view.backgroundBrush().color())
        x, y = self._at or (0.0, 0.0)
        side = SIDE_PX / self.zoom
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        with _painted_once_more(self._overlays.layer, self._overlays.proposals):
            whole = QRectF(0, 0, SIDE_PX, SIDE_PX)
            self._view.scene().render(painter, whole, QRectF(x - side / 2, y - side / 2, side, side))
        painter.end()
        return image

    def _update(self) -> None:
        place = self.place
        if not place.isEmpty():
            self._view.viewport().update(place.adjusted(-2, -2, 2, 2).toAlignedRect())


@contextmanager
def _painted_once_more(*layers: ObjectLayer) -> Iterator[None]:
    """While the scene is painted at another zoom: what the view has painted for itself is not used, and stays."""
    exposed = [layer.exposed_rects for layer in layers]
    for layer in layers:
        layer.exposed_rects, layer.is_direct = (), True
    try:
        yield
    finally:
        for layer, rects in zip(layers, exposed, strict=True):
            layer.exposed_rects, layer.is_direct = rects, False
