"""Masks in the scene. Each is painted from its own crop, never from an image-sized array.

The outline runs on pixel edges. It is a path where that is cheap, and otherwise made at the size of the screen, so
that a mask of any size costs no more than the pixels that are seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QByteArray, QDataStream, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from annotator.domain.mask import BoolArray, Mask
from annotator.ui.items import DeviceGrid, device_scale, draw_part, spilled

OUTLINE_PX = 2.0
PATH_MAX_PIXELS = 1_500_000
PATH_MAX_EDGES = 6_000
"""Masks with more pixels in their crop, or more straight pieces in their outline, are outlined at screen size."""
SMALL_PIXELS = 16_384
"""Crops up to here are kept in the format that paints fastest, four bytes a pixel."""
PLAIN_BELOW_PX = 14.0
"""Objects smaller than this on the screen are filled more strongly and have no outline."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """How a mask is painted. ``opacity`` 0..1 is the fill's; ``is_strong`` is the object in work."""

    colour: str
    opacity: float
    is_hovered: bool = False
    is_selected: bool = False
    is_strong: bool = False

    @property
    def fill(self) -> QColor:
        colour = QColor(self.colour)
        colour.setAlphaF(min(1.0, self.opacity + (0.15 if self.is_hovered else 0.0)))
        return colour

    @property
    def line(self) -> QColor:
        """The same hue, lighter."""
        colour = QColor(self.colour)
        share = 0.6 if self.is_hovered or self.is_strong else 0.35
        return QColor.fromRgbF(*(c + (1 - c) * share for c in (colour.redF(), colour.greenF(), colour.blueF())))


class MaskBrush:
    """A look made ready for one paint event, so that thousands of masks share it. ``scale``: device per image pixel."""

    def __init__(self, look: MaskLook, scale: float) -> None:
        self.look, self.scale = look, scale
        self.is_marked = look.is_selected or look.is_hovered or look.is_strong
        self.fill = look.fill.rgba()
        self.plain = self.fill | 0xC0000000
        lines = [(look.line, OUTLINE_PX)]
        if look.is_selected:
            lines.insert(0, (QColor(255, 255, 255), OUTLINE_PX + 2))
        self.pens = [_outline_pen(colour, width) for colour, width in lines]


def _outline_pen(colour: QColor, width: float) -> QPen:
    pen = QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap, Qt.PenJoinStyle.MiterJoin)
    pen.setCosmetic(True)
    return pen


class MaskPicture:
    """What is computed once for a mask: the picture of its crop and, where it is simple enough, its outline."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        height, width = mask.bits.shape
        self.place = QRectF(mask.x, mask.y, width, height)
        self._side = max(width, height)
        self._pixels = np.ascontiguousarray(mask.bits).view(np.uint8)
        self._image: QImage | None = None
        self._image_colour = 0
        self._outline: QPainterPath | None = None
        self._is_outline_known = False

    def paint(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        if self.place.isEmpty():
            return
        if self._side * brush.scale < PLAIN_BELOW_PX and not brush.is_marked:
            self._fill(painter, brush.plain, exposed)
        elif self._path() is None:
            self._paint_at_screen_size(painter, brush, exposed)
        else:
            self._fill(painter, brush.fill, exposed)
            self._stroke(painter, brush)

    def _fill(self, painter: QPainter, colour: int, exposed: QRectF) -> None:
        if self._image is None or self._image_colour != colour:
            height, width = self._pixels.shape
            image = QImage(self._pixels.data, width, height, width, QImage.Format.Format_Indexed8)
            image.setColorTable([0, colour])
            if height * width <= SMALL_PIXELS:
                image = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
            self._image, self._image_colour = image, colour
        if self._pixels.size <= SMALL_PIXELS:
            painter.drawImage(self.place, self._image)
        else:
            draw_part(painter, self._image, exposed.intersected(self.place), self.place)

    def _stroke(self, painter: QPainter, brush: MaskBrush) -> None:
        path = self._path()
        if path is None:
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in brush.pens:
            painter.setPen(pen)
            painter.drawPath(path)

    def _path(self) -> QPainterPath | None:
        if not self._is_outline_known:
            self._is_outline_known = True
            if self._pixels.size <= PATH_MAX_PIXELS:
                edges = pixel_edges(self.mask.bits)
                if len(edges) <= PATH_MAX_EDGES:
                    self._outline = _path_of(edges + np.array([self.mask.x, self.mask.y] * 2))
        return self._outline

    def _paint_at_screen_size(self, painter: QPainter, brush: MaskBrush, exposed: QRectF) -> None:
        """Sample the mask once per device pixel and draw fill and outline unscaled."""
        ratio = painter.device().devicePixelRatioF()
        margin = int(np.ceil((OUTLINE_PX + 2) * ratio))
        spill = margin / brush.scale
        seen = exposed.intersected(self.place.adjusted(-spill, -spill, spill, spill))
        grid = DeviceGrid.of(painter, seen, margin=margin)
        if grid is None:
            return
        inside = self._sampled(grid)
        layers = _layers(inside, ratio=ratio, is_selected=brush.look.is_selected)[margin:-margin, margin:-margin]
        pixels = np.ascontiguousarray(layers)
        image = QImage(pixels.data, grid.width, grid.height, grid.width, QImage.Format.Format_Indexed8)
        image.setColorTable([0, brush.fill, brush.look.line.rgba(), 0xFFFFFFFF])
        grid.draw(painter, image)

    def _sampled(self, grid: DeviceGrid) -> npt.NDArray[np.uint8]:
        """The mask at the grid's positions, 0 or 1."""
        columns = np.floor(grid.xs).astype(np.int64) - self.mask.x
        rows = np.floor(grid.ys).astype(np.int64) - self.mask.y
        h, w = self._pixels.shape
        sampled: npt.NDArray[np.uint8] = self._pixels.take(rows.clip(0, h - 1), axis=0)
        sampled = sampled.take(columns.clip(0, w - 1), axis=1)
        sampled[(rows < 0) | (rows >= h)] = 0
        sampled[:, (columns < 0) | (columns >= w)] = 0
        return sampled


def pixel_edges(bits: BoolArray) -> npt.NDArray[np.int64]:
    """The straight pieces of a mask's outline on pixel edges, N x 4 (x0, y0, x1, y1) from the crop's corner."""
    height, width = bits.shape
    padded = np.zeros((height + 2, width + 2), np.bool_)
    padded[1:-1, 1:-1] = bits
    flat = _runs(padded[1:] != padded[:-1])
    steep = _runs((padded[:, 1:] != padded[:, :-1]).T)
    edges = np.empty((len(flat) + len(steep), 4), np.int64)
    edges[: len(flat)] = np.stack((flat[:, 1] - 1, flat[:, 0], flat[:, 2] - 1, flat[:, 0]), axis=1)
    edges[len(flat) :] = np.stack((steep[:, 0], steep[:, 1] - 1, steep[:, 0], steep[:, 2] - 1), axis=1)
    return edges


def _runs(borders: BoolArray) -> npt.NDArray[np.int64]:
    """(row, start, stop) of each run of true values; the first and last column are false."""
    row, column = np.nonzero(borders[:, 1:] != borders[:, :-1])
    return np.stack((row[0::2], column[0::2] + 1, column[1::2] + 1), axis=1)


def _path_of(edges: npt.NDArray[np.int64]) -> QPainterPath:
    """A path of separate lines, handed to Qt in its own stream format: no Python call per line."""
    element = np.dtype([("kind", ">i4"), ("x", ">f8"), ("y", ">f8")])
    elements = np.zeros(2 * len(edges), element)
    elements["kind"][1::2] = 1  # a line to here; 0 moves there
    elements["x"][0::2], elements["y"][0::2] = edges[:, 0], edges[:, 1]
    elements["x"][1::2], elements["y"][1::2] = edges[:, 2], edges[:, 3]
    start = max(0, 2 * len(edges) - 2)
    raw = np.array([len(elements)], ">i4").tobytes() + elements.tobytes()
    raw += np.array([start, 0], ">i4").tobytes()
    path = QPainterPath()
    if len(edges):
        stream = QDataStream(QByteArray(raw))
        stream >> path
    return path


def _layers(inside: npt.NDArray[np.uint8], *, ratio: float, is_selected: bool) -> npt.NDArray[np.uint8]:
    """0 outside, 1 fill, 2 outline, 3 hairline outside of it; one value per device pixel."""
    width = max(2, round(OUTLINE_PX * ratio))
    grown, shrunk = cv2.dilate(inside, _square(width - width // 2)), cv2.erode(inside, _square(width // 2))
    layers = np.where(shrunk > 0, np.uint8(1), grown * np.uint8(2))
    if is_selected:
        outer = cv2.dilate(grown, _square(max(1, round(ratio))))
        layers[(outer > 0) & (grown == 0)] = 3
    return layers


def _square(radius: int) -> npt.NDArray[np.uint8]:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


class MaskItem(QGraphicsItem):
    """One mask: the object in work."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: MaskPicture | None = None
        self._look = MaskLook("#ffffff", 0.5)
        self._zoom = 1.0
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    @property
    def mask(self) -> Mask | None:
        return None if self._picture is None else self._picture.mask

    def set_mask(self, mask: Mask | None, look: MaskLook) -> None:
        """Nothing is computed or repainted when both are what they were."""
        if mask is self.mask and look == self._look:
            return
        if mask is not self.mask:
            self.prepareGeometryChange()
            self._picture = None if mask is None or mask.bits.size == 0 else MaskPicture(mask)
        self._look = look
        self.update()

    def set_zoom(self, zoom: float) -> None:
        self.prepareGeometryChange()
        self._zoom = zoom

    def boundingRect(self) -> QRectF:
        return QRectF() if self._picture is None else spilled(self._picture.place, self._zoom)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._picture is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            self._picture.paint(painter, MaskBrush(self._look, device_scale(painter)), option.exposedRect)


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An accepted object as painted. ``colour`` is ``#rrggbb``."""

    id: int
    mask: Mask
    colour: str
    name: str = ""


def _box_of(mask: Mask) -> tuple[int, int, int, int]:
    height, width = mask.bits.shape
    return mask.x, mask.y, mask.x + width, mask.y + height


class ObjectLayer(QGraphicsItem):
    """All accepted objects in one item: thousands are culled by numpy instead of asked one by one.

    Larger objects are painted first, so that a small one on top of them can be seen and hit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[int, ObjectView] = {}
        self._pictures: dict[int, MaskPicture] = {}
        self._selected: frozenset[int] = frozenset()
        self._hidden: frozenset[int] = frozenset()
        self._hovered = 0
        self._opacity = 0.4
        self._zoom = 1.0
        self._bounds = QRectF()
        self._order: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._areas: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._boxes: npt.NDArray[np.int64] = np.zeros((0, 4), np.int64)
        self.exposed_rects: tuple[QRectF, ...] = ()
        """Set by the view around a paint event: several small rectangles instead of the one around them all."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    # --- content ------------------------------------------------------------------------------------------------------

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(self._views)

    def set_image_size(self, width: int, height: int) -> None:
        self.prepareGeometryChange()
        self._bounds = QRectF(-width, -height, 3 * width, 3 * height)

    def set_zoom(self, zoom: float) -> None:
        self._zoom = zoom

    def set_objects(self, objects: Iterable[ObjectView]) -> None:
        views = {view.id: view for view in objects if not view.mask.is_empty}
        kept = {i: p for i, p in self._pictures.items() if i in views and views[i].mask is p.mask}
        self._views, self._pictures, self._hovered = views, kept, 0
        largest_first = sorted(views.values(), key=lambda view: (-view.mask.area, view.id))
        self._order = np.array([view.id for view in largest_first], np.int64)
        self._areas = np.array([view.mask.area for view in largest_first], np.int64)
        self._boxes = np.array([_box_of(view.mask) for view in largest_first], np.int64).reshape(-1, 4)
        self.update()

    def put(self, view: ObjectView) -> None:
        old = self._views.get(view.id)
        if old is not None and old.mask is view.mask:
            self._views[view.id] = view
            self._update_of(view.id)
            return
        self.remove(view.id)
        if view.mask.is_empty:
            return
        place = int(np.searchsorted(-self._areas, -view.mask.area, side="right"))
        self._views[view.id] = view
        self._order = np.insert(self._order, place, view.id)
        self._areas = np.insert(self._areas, place, view.mask.area)
        self._boxes = np.insert(self._boxes, place, _box_of(view.mask), axis=0)
        self._update_of(view.id)

    def remove(self, object_id: int) -> None:
        self._update_of(object_id)
        if self._views.pop(object_id, None) is None:
            return
        self._pictures.pop(object_id, None)
        stays = self._order != object_id
        self._order, self._areas, self._boxes = self._order[stays], self._areas[stays], self._boxes[stays]

    def set_selected(self, ids: frozenset[int]) -> None:
        changed, self._selected = self._selected ^ ids, ids
        for object_id in changed:
            self._update_of(object_id)

    def set_hidden(self, ids: frozenset[int]) -> None:
        changed, self._hidden = self._hidden ^ ids, ids
        for object_id in changed:
            self._update_of(object_id)

    def set_hovered(self, object_id: int) -> None:
        if object_id != self._hovered:
            self._update_of(self._hovered)
            self._hovered = object_id
            self._update_of(object_id)

    def set_opacity(self, opacity: float) -> None:
        self._opacity = opacity
        self.update()

    def hit(self, x: float, y: float) -> int:
        """The smallest painted object at an image position; 0 when there is none."""
        for object_id in reversed(self._within(((x, y, x, y),))):
            if self._views[object_id].mask.contains(x, y):
                return object_id
        return 0

    # --- painting -----------------------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        spill = (OUTLINE_PX + 2) * painter.device().devicePixelRatioF() / device_scale(painter)
        rects = self.exposed_rects or (option.exposedRect,)
        within = self._within(
            tuple((r.left() - spill, r.top() - spill, r.right() + spill, r.bottom() + spill) for r in rects)
        )
        exposed, scale = option.exposedRect, device_scale(painter)
        brushes: dict[tuple[str, bool, bool], MaskBrush] = {}
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for object_id in sorted(within, key=self._is_raised):
            view = self._views[object_id]
            picture = self._pictures.get(object_id)
            if picture is None:
                picture = self._pictures[object_id] = MaskPicture(view.mask)
            key = (view.colour, object_id == self._hovered, object_id in self._selected)
            brush = brushes.get(key)
            if brush is None:
                look = MaskLook(view.colour, self._opacity, is_hovered=key[1], is_selected=key[2])
                brush = brushes[key] = MaskBrush(look, scale)
            picture.paint(painter, brush, exposed)

    def _is_raised(self, object_id: int) -> bool:
        return object_id == self._hovered or object_id in self._selected

    def _within(self, rects: tuple[tuple[float, float, float, float], ...]) -> list[int]:
        """Ids that are not hidden and whose box meets one of the rectangles (x0, y0, x1, y1), largest first."""
        order, boxes = self._order, self._boxes
        meets = np.zeros(len(order), np.bool_)
        for x0, y0, x1, y1 in rects:
            meets |= (boxes[:, 0] <= x1) & (boxes[:, 2] >= x0) & (boxes[:, 1] <= y1) & (boxes[:, 3] >= y0)
        return [object_id for object_id in order[meets].tolist() if object_id not in self._hidden]

    def _update_of(self, object_id: int) -> None:
        view = self._views.get(object_id)
        if view is not None:
            height, width = view.mask.bits.shape
            self.update(spilled(QRectF(view.mask.x, view.mask.y, width, height), self._zoom))
