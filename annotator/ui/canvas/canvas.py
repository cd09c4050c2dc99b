"""The gestures of the person on the image, as signals in image pixels.

Nothing here knows the model: a gesture is over in microseconds, and what follows is other people's business.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from annotator.domain.geometry import Box
from annotator.ui.canvas.box_grip import BoxGrip, grip_at
from annotator.ui.canvas.cursors import CursorShape, cursor_of
from annotator.ui.canvas.display import CanvasDisplay
from annotator.ui.canvas.gestures import PAINTING, PROMPTING, Gesture, Press, Tool, point_of
from annotator.ui.canvas.items import PreparedImage, prepare_image
from annotator.ui.canvas.key_pointer import KeyPointer
from annotator.ui.canvas.mask_items import ObjectView
from annotator.ui.canvas.overlays import CanvasColours

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

_GRIP_CURSORS = {
    (1, True): CursorShape.SIZE_FALLING,
    (-1, True): CursorShape.SIZE_RISING,
    (0, True): CursorShape.SIZE_ACROSS,
    (0, False): CursorShape.SIZE_DOWN,
}


class Canvas(CanvasDisplay):
    """Shows an image with its objects; turns mouse gestures into prompts.

    Left click: positive (or negative, see :meth:`set_negative`). Right click or Shift+click: negative. Left drag: a
    box (with Alt also a short one). Drag at a handle or edge of the shown box: another box in its place. Middle drag
    or Space + drag: pan. Wheel: zoom at the cursor. Right click in the SELECT tool: a menu for objects.
    In the BRUSH and ERASER tools a drag is a stroke; the right button and Shift do what the other of the two does.
    """

    pointed = Signal(object)
    """PointPrompt, inside the image; sent on release, at the place of the press."""
    boxed = Signal(object)
    """Box, clipped to the image, never empty."""
    object_clicked = Signal(int, bool)
    """(annotation id or 0 for none, whether Shift or Ctrl was held), in the SELECT tool"""
    menu_wanted = Signal(int, QPoint)
    """(annotation id or 0 for those that are selected, place on the screen)"""
    object_activated = Signal(int)
    """Double click on an object in the SELECT tool."""
    cursor_moved = Signal(float, float, bool)
    """(x, y, inside the image), image pixels"""
    painted = Signal(object)
    """Stroke of the brush or eraser, sent on release; may lie outside the image."""
    brush_turned = Signal(int)
    """Ctrl + wheel with a brush in the hand: so many steps larger, or smaller."""
    gesture_changed = Signal()
    """A click or drag was begun or is over; see :attr:`has_gesture`."""
    accept_clicked = Signal()
    """Mouse button 4 or 5."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Not by Tab, which is another candidate here and would not lead away again; F6 goes round.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Image and its objects")
        self._tool = Tool.POINT
        self._press = Press()
        self._cursor_shape = CursorShape.ARROW
        self.is_negative = False
        """Whether a plain left click is negative."""
        self.pointer = KeyPointer(self, self._overlays)
        self.pointer.corner_changed.connect(self.gesture_changed)
        self.pan_held.connect(lambda _is_held: self._hover())

    # --- what a press does ------------------------------------------------------------------------------------------

    @property
    def has_gesture(self) -> bool:
        """Whether a click, drag or box is half made."""
        return self._press.gesture is not Gesture.NONE or self.pointer.has_corner

    @property
    def tool(self) -> Tool:
        return self._tool

    def set_tool(self, tool: Tool) -> None:
        self.cancel_gesture()
        self._tool = tool
        self._hover()

    def set_image(self, prepared: PreparedImage | None) -> None:
        """Another image, fitted, without objects, candidate and prompts; None for an empty canvas."""
        self.cancel_gesture()
        super().set_image(prepared)
        self.pointer.set_image_size(self._image_width, self._image_height)
        self._hover()

    def set_negative(self, is_negative: bool) -> None:
        """Whether a plain left click is negative."""
        self.is_negative = is_negative
        self._hover()

    def cancel_gesture(self) -> bool:
        """Drop a half-made click or drag; False when there was none."""
        was_active = self.has_gesture
        self.pointer.drop_corner()
        self._end_gesture()
        return was_active

    # --- mouse --------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if event.button() in (Qt.MouseButton.BackButton, Qt.MouseButton.ForwardButton):
            self.accept_clicked.emit()
            return
        if self._press.gesture is not Gesture.NONE or not self.has_image:
            return
        self._press = self._begin(event)
        self.gesture_changed.emit()
        if self._press.gesture is Gesture.POINT:
            self._overlays.show_provisional(point_of(self._press))
        self._hover()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        # Two quick clicks are two prompts; only objects are activated by a double click.
        found = self.hit(event.position()) if self._tool is Tool.SELECT and event.button() == _LEFT else 0
        if found and not self._is_pan_held:
            event.accept()
            self.object_activated.emit(found)
        else:
            self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if self._press.gesture is not Gesture.NONE and not event.buttons() & self._press.button:
            self.cancel_gesture()  # the button was let go elsewhere, in a dialog that came meanwhile
        self._move_gesture(event.position())
        self.pointer.on_mouse(event.position())
        self._update_cross_hair()
        self._hover_at = event.position()
        self._update_cross_hair()
        self._hover(event.modifiers())
        where = self.view_to_image(event.position())
        self.cursor_moved.emit(where.x(), where.y(), self.contains_image_point(where.x(), where.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()
        press = self._press
        if press.gesture is Gesture.NONE or event.button() != press.button:
            return
        # Ended before anyone is told, so that a listener may change image or tool; the dot goes when theirs is there.
        self._press = Press()
        if press.gesture is Gesture.POINT:
            self.pointed.emit(point_of(press))
        elif press.gesture is Gesture.BOX:
            self._finish_box(press, event.position())
        elif press.gesture is Gesture.GRIP:
            self._finish_grip(press, event.position())
        elif press.gesture is Gesture.PAINT and (stroke := self.brush.end()) is not None:
            self.painted.emit(stroke)
        elif press.gesture is Gesture.PICK:
            is_additive = bool(event.modifiers() & (_SHIFT | _CONTROL))
            self.object_clicked.emit(self.hit(event.position()), is_additive)
        self._end_gesture()
        self._hover(event.modifiers())

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._tool in PAINTING and event.modifiers() & _CONTROL:
            event.accept()
            steps = self.brush.steps_of(event.angleDelta().y())
            if steps:
                self.brush_turned.emit(steps)
        else:
            super().wheelEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._update_cross_hair()
        self._hover_at = None
        self._layer.set_hovered(0)
        self.brush.show_ring(None)
        self.cursor_moved.emit(0.0, 0.0, False)

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self._hover_at = event.position()
        self._hover()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.accept()
        if not self.has_image:
            return
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self.menu_wanted.emit(0, self.viewport().mapToGlobal(self.viewport().rect().center()))
        elif self._tool is Tool.SELECT and (found := self.hit(QPointF(event.pos()))):
            self.menu_wanted.emit(found, event.globalPos())

    # --- keys: Space and the pointer's are the canvas's own; the gate serves Space when a list has the focus ----------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.pointer.press(event):
            event.accept()
            return
        if event.key() == Qt.Key.Key_Space and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self.hold_pan(True)
            event.accept()
        else:
            event.ignore()
        # The event of a modifier key tells the modifiers before it.
        self._hover(event.modifiers() | _SHIFT if event.key() == Qt.Key.Key_Shift else event.modifiers())

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if self.pointer.release(event):
            event.accept()
            return
        if event.key() == Qt.Key.Key_Space:
            self.hold_pan(self._is_pan_held and event.isAutoRepeat())
            event.accept()
        else:
            event.ignore()
        self._hover(event.modifiers() & ~_SHIFT if event.key() == Qt.Key.Key_Shift else event.modifiers())

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.hold_pan(False)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, event: QMouseEvent) -> Press:
        """What a press starts; nothing when it says nothing about the image."""
        at, button, keys = event.position(), event.button(), event.modifiers()
        where = self.view_to_image(at)
        if button == _MIDDLE or (button == _LEFT and self._is_pan_held):
            return Press(Gesture.PAN, button, at, where)
        is_inside = self.contains_image_point(where.x(), where.y())
        if self._tool is Tool.SELECT:
            return Press(Gesture.PICK, button, at, where, may_drag=True) if button == _LEFT else Press()
        if self._tool in PAINTING:
            return self._begin_stroke(event, where) if button in (_LEFT, _RIGHT) else Press()
        grip = self._grip(where) if button == _LEFT and not keys & _ALT else None
        is_positive = button == _LEFT and not (self.is_negative or keys & _SHIFT)
        if grip is not None:
            # Still a click when it does not move: points lie close to the box, too.
            gesture = Gesture.POINT if is_inside else Gesture.GRIP
            box = self._overlays.prompt_box
            return Press(gesture, button, at, where, is_positive, may_drag=True, grip=grip, box=box)
        if button == _LEFT and (self._tool is Tool.BOX or keys & _ALT or not is_inside):
            # From outside a drag may still cover the image.
            return Press(Gesture.BOX, button, at, where, is_positive)
        if button in (_LEFT, _RIGHT) and is_inside:
            return Press(Gesture.POINT, button, at, where, is_positive, may_drag=button == _LEFT)
        return Press()

    def _begin_stroke(self, event: QMouseEvent, where: QPointF) -> Press:
        is_other = event.button() == _RIGHT or bool(event.modifiers() & _SHIFT)
        is_positive = (self._tool is Tool.BRUSH) is not is_other
        colour = self._overlays.candidate_colour if is_positive else self._colours.negative
        self.brush.begin(where, is_positive=is_positive, colour=colour)
        return Press(Gesture.PAINT, event.button(), event.position(), where, is_positive)

    def _move_gesture(self, now: QPointF) -> None:
        press = self._press
        if press.gesture is Gesture.NONE:
            return
        if press.gesture is Gesture.PAINT:
            self.brush.go_to(self.view_to_image(now))
        is_far = (now - press.at).manhattanLength() > DRAG_PX
        if press.may_drag and is_far:
            gesture = Gesture.PAN if press.gesture is Gesture.PICK else Gesture.BOX
            gesture = gesture if press.grip is None else Gesture.GRIP
            press = self._press = replace(press, gesture=gesture, may_drag=False)
            self._overlays.drop_provisional()
        if press.gesture is Gesture.PAN:
            self.pan_by(now.x() - press.at.x(), now.y() - press.at.y())
            self._press = replace(press, at=now)
        elif press.gesture is Gesture.GRIP and not press.may_drag:
            self._overlays.show_box(self._gripped(press, now))
        elif press.gesture is Gesture.BOX and (is_far or self._overlays.is_band_shown):
            self._overlays.show_band(self._box_between(press.where, now))

    def _finish_box(self, press: Press, now: QPointF) -> None:
        box = self._box_between(press.where, now)
        if min(box.width, box.height) * self.zoom >= SMALLEST_BOX_PX:
            self.boxed.emit(box)
            return
        is_click = self._tool is Tool.BOX and (now - press.at).manhattanLength() <= DRAG_PX
        if is_click and self.contains_image_point(press.where.x(), press.where.y()):
            self.pointed.emit(point_of(press))

    def _grip(self, where: QPointF) -> BoxGrip | None:
        """What of the shown box a press here would take."""
        box = self._overlays.prompt_box
        if box is None or self._tool not in PROMPTING:
            return None
        return grip_at(box, where.x(), where.y(), zoom=self.zoom)

    def _gripped(self, press: Press, now: QPointF) -> Box | None:
        """The box as the drag has made it; None when it is gone (the object was accepted meanwhile)."""
        if press.grip is None or press.box is None or press.box != self._overlays.prompt_box:
            return None
        by = self.view_to_image(now) - press.where
        size = {"width": self._image_width, "height": self._image_height}
        return press.grip.dragged(press.box, (by.x(), by.y()), **size)

    def _finish_grip(self, press: Press, now: QPointF) -> None:
        box = None if press.may_drag else self._gripped(press, now)
        if box is not None and box != press.box and min(box.width, box.height) * self.zoom >= SMALLEST_BOX_PX:
            self.boxed.emit(box)

    def _box_between(self, start: QPointF, end_px: QPointF) -> Box:
        end = self.view_to_image(end_px)
        box = Box.from_corners(start.x(), start.y(), end.x(), end.y())
        return box.clipped(self._image_width, self._image_height)

    def _end_gesture(self) -> None:
        self._press = Press()
        self._overlays.show_box(self._overlays.prompt_box)
        self._overlays.drop_band()
        self._overlays.drop_provisional()
        self.brush.drop()
        self.gesture_changed.emit()

    def _wants_cross_hair(self) -> bool:
        return super()._wants_cross_hair() and self._tool in PROMPTING

    def _hover(self, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """The cursor says what a press would do; the object under it is brighter in the SELECT tool."""
        found = 0
        if self._hover_at is not None and self._tool is Tool.SELECT and self._press.gesture is Gesture.NONE:
            found = self.hit(self._hover_at)
        self._layer.set_hovered(found)
        self._show_ring()
        shape = self._shape(keys, is_on_object=found != 0)
        if shape is not self._cursor_shape:
            self._cursor_shape = shape
            self.viewport().setCursor(cursor_of(shape))

    def _show_ring(self) -> None:
        is_in_hand = self._tool in PAINTING and self.has_image and not self._is_pan_held
        where = self._hover_at if self._press.gesture is not Gesture.PAN and is_in_hand else None
        self.brush.show_ring(None if where is None else self.view_to_image(where))

    def _shape(self, keys: Qt.KeyboardModifier, *, is_on_object: bool) -> CursorShape:
        if self._press.gesture is Gesture.PAN:
            return CursorShape.GRABBING
        if not self.has_image or self._hover_at is None:
            return CursorShape.ARROW
        if self._is_pan_held:
            return CursorShape.HAND
        if self._tool is Tool.SELECT:
            return CursorShape.PICK if is_on_object else CursorShape.ARROW
        if self._tool in PAINTING:
            is_positive = (self._tool is Tool.BRUSH) is not bool(keys & _SHIFT)
            return CursorShape.BRUSH if is_positive else CursorShape.ERASER
        where = self.view_to_image(self._hover_at)
        grip = self._press.grip or (self._grip(where) if self._press.gesture is Gesture.NONE else None)
        if grip is not None and not keys & _ALT:
            return CursorShape.MOVE if grip.is_whole else _GRIP_CURSORS[grip.dx * grip.dy, grip.dx != 0]
        if self._tool is Tool.BOX or keys & _ALT or self._press.gesture is Gesture.BOX:
            return CursorShape.BOX
        if not self.contains_image_point(where.x(), where.y()):
            return CursorShape.ARROW
        return CursorShape.NEGATIVE if self.is_negative or keys & _SHIFT else CursorShape.POSITIVE
