"""The image, the masks on it, and the gestures of the person, as signals in image pixels.

Nothing here knows the model: a gesture is over in microseconds, and what follows is other people's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QWidget

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.cursors import CursorShape, cursor_of
from annotator.ui.items import PreparedImage, prepare_image
from annotator.ui.mask_items import ObjectView
from annotator.ui.overlays import CanvasColours, Overlays
from annotator.ui.view import ImageView

__all__ = ["Canvas", "CanvasColours", "ObjectView", "PreparedImage", "Tool", "prepare_image"]

DRAG_PX = 6
"""A left press that moves this far is a box, not a click."""
SMALLEST_BOX_PX = 3

_LEFT, _RIGHT, _MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
_SHIFT, _ALT, _CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)


class Tool(StrEnum):
    """What a left click does: prompt a point, drag a box (a click is a point there too), or pick accepted objects."""

    POINT = "point"
    BOX = "box"
    SELECT = "select"


class _Gesture(Enum):
    """What the pressed button is about."""

    NONE = 0
    POINT = 1
    BOX = 2
    PAN = 3
    PICK = 4


@dataclass(frozen=True, slots=True)
class _Press:
    """How a gesture began: ``at`` in view pixels, ``where`` in image pixels (the wheel may turn meanwhile)."""

    gesture: _Gesture = _Gesture.NONE
    button: Qt.MouseButton = Qt.MouseButton.NoButton
    at: QPointF = field(default_factory=QPointF)
    where: QPointF = field(default_factory=QPointF)
    is_positive: bool = True
    may_drag: bool = False


def _point(press: _Press) -> PointPrompt:
    return PointPrompt(press.where.x(), press.where.y(), press.is_positive)


class Canvas(ImageView):
    """Shows an image with its objects; turns mouse gestures into prompts.

    Left click: positive (or negative, see :meth:`set_negative`). Right click or Shift+click: negative. Left drag: a
    box (with Alt also a short one). Middle drag or Space + drag: pan. Wheel: zoom at the cursor.
    """

    pointed = Signal(object)
    """PointPrompt, inside the image; sent on release, at the place of the press."""
    boxed = Signal(object)
    """Box, clipped to the image, never empty."""
    object_clicked = Signal(int, bool)
    """(annotation id or 0 for none, whether Shift or Ctrl was held), in the SELECT tool"""
    object_activated = Signal(int)
    """Double click on an object in the SELECT tool."""
    cursor_moved = Signal(float, float, bool)
    """(x, y, inside the image), image pixels"""
    paths_dropped = Signal(list)
    """Local files or folders, as str."""
    accept_clicked = Signal()
    """Mouse button 4 or 5."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self._colours = CanvasColours()
        self._tool = Tool.POINT
        self._press = _Press()
        self._hover_at: QPointF | None = None
        self._cursor_shape = CursorShape.ARROW
        self._is_negative = self._is_space_held = self._has_cross_hair = self._is_peeking = False
        self._are_masks_visible = True
        self._overlays = Overlays(self.scene(), self._colours)
        self._layer = self._overlays.layer
        self.set_colours(self._colours)

    # --- what is shown ------------------------------------------------------------------------------------------------

    @property
    def tool(self) -> Tool:
        return self._tool

    def set_tool(self, tool: Tool) -> None:
        self.cancel_gesture()
        self._tool = tool
        self._hover()

    def set_colours(self, colours: CanvasColours) -> None:
        self._colours = colours
        self.setBackgroundBrush(QColor(colours.background))
        self._overlays.set_colours(colours)
        self._update_cross_hair()

    def set_image(self, prepared: PreparedImage | None) -> None:
        """Another image, fitted, without objects, candidate and prompts; None for an empty canvas."""
        self.cancel_gesture()
        self._overlays.set_image(prepared)
        self.set_image_size(*((0, 0) if prepared is None else (prepared.width, prepared.height)))
        self._hover()

    def set_objects(self, objects: Iterable[ObjectView]) -> None:
        """All accepted objects of the image. One whose mask is the very same object is not computed again."""
        self._layer.set_objects(objects)

    def put_object(self, view: ObjectView) -> None:
        """Add an object or replace the one with its id; only its box is painted again."""
        self._layer.put(view)

    def remove_object(self, annotation_id: int) -> None:
        self._layer.remove(annotation_id)

    def set_selected(self, ids: Iterable[int]) -> None:
        self._layer.set_selected(frozenset(ids))

    def set_hidden(self, ids: Iterable[int]) -> None:
        """Objects that are not painted and cannot be hit (the one that is being refined)."""
        self._layer.set_hidden(frozenset(ids))

    def set_candidate(self, mask: Mask | None, colour: str = "#ffffff") -> None:
        """The mask of the object in work, stronger than the accepted ones."""
        self._overlays.set_candidate(mask, colour)

    def set_prompts(self, prompts: Prompts) -> None:
        """The dots and the box of the object in work."""
        self._overlays.set_prompts(prompts)

    def set_negative(self, is_negative: bool) -> None:
        """Whether a plain left click is negative."""
        self._is_negative = is_negative
        self._hover()

    def set_masks_visible(self, is_visible: bool) -> None:
        self._are_masks_visible = is_visible
        self._show_overlays()

    def set_peek(self, is_peeking: bool) -> None:
        """The bare image, while true."""
        self._is_peeking = is_peeking
        self._show_overlays()

    def set_opacity(self, opacity: float) -> None:
        """Of the fill of accepted objects, 0..1; the object in work is a little stronger."""
        self._overlays.set_opacity(opacity)

    def set_cross_hair(self, is_shown: bool) -> None:
        self._update_cross_hair()
        self._has_cross_hair = is_shown
        self._update_cross_hair()

    def cancel_gesture(self) -> bool:
        """Drop a half-made click or drag; False when there was none."""
        was_active = self._press.gesture is not _Gesture.NONE
        self._end_gesture()
        return was_active

    # --- mouse --------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if event.button() in (Qt.MouseButton.BackButton, Qt.MouseButton.ForwardButton):
            self.accept_clicked.emit()
            return
        if self._press.gesture is not _Gesture.NONE or not self.has_image:
            return
        self._press = self._begin(event)
        if self._press.gesture is _Gesture.POINT:
            self._overlays.show_provisional(_point(self._press))
        self._hover()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        # Two quick clicks are two prompts; only objects are activated by a double click.
        found = self._hit(event.position()) if self._tool is Tool.SELECT and event.button() == _LEFT else 0
        if found and not self._is_space_held:
            event.accept()
            self.object_activated.emit(found)
        else:
            self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.accept()
        self._move_gesture(event.position())
        self._update_cross_hair()
        self._hover_at = event.position()
        self._update_cross_hair()
        self._hover(event.modifiers())
        where = self.view_to_image(event.position())
        self.cursor_moved.emit(where.x(), where.y(), self.contains_image_point(where.x(), where.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()
        press = self._press
        if press.gesture is _Gesture.NONE or event.button() != press.button:
            return
        # Ended before anyone is told, so that a listener may change image or tool; the dot goes when theirs is there.
        self._press = _Press()
        if press.gesture is _Gesture.POINT:
            self.pointed.emit(_point(press))
        elif press.gesture is _Gesture.BOX:
            self._finish_box(press, event.position())
        elif press.gesture is _Gesture.PICK:
            is_additive = bool(event.modifiers() & (_SHIFT | _CONTROL))
            self.object_clicked.emit(self._hit(event.position()), is_additive)
        self._end_gesture()
        self._hover(event.modifiers())

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._update_cross_hair()
        self._hover_at = None
        self._layer.set_hovered(0)
        self.cursor_moved.emit(0.0, 0.0, False)

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self._hover_at = event.position()
        self._hover()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.accept()

    # --- keys: only Space is the canvas's own -------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self._is_space_held = True
            event.accept()
        else:
            event.ignore()
        # The event of a modifier key tells the modifiers before it.
        self._hover(event.modifiers() | _SHIFT if event.key() == Qt.Key.Key_Shift else event.modifiers())

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self._is_space_held = self._is_space_held and event.isAutoRepeat()
            event.accept()
        else:
            event.ignore()
        self._hover(event.modifiers() & ~_SHIFT if event.key() == Qt.Key.Key_Shift else event.modifiers())

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._is_space_held = False
        self._hover()

    # --- drops --------------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        event.setAccepted(event.mimeData().hasUrls())

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.setAccepted(event.mimeData().hasUrls())

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.setAccepted(bool(paths))
        if paths:
            self.paths_dropped.emit(paths)

    # --- painting -----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        inverse, _ = self.viewportTransform().inverted()
        self._layer.exposed_rects = tuple(inverse.mapRect(QRectF(rect)) for rect in event.region())  # type: ignore[attr-defined]
        try:
            super().paintEvent(event)
        finally:
            self._layer.exposed_rects = ()

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        if not self._has_cross_hair or self._hover_at is None or not self.has_image or self._tool is Tool.SELECT:
            return
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        x, y = int(self._hover_at.x()), int(self._hover_at.y())
        for colour, style in (
            (QColor(0, 0, 0, 110), Qt.PenStyle.SolidLine),
            (self._line_colour(), Qt.PenStyle.DashLine),
        ):
            painter.setPen(QPen(colour, 1, style))
            painter.drawLine(x, 0, x, self.viewport().height())
            painter.drawLine(0, y, self.viewport().width(), y)
        painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, event: QMouseEvent) -> _Press:
        """What a press starts; nothing when it says nothing about the image."""
        at, button, keys = event.position(), event.button(), event.modifiers()
        where = self.view_to_image(at)
        if button == _MIDDLE or (button == _LEFT and self._is_space_held):
            return _Press(_Gesture.PAN, button, at, where)
        is_inside = self.contains_image_point(where.x(), where.y())
        if self._tool is Tool.SELECT:
            return _Press(_Gesture.PICK, button, at, where, may_drag=True) if button == _LEFT else _Press()
        is_positive = button == _LEFT and not (self._is_negative or keys & _SHIFT)
        if button == _LEFT and (self._tool is Tool.BOX or keys & _ALT or not is_inside):
            # From outside a drag may still cover the image.
            return _Press(_Gesture.BOX, button, at, where, is_positive)
        if button in (_LEFT, _RIGHT) and is_inside:
            return _Press(_Gesture.POINT, button, at, where, is_positive, may_drag=button == _LEFT)
        return _Press()

    def _move_gesture(self, now: QPointF) -> None:
        press = self._press
        if press.gesture is _Gesture.NONE:
            return
        is_far = (now - press.at).manhattanLength() > DRAG_PX
        if press.may_drag and is_far:
            gesture = _Gesture.PAN if press.gesture is _Gesture.PICK else _Gesture.BOX
            press = self._press = replace(press, gesture=gesture, may_drag=False)
            self._overlays.drop_provisional()
        if press.gesture is _Gesture.PAN:
            self.pan_by(now.x() - press.at.x(), now.y() - press.at.y())
            self._press = replace(press, at=now)
        elif press.gesture is _Gesture.BOX and (is_far or self._overlays.is_band_shown):
            self._overlays.show_band(self._box_between(press.where, now))

    def _finish_box(self, press: _Press, now: QPointF) -> None:
        box = self._box_between(press.where, now)
        if min(box.width, box.height) * self.zoom >= SMALLEST_BOX_PX:
            self.boxed.emit(box)
            return
        is_click = self._tool is Tool.BOX and (now - press.at).manhattanLength() <= DRAG_PX
        if is_click and self.contains_image_point(press.where.x(), press.where.y()):
            self.pointed.emit(_point(press))

    def _box_between(self, start: QPointF, end_px: QPointF) -> Box:
        end = self.view_to_image(end_px)
        box = Box.from_corners(start.x(), start.y(), end.x(), end.y())
        return box.clipped(self._image_width, self._image_height)

    def _end_gesture(self) -> None:
        self._press = _Press()
        self._overlays.drop_band()
        self._overlays.drop_provisional()

    def _line_colour(self) -> QColor:
        colour = QColor(self._colours.cross_hair)
        colour.setAlpha(170)
        return colour

    def _show_overlays(self) -> None:
        self._overlays.set_visible(are_masks_shown=self._are_masks_visible, is_peeking=self._is_peeking)

    def _zoom_has_changed(self, zoom: float) -> None:
        self._overlays.set_zoom(zoom)

    def _hit(self, at: QPointF) -> int:
        where = self.view_to_image(at)
        return self._layer.hit(where.x(), where.y()) if self._layer.isVisible() else 0

    def _hover(self, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """The cursor says what a press would do; the object under it is brighter in the SELECT tool."""
        found = 0
        if self._hover_at is not None and self._tool is Tool.SELECT and self._press.gesture is _Gesture.NONE:
            found = self._hit(self._hover_at)
        self._layer.set_hovered(found)
        shape = self._shape(keys, is_on_object=found != 0)
        if shape is not self._cursor_shape:
            self._cursor_shape = shape
            self.viewport().setCursor(cursor_of(shape))

    def _shape(self, keys: Qt.KeyboardModifier, *, is_on_object: bool) -> CursorShape:
        if self._press.gesture is _Gesture.PAN:
            return CursorShape.GRABBING
        if not self.has_image or self._hover_at is None:
            return CursorShape.ARROW
        if self._is_space_held:
            return CursorShape.HAND
        if self._tool is Tool.SELECT:
            return CursorShape.PICK if is_on_object else CursorShape.ARROW
        if self._tool is Tool.BOX or keys & _ALT or self._press.gesture is _Gesture.BOX:
            return CursorShape.BOX
        where = self.view_to_image(self._hover_at)
        if not self.contains_image_point(where.x(), where.y()):
            return CursorShape.ARROW
        return CursorShape.NEGATIVE if self._is_negative or keys & _SHIFT else CursorShape.POSITIVE

    def _update_cross_hair(self) -> None:
        if self._has_cross_hair and self._hover_at is not None:
            x, y = int(self._hover_at.x()), int(self._hover_at.y())
            self.viewport().update(QRect(x - 1, 0, 3, self.viewport().height()))
            self.viewport().update(QRect(0, y - 1, self.viewport().width(), 3))
