"""Masks in the scene: the current object, and all accepted objects as one item."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget
from shiboken6 import isValid

from annotator.domain.areas import Frame
from annotator.domain.difference import around, differing_frames
from annotator.domain.mask import Mask
from annotator.ui.canvas.items import device_scale, spilled
from annotator.ui.canvas.layer_tiles import LayerTiles
from annotator.ui.canvas.mask_picture import OUTLINE_PX, TINTS, MaskBrush, MaskLook, MaskPicture, brush_for
from annotator.ui.canvas.painted_masks import PaintedMask, PaintedMasks
from annotator.ui.canvas.tints import TintBook

_RIMS_PX = 5.0
"""How far halo and hairline go beyond the outline, in logical screen pixels."""
DIRECT = 40
"""Up to this many objects are painted as they are; more of them into tiles."""
_MOST_AREA = 1 << 36
"""Pixels: more than any mask has."""
_MANY = 60
"""When the look of more objects changes at once, everything is painted again."""


_Numbers = npt.NDArray[np.int64]


class MaskItem(QGraphicsItem):
    """One mask: the current object."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: MaskPicture | None = None
        self._look = MaskLook("#ffffff", 0.5)
        self._zoom = 1.0
        self._painted = PaintedMask()
        self._size = (0, 0)
        """Of the image."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    @property
    def mask(self) -> Mask | None:
        return None if self._picture is None else self._picture.mask

    def set_mask(self, mask: Mask | None, look: MaskLook) -> None:
        """Nothing is computed or repainted when both are what they were, and of another mask only where it differs."""
        if mask is self.mask and look == self._look:
            return
        is_new_look, before = look != self._look, self._picture
        if mask is not None and self._size != (mask.width, mask.height):
            self.prepareGeometryChange()
        self._look = look
        if mask is not None:
            self._size = mask.width, mask.height
        after, changed = before, None
        if mask is not self.mask:
            after, changed = _picture_after(before, mask)
        self._picture = after
        if changed is not None and not is_new_look:
            x0, y0, x1, y1 = changed
            # Softened edges reach two pixels far.
            self._update_place(QRectF(x0, y0, x1 - x0, y1 - y0).adjusted(-2, -2, 2, 2))
            return
        for picture in (before, after):
            if picture is not None:
                self._update_place(picture.place)

    def set_zoom(self, zoom: float) -> None:
        self._zoom = zoom

    def boundingRect(self) -> QRectF:
        """The whole image, with room for outlines at any zoom: after a change of it, Qt would paint all of it again."""
        width, height = self._size
        return QRectF(-width, -height, 3 * width, 3 * height)

    def _update_place(self, place: QRectF) -> None:
        self.update(self._spilled(place))

    def _spilled(self, place: QRectF) -> QRectF:
        return spilled(place, self._zoom, outline_px=self._look.outline_px)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._picture is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            brush = brush_for(self._look, device_scale(painter), ratio=painter.device().devicePixelRatioF())
            self._painted.paint(self._picture, painter, brush, option.exposedRect)


def _picture_after(before: MaskPicture | None, mask: Mask | None) -> tuple[MaskPicture | None, Frame | None]:
    """The picture of a mask, and where it differs from the one before; None: everywhere."""
    if mask is None or mask.bits.size == 0:
        return None, None
    if before is None or (before.mask.width, before.mask.height) != (mask.width, mask.height):
        return MaskPicture(mask), None
    changed = differing_frames(before.mask, mask)
    return before.edited(mask, changed), around(changed) or (mask.x, mask.y, mask.x, mask.y)


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An accepted object as painted. ``colour`` is ``#rrggbb``."""

    id: int
    mask: Mask
    colour: str
    name: str = ""
    layer: int = 0

    @property
    def rank(self) -> int:
        """What is painted first has the smallest."""
        return self.layer * _MOST_AREA - self.mask.area


def _box_of(mask: Mask) -> tuple[int, int, int, int]:
    height, width = mask.bits.shape
    return mask.x, mask.y, mask.x + width, mask.y + height


def _columns_of(views: Collection[ObjectView]) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Ids, ranks and boxes (x0, y0, x1, y1)."""
    ids, ranks = (np.fromiter(each, np.int64, len(views)) for each in ((v.id for v in views), (v.rank for v in views)))
    return ids, ranks, np.array([_box_of(view.mask) for view in views], np.int64).reshape(-1, 4)


def _place_of(mask: Mask) -> QRectF:
    height, width = mask.bits.shape
    return QRectF(mask.x, mask.y, width, height)


class ObjectLayer(QGraphicsItem):
    """All accepted objects in one item: thousands are culled by numpy instead of asked one by one.

    Of one layer larger objects are painted first, so that a small one on top of them can be seen and hit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[int, ObjectView] = {}
        self._pictures: dict[int, MaskPicture] = {}
        self._selected: frozenset[int] = frozenset()
        self._hidden: frozenset[int] = frozenset()
        self._hovered = 0
        self._opacity = 0.4
        self._outline_px = OUTLINE_PX
        self._zoom = 1.0
        self._bounds = QRectF()
        self._around = QRectF()
        """Around all objects; empty until it is asked for."""
        self._order: _Numbers = np.zeros(0, np.int64)
        self._ranks: _Numbers = np.zeros(0, np.int64)
        self._boxes: _Numbers = np.zeros((0, 4), np.int64)
        self._tints = TintBook(TINTS)
        self._painted = PaintedMasks()
        self._tiles = LayerTiles(self._paint_part, self._on_painted)
        self.exposed_rects: tuple[QRectF, ...] = ()
        """Set by the view around a paint event: several small rectangles instead of the one around them all."""
        self.is_direct = False
        """Paint objects as they are, however many there are."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def _on_painted(self, part: QRectF) -> None:
        if isValid(self):  # what paints the tiles may have its turn once more when the scene is gone already
            self.update(part)

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
        views = {view.id: view for view in objects if view.mask.area}
        kept = {i: p for i, p in self._pictures.items() if i in views and views[i].mask is p.mask}
        self._views, self._pictures, self._hovered = views, kept, 0
        if not kept:  # objects that stay keep their tint
            self._tints.clear()
        self._tiles.clear()
        ids, ranks, boxes = _columns_of(views.values())
        lowest_first = np.lexsort((ids, ranks))
        self._order, self._ranks, self._boxes = ids[lowest_first], ranks[lowest_first], boxes[lowest_first]
        self._around = QRectF()
        self.update()

    def put(self, view: ObjectView) -> None:
        old = self._views.get(view.id)
        if old is not None and old.mask is view.mask and old.layer == view.layer:
            self._views[view.id] = view
            self._update_of(view.id)
            return
        self.remove(view.id)
        if view.mask.is_empty:
            return
        place = int(np.searchsorted(self._ranks, view.rank, side="right"))
        self._views[view.id] = view
        self._order = np.insert(self._order, place, view.id)
        self._ranks = np.insert(self._ranks, place, view.rank)
        self._boxes = np.insert(self._boxes, place, _box_of(view.mask), axis=0)
        self._around = self._around.united(_place_of(view.mask)) if not self._around.isEmpty() else QRectF()
        self._update_of(view.id)

    def remove(self, object_id: int) -> None:
        self._update_of(object_id)
        if self._views.pop(object_id, None) is None:
            return
        self._pictures.pop(object_id, None)
        self._tints.forget(object_id)
        stays = self._order != object_id
        self._order, self._ranks, self._boxes = self._order[stays], self._ranks[stays], self._boxes[stays]
        self._around = QRectF()

    def change(self, put: Sequence[ObjectView], gone: Collection[int], *, is_last: bool = True) -> None:
        """Put many objects and take many away. ``is_last``: no more come, and all is painted anew, as soon as there is
        time."""
        new = [view for view in put if view.mask.area]
        without = {*gone, *(view.id for view in put)}
        for one in without & self._views.keys():
            del self._views[one]
            self._pictures.pop(one, None)
            self._tints.forget(one)
        self._views |= {view.id: view for view in new}
        order, ranks, boxes = _columns_of(new)
        stays = ~np.isin(self._order, np.fromiter(without, np.int64, len(without)))
        order, ranks = np.concatenate([self._order[stays], order]), np.concatenate([self._ranks[stays], ranks])
        boxes, lowest_first = np.concatenate([self._boxes[stays], boxes]), np.lexsort((order, ranks))
        self._order, self._ranks, self._boxes = order[lowest_first], ranks[lowest_first], boxes[lowest_first]
        self._around = QRectF()
        if is_last:
            self._tiles.renew()
            self.update()

    def set_selected(self, ids: frozenset[int]) -> None:
        changed, self._selected = self._selected ^ ids, ids
        self._update_all_of(changed)

    def set_hidden(self, ids: frozenset[int]) -> None:
        changed, self._hidden = self._hidden ^ ids, ids
        self._update_all_of(changed)

    def set_hovered(self, object_id: int) -> None:
        if object_id != self._hovered:
            self._update_of(self._hovered)
            self._hovered = object_id
            self._update_of(object_id)

    def set_opacity(self, opacity: float) -> None:
        self._opacity = opacity
        self._tiles.renew()
        self.update()

    def set_outline(self, width_px: float) -> None:
        """Width of outlines in logical screen pixels; 0 for none."""
        self._outline_px = width_px
        self._tiles.renew()
        self.update()

    def hit(self, x: float, y: float) -> int:
        """The topmost painted object at an image position; 0 when there is none."""
        for object_id in reversed(self._within(((x, y, x, y),))):
            if self._views[object_id].mask.contains(x, y):
                return object_id
        return 0

    def views_in(self, frame: QRectF) -> list[ObjectView]:
        """Painted objects whose box meets a rectangle of the image, the lowest first."""
        x0, y0 = math.floor(frame.left()), math.floor(frame.top())
        x1, y1 = math.ceil(frame.right()), math.ceil(frame.bottom())
        return [self._views[object_id] for object_id in self._within(((x0, y0, x1, y1),))]

    # --- painting -----------------------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        parts = self.exposed_rects or (option.exposedRect,)
        if self.is_direct or len(self._views) <= DIRECT:
            self._paint_parts(painter, parts, option.exposedRect)
            return
        bounds = self._seen_bounds
        within = [part.intersected(bounds) for part in parts]
        ratio = painter.device().devicePixelRatioF()
        seen = [part for part in within if not part.isEmpty()]
        self._tiles.draw(painter, seen, scale=device_scale(painter), ratio=ratio)

    @property
    def _seen_bounds(self) -> QRectF:
        """Where objects are, with room for their outlines."""
        if not len(self._boxes):
            return QRectF()
        if self._around.isEmpty():
            (left, top), (right, bottom) = self._boxes[:, :2].min(axis=0), self._boxes[:, 2:].max(axis=0)
            self._around = QRectF(left, top, right - left, bottom - top)
        return spilled(self._around, self._zoom, outline_px=self._outline_px)

    def _paint_part(self, painter: QPainter, part: QRectF) -> None:
        self._paint_parts(painter, (part,), part)

    def _paint_parts(self, painter: QPainter, parts: tuple[QRectF, ...], exposed: QRectF) -> None:
        ratio, scale = painter.device().devicePixelRatioF(), device_scale(painter)
        spill = (self._outline_px + _RIMS_PX) * ratio / scale
        within = self._within(
            tuple((r.left() - spill, r.top() - spill, r.right() + spill, r.bottom() + spill) for r in parts)
        )
        brushes: dict[tuple[str, int, bool, bool], MaskBrush] = {}
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        raised = self._selected | {self._hovered}
        for object_id in sorted(within, key=raised.__contains__):
            view = self._views[object_id]
            picture = self._pictures.get(object_id)
            if picture is None:
                picture = self._pictures[object_id] = MaskPicture(view.mask)
            tint = self._tints.tint(object_id, _box_of(view.mask))
            key = (view.colour, tint, object_id == self._hovered, object_id in self._selected)
            brush = brushes.get(key)
            if brush is None:
                look = self._look(view.colour, tint, is_hovered=key[2], is_selected=key[3])
                brush = brushes[key] = brush_for(look, scale, ratio=ratio)
            self._painted.paint(picture, painter, brush, exposed)

    def _look(self, colour: str, tint: int, *, is_hovered: bool, is_selected: bool) -> MaskLook:
        return MaskLook(
            colour,
            self._opacity,
            is_hovered=is_hovered,
            is_selected=is_selected,
            outline_px=self._outline_px,
            tint=tint,
        )

    def _within(self, rects: tuple[tuple[float, float, float, float], ...]) -> list[int]:
        """Ids that are not hidden and whose box meets one of the rectangles (x0, y0, x1, y1), largest first."""
        order, boxes = self._order, self._boxes
        meets = np.zeros(len(order), np.bool_)
        for x0, y0, x1, y1 in rects:
            meets |= (boxes[:, 0] <= x1) & (boxes[:, 2] >= x0) & (boxes[:, 1] <= y1) & (boxes[:, 3] >= y0)
        return [object_id for object_id in order[meets].tolist() if object_id not in self._hidden]

    def _update_all_of(self, object_ids: frozenset[int]) -> None:
        if len(object_ids) > _MANY:
            self._tiles.renew()
            self.update()
            return
        for object_id in object_ids:
            self._update_of(object_id)

    def _update_of(self, object_id: int) -> None:
        view = self._views.get(object_id)
        if view is not None:
            part = spilled(_place_of(view.mask), self._zoom, outline_px=self._outline_px)
            self._tiles.invalidate(part)
            self.update(part)
