"""What lies in the scene beside masks: the image, the prompts, the rubber band.

Scene coordinates are image pixels: x right, y down, the pixel centre at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QTransform
from PySide6.QtWidgets import QGraphicsItem, QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import RgbArray
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.frame_tiles import FrameTiles
from annotator.ui.canvas.prepared import PreparedImage

NEAREST_ABOVE = 2.0
GRID_ABOVE = 16.0
MARKER_RADIUS_PX = 7.0
HANDLE_SIDE_PX = 7.0
_CASING = QColor(0, 0, 0, 150)


def device_scale(painter: QPainter) -> float:
    """Device pixels per image pixel.

    From the world transform: the device transform of a widget also holds where the widget lies in its window.
    """
    return painter.worldTransform().m11() * painter.device().devicePixelRatioF()


def device_transform(painter: QPainter) -> QTransform:
    """From the scene to device pixels."""
    ratio = painter.device().devicePixelRatioF()
    return painter.worldTransform() * QTransform.fromScale(ratio, ratio)


class ImageItem(QGraphicsItem):
    """The photograph: the level that fits the zoom, smooth up to 200 %, square pixels above, a grid from 1600 %."""

    def __init__(self) -> None:
        super().__init__()
        self._image: PreparedImage | None = None
        self.tiles: FrameTiles | None = None
        """Of an image that is too large to be held."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    @property
    def image(self) -> PreparedImage | None:
        return self._image

    def set_image(self, image: PreparedImage | None) -> None:
        self.prepareGeometryChange()
        if self.tiles is not None:
            self.tiles.close()
        self._image, self.tiles = image, None
        if image is not None and image.read is not None:
            step = image.width / image.levels[0].width()
            self.tiles = FrameTiles(image.width, image.height, step, image.read)
            self.tiles.changed.connect(self.update)
        self.update()

    def boundingRect(self) -> QRectF:
        return QRectF() if self._image is None else QRectF(0, 0, self._image.width, self._image.height)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        image = self._image
        if image is None:
            return
        scale = device_scale(painter)
        zoom = scale / painter.device().devicePixelRatioF()
        exposed = option.exposedRect.intersected(self.boundingRect())
        if self.tiles is not None:
            self._draw_large(painter, image, exposed, is_view=widget is not None)
        elif zoom > NEAREST_ABOVE:
            _draw_squares(painter, image.pixels[0], exposed)
        else:
            # Without antialiasing the image ends on whole device pixels, also where only a part is repainted.
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
            draw_part(painter, self._level_for(image, scale), exposed, self.boundingRect())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        if zoom > GRID_ABOVE:
            self._draw_grid(painter, exposed)

    def _draw_large(self, painter: QPainter, image: PreparedImage, exposed: QRectF, *, is_view: bool) -> None:
        """The overview, and over it the tiles that are there; a view asks for those that are missing in all of it."""
        assert self.tiles is not None
        scale, device = device_scale(painter), painter.device()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        overview = self._level_for(image, scale * image.width / image.levels[0].width())
        draw_part(painter, overview, exposed, self.boundingRect())
        is_smooth = scale <= NEAREST_ABOVE * device.devicePixelRatioF()
        self.tiles.draw(painter, exposed, scale, is_smooth=is_smooth)
        if is_view:
            whole = QRectF(0, 0, device.width(), device.height())
            seen = painter.worldTransform().inverted()[0].mapRect(whole)
            self.tiles.want(seen.intersected(self.boundingRect()), scale)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)

    @staticmethod
    def _level_for(image: PreparedImage, scale: float) -> QImage:
        """The smallest level that still has a pixel for every device pixel."""
        index, shrunk = 0, scale * 2
        while shrunk <= 1.0 and index + 1 < len(image.levels):
            index, shrunk = index + 1, shrunk * 2
        return image.levels[index]

    @staticmethod
    def _draw_grid(painter: QPainter, exposed: QRectF) -> None:
        pen = QPen(QColor(128, 128, 128, 90), 1)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        left, top = int(exposed.left()), int(exposed.top())
        lines = [QLineF(x, exposed.top(), x, exposed.bottom()) for x in range(left, int(exposed.right()) + 2)]
        lines += [QLineF(exposed.left(), y, exposed.right(), y) for y in range(top, int(exposed.bottom()) + 2)]
        painter.drawLines(lines)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)


@dataclass(frozen=True, slots=True)
class DeviceGrid:
    """Device pixels of a painter that a part of the scene covers, and the scene positions of their centres.

    Attributes:
        left, top, width, height: in device pixels.
        ratio: device pixels per logical pixel.
        xs, ys: image positions of the centres of columns and rows, ``margin`` more on each side.
    """

    left: int
    top: int
    width: int
    height: int
    ratio: float
    xs: npt.NDArray[np.float64]
    ys: npt.NDArray[np.float64]

    @classmethod
    def of(cls, painter: QPainter, part: QRectF, *, margin: int = 0) -> DeviceGrid | None:
        """The grid under ``part`` (scene), cut to the device; None when nothing is left."""
        device = painter.device()
        ratio = device.devicePixelRatioF()
        # An image or pixmap tells its size in device pixels, a widget in logical ones.
        size = ratio if isinstance(device, QWidget) else 1.0
        whole = QRectF(0, 0, device.width() * size, device.height() * size)
        to_device = device_transform(painter)
        origin = to_device.dx(), to_device.dy()
        return cls.under(part, scale=to_device.m11(), origin=origin, ratio=ratio, margin=margin, within=whole)

    @classmethod
    def under(
        cls,
        part: QRectF,
        *,
        scale: float,
        origin: tuple[float, float],
        ratio: float,
        margin: int = 0,
        within: QRectF | None = None,
    ) -> DeviceGrid | None:
        """The grid under ``part`` (scene) where ``origin`` is the scene's in device pixels, cut to ``within``."""
        moved = QRectF(part.topLeft() * scale, part.size() * scale).translated(*origin)
        area = (moved if within is None else moved.intersected(within)).toAlignedRect()
        if area.isEmpty():
            return None
        left, top, width, height = area.x(), area.y(), area.width(), area.height()
        columns = np.arange(left - margin, left + width + margin, dtype=np.float64) + 0.5
        rows = np.arange(top - margin, top + height + margin, dtype=np.float64) + 0.5
        return cls(left, top, width, height, ratio, (columns - origin[0]) / scale, (rows - origin[1]) / scale)

    def holds(self, other: DeviceGrid) -> bool:
        """Whether it has all device pixels of another one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.left + self.width >= other.left + other.width
            and self.top + self.height >= other.top + other.height
        )

    def draw(self, painter: QPainter, image: QImage, *, at: tuple[int, int] = (0, 0)) -> None:
        """Draw so many device pixels of an image, unscaled, from a place in it on."""
        image.setDevicePixelRatio(self.ratio)
        painter.save()
        painter.resetTransform()
        place = QPointF(self.left / self.ratio, self.top / self.ratio)
        painter.drawImage(place, image, QRectF(*at, self.width, self.height))
        painter.restore()


def _draw_squares(painter: QPainter, rgb: RgbArray, exposed: QRectF) -> None:
    """Each image pixel as a square, sampled at the centres of the device pixels.

    Qt's own scaling rounds by where the repainted part begins, which shows as seams while panning.
    """
    grid = DeviceGrid.of(painter, exposed)
    if grid is None:
        return
    height, width = rgb.shape[:2]
    columns, rows = np.floor(grid.xs).astype(np.int64), np.floor(grid.ys).astype(np.int64)
    x0, y0 = int(columns[0].clip(0, width - 1)), int(rows[0].clip(0, height - 1))
    crop = rgb[y0 : int(rows[-1].clip(0, height - 1)) + 1, x0 : int(columns[-1].clip(0, width - 1)) + 1]
    packed = np.zeros((*crop.shape[:2], 4), np.uint8)
    packed[..., :3], packed[..., 3] = crop[..., ::-1], 255
    words = packed.view(np.uint32)[..., 0]
    inner_rows, inner_columns = (rows - y0).clip(0, crop.shape[0] - 1), (columns - x0).clip(0, crop.shape[1] - 1)
    pixels = words.take(inner_rows, axis=0).take(inner_columns, axis=1)
    pixels[(rows < 0) | (rows >= height)] = 0
    pixels[:, (columns < 0) | (columns >= width)] = 0
    image = QImage(pixels.data, grid.width, grid.height, 4 * grid.width, QImage.Format.Format_ARGB32_Premultiplied)
    grid.draw(painter, image)


def draw_part(painter: QPainter, image: QImage, exposed: QRectF, place: QRectF) -> None:
    """Draw the exposed part of ``image``, which fills ``place`` in the scene.

    Only whole source pixels around the exposed part are named: Qt's fixed-point steps would drift over the whole of a
    large image at a high zoom, and half pixels at the border would leave seams.
    """
    if exposed.isEmpty() or place.isEmpty():
        return
    sx, sy = image.width() / place.width(), image.height() / place.height()
    x0 = max(0, int((exposed.left() - place.left()) * sx) - 2)
    y0 = max(0, int((exposed.top() - place.top()) * sy) - 2)
    x1 = min(image.width(), int((exposed.right() - place.left()) * sx) + 3)
    y1 = min(image.height(), int((exposed.bottom() - place.top()) * sy) + 3)
    target = QRectF(place.left() + x0 / sx, place.top() + y0 / sy, (x1 - x0) / sx, (y1 - y0) / sy)
    painter.drawImage(target, image, QRectF(x0, y0, x1 - x0, y1 - y0))


def spilled(place: QRectF, zoom: float, *, outline_px: float = 2.0) -> QRectF:
    """``place`` with room for lines that are constant on the screen, hence wide in the scene of a small view."""
    margin = 1.0 + (outline_px / 2 + 4.0) / zoom
    return place.adjusted(-margin, -margin, margin, margin)


class PointItem(QGraphicsItem):
    """A click, of constant size on the screen: a filled disc with a plus, or a ring with a minus."""

    def __init__(self, point: PointPrompt, colour: QColor) -> None:
        super().__init__()
        self.point = point
        self._colour = colour
        self.setPos(point.x, point.y)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIgnoresTransformations)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def set_colour(self, colour: QColor) -> None:
        self._colour = colour
        self.update()

    def boundingRect(self) -> QRectF:
        side = MARKER_RADIUS_PX + 3
        return QRectF(-side, -side, 2 * side, 2 * side)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        radius, centre = MARKER_RADIUS_PX, QPointF(0, 0)
        arm = radius - 3
        if self.point.is_positive:
            painter.setPen(QPen(_CASING, 1))
            painter.setBrush(QColor(255, 255, 255))
            painter.drawEllipse(centre, radius + 1, radius + 1)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._colour)
            painter.drawEllipse(centre, radius - 0.5, radius - 0.5)
            painter.setPen(QPen(QColor(255, 255, 255), 2))
            painter.drawLine(QPointF(0, -arm), QPointF(0, arm))
        else:
            painter.setPen(QPen(_CASING, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(centre, radius + 1.5, radius + 1.5)
            painter.setBrush(QColor(255, 255, 255, 225))
            painter.setPen(QPen(self._colour, 2.5))
            painter.drawEllipse(centre, radius - 0.5, radius - 0.5)
        painter.drawLine(QPointF(-arm, 0), QPointF(arm, 0))


class _HandleItem(QGraphicsItem):
    """One of a box's eight handles, of constant size on the screen."""

    def __init__(self, parent: QGraphicsItem) -> None:
        super().__init__(parent)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIgnoresTransformations)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def boundingRect(self) -> QRectF:
        side = HANDLE_SIDE_PX / 2 + 1
        return QRectF(-side, -side, 2 * side, 2 * side)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        side = HANDLE_SIDE_PX
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1))
        painter.setBrush(QColor(255, 255, 255))
        painter.drawRect(QRectF(-side / 2, -side / 2, side, side))


class BoxItem(QGraphicsRectItem):
    """A box prompt or the rubber band: a dashed rectangle, light on dark so that it shows on any image."""

    def __init__(self, colour: QColor, *, has_handles: bool) -> None:
        super().__init__()
        self._colour = colour
        self._zoom = 1.0
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self._handles = [_HandleItem(self) for _ in range(8)] if has_handles else []

    def set_colour(self, colour: QColor) -> None:
        self._colour = colour
        self.update()

    def set_zoom(self, zoom: float) -> None:
        self.prepareGeometryChange()
        self._zoom = zoom

    def set_box(self, box: Box) -> None:
        self.setRect(QRectF(box.x0, box.y0, box.width, box.height))
        (cx, cy), (x0, y0, x1, y1) = box.center, box.as_xyxy()
        places = ((x0, y0), (cx, y0), (x1, y0), (x1, cy), (x1, y1), (cx, y1), (x0, y1), (x0, cy))
        for handle, (x, y) in zip(self._handles, places, strict=False):
            handle.setPos(x, y)

    def boundingRect(self) -> QRectF:
        return spilled(self.rect(), self._zoom)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # The width of a cosmetic pen counts device pixels.
        ratio = painter.device().devicePixelRatioF()
        for colour, width, style in (
            (_CASING, 3.0, Qt.PenStyle.SolidLine),
            (self._colour, 1.5, Qt.PenStyle.CustomDashLine),
        ):
            pen = QPen(colour, width * ratio)
            pen.setCosmetic(True)
            if style is Qt.PenStyle.CustomDashLine:
                pen.setDashPattern([4.0, 3.0])
            painter.setPen(pen)
            painter.drawRect(self.rect())
