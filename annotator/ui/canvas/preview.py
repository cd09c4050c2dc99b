"""The image through a window that is still being dragged: as many pixels as the screen has, over the full image."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from annotator.ui.canvas.items import draw_part
from annotator.ui.canvas.overlays import Overlays
from annotator.ui.canvas.prepared import PreparedImage
from annotator.ui.canvas.view import ImageView

_DEPTH = 0.5
"""Above the image, below the accepted masks."""


@dataclass(frozen=True, slots=True)
class PartInView:
    """What of the image is seen, in whole image pixels, and how many of them share a pixel of the screen.

    Attributes:
        left, top, width, height: inside the image.
        step: 1 where the screen shows every pixel.
    """

    left: int
    top: int
    width: int
    height: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """``image`` fills ``place`` (image pixels)."""

    image: QImage
    place: QRectF


class WindowPreview(QGraphicsItem):
    """Painted over the image while there is one; the objects lie on top as ever."""

    def __init__(self, view: ImageView, overlays: Overlays) -> None:
        super().__init__()
        self._view, self._overlays = view, overlays
        self._preview: Preview | None = None
        self.setZValue(_DEPTH)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        view.scene().addItem(self)

    @property
    def preview(self) -> Preview | None:
        return self._preview

    def show_preview(self, preview: Preview | None) -> None:
        """None: the image itself is seen again."""
        self.prepareGeometryChange()
        self._preview = preview
        self.update()

    def set_pixels(self, prepared: PreparedImage) -> None:
        """The same image in other greys: the view, the objects and a half-made gesture stay.

        Raises:
            ValueError: it has another size.
        """
        if (prepared.width, prepared.height) != self._view.image_size:
            raise ValueError(f"{prepared.width} x {prepared.height} is not the image of {self._view.image_size}")
        self._overlays.set_pixels(prepared)
        self.show_preview(None)

    def part_in_view(self) -> PartInView:
        """What of the image is seen, and how finely."""
        view = self._view
        seen = view.mapToScene(view.viewport().rect()).boundingRect()
        width, height = view.image_size
        left, top = max(0, math.floor(seen.left())), max(0, math.floor(seen.top()))
        right, bottom = min(width, math.ceil(seen.right())), min(height, math.ceil(seen.bottom()))
        step = max(1, math.floor(1.0 / (view.zoom * view.devicePixelRatioF())))
        return PartInView(left, top, max(0, right - left), max(0, bottom - top), step)

    def boundingRect(self) -> QRectF:
        return QRectF() if self._preview is None else self._preview.place

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._preview is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        is_shrunk = painter.worldTransform().m11() < 2.0
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, is_shrunk)
        exposed = option.exposedRect.intersected(self.boundingRect())
        draw_part(painter, self._preview.image, exposed, self._preview.place)
