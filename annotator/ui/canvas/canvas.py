"""The gestures of the person on the image, as signals in image pixels.

Nothing here knows the model: a gesture is over in microseconds, and what follows is other people's business.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor, cursor_of
from annotator.ui.canvas.display import CanvasDisplay
from annotator.ui.canvas.drawn_examples import DrawnExamples
from annotator.ui.canvas.key_pointer import KeyPointer
from annotator.ui.canvas.lent_tool import LentTool
from annotator.ui.canvas.mask_items import ObjectView
from annotator.ui.canvas.open_gesture import OpenGesture
from annotator.ui.canvas.overlays import CanvasColours
from annotator.ui.canvas.prepared import PreparedImage, prepare_image
from annotator.ui.canvas.tools.specs import FIRST_TOOL, tool_spec
from annotator.ui.canvas.tools.tool import Pointer, Tool, ToolContext
from annotator.ui.canvas.tools.window import RightDrag, WindowTool
from annotator.ui.canvas.view import DEGREES_8_PER_NOTCH

__all__ = ["Canvas", "CanvasColours", "ObjectView", "PreparedImage", "prepare_image"]

_LEFT, _MIDDLE, _NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.MouseButton.NoButton
_SHIFT, _NO_KEYS = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


class Canvas(CanvasDisplay):
    """Shows an image with its objects and hands what the mouse does on it to the tool in the hand.

    Of its own it pans (middle drag, or Space + drag), zooms (the wheel, unless the tool wants it) and accepts (mouse
    button 4 or 5). What a tool makes of a gesture goes out by the signals.
    """

    pointed = Signal(object)
    """PointPrompt, inside the image; sent on release, at the place of the press."""
    boxed = Signal(object)
    """Box, clipped to the image, never empty."""
    cued = Signal(object)
    """Cue of a tool, sent on release; may lie outside the image."""
    object_clicked = Signal(object, bool)
    """(annotation id or 0 for none, whether Shift or Ctrl was held), of the select tool"""
    objects_ringed = Signal(object, bool)
    """(ids of all objects that a drag of the select tool has touched, whether Shift or Ctrl was held)"""
    menu_wanted = Signal(object, QPoint)
    """(annotation id or 0 for those that are selected, place on the screen)"""
    object_activated = Signal(object)
    """Double click on an object of the select tool."""
    cursor_moved = Signal(float, float, bool)
    """(x, y, inside the image), image pixels"""
    painted = Signal(object)
    """Stroke of a tool that paints, sent on release; may lie outside the image."""
    brush_turned = Signal(int)
    slices_turned = Signal(int)
    """So many slices on (or back), by Alt and the wheel."""
    """Ctrl + wheel with a brush in the hand: so many steps larger, or smaller."""
    operated = Signal(object)
    """Operation on the current mask."""
    cut_drawn = Signal(object)
    """Positions (x, y) of a line that parts objects; may leave the image."""
    tool_told = Signal(str)
    """A quiet line of the tool in the hand."""
    proposal_pointed = Signal(int)
    """The proposal tool is over the proposal of this id."""
    proposal_clicked = Signal(int, bool)
    """(id of a proposal, whether it is to be dropped), of the proposal tool"""
    proposals_ringed = Signal(object, bool)
    """(corners (x, y) of a closed line in image pixels, whether what is in it is to be dropped), of the same"""
    windowed = Signal(object)
    """WindowGesture: other greys are wanted."""
    tool_changed = Signal(str, str)
    """(id before, id now), also when it is the same"""
    key_let_go = Signal(str)
    """A key in Qt's portable notation; repeats are not reported."""
    gesture_changed = Signal()
    """A click or drag was begun or is over; see :attr:`has_gesture`."""
    accept_clicked = Signal()
    """Mouse button 4 or 5."""

    is_negative = False
    """Whether a plain left click is negative."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Not by Tab, which is another candidate here and would not lead away again; F6 goes round.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setMouseTracking(True)
        self._held = _NO_BUTTON  # the mouse button of the gesture
        self._panned_to: QPointF | None = None
        """Where the mouse has taken the image, in view pixels, while it pans."""
        self._cursor_shape, self._turned = cursors.ARROW, 0.0
        """What Alt and the wheel have turned, in eighths of a degree, since the last whole notch."""
        self.examples = DrawnExamples(self)
        self._context = ToolContext(
            view=self,
            overlays=self._overlays,
            brush=self.brush,
            is_negative=lambda: self.is_negative,
            point=self.pointed.emit,
            box=self.boxed.emit,
            cue=self.cued.emit,
            paint=self.painted.emit,
            pick=self.object_clicked.emit,
            pick_many=self.objects_ringed.emit,
            activate=self.object_activated.emit,
            turn_brush=self.brush_turned.emit,
            operate=self.operated.emit,
            cut=self.cut_drawn.emit,
            tell=self.tool_told.emit,
            point_proposal=self.proposal_pointed.emit,
            click_proposal=self.proposal_clicked.emit,
            ring_proposals=self.proposals_ringed.emit,
            examples=self.examples,
            window=self.windowed.emit,
        )
        self.right_drag = RightDrag(WindowTool(self._context))
        self._tool_id, self._tools = FIRST_TOOL, {FIRST_TOOL: tool_spec(FIRST_TOOL).make(self._context)}
        self.open_gesture = OpenGesture(self, is_pressed=lambda: self._held != _NO_BUTTON)
        self._lent = LentTool(self, self._overlays)
        self.pointer = KeyPointer(self, self._overlays)
        self.pointer.gesture_changed.connect(self.gesture_changed)
        self.pan_held.connect(lambda _is_held: self._hover())
        self.cursor_moved.connect(self.loupe.move_to)

    # --- the tool in the hand -----------------------------------------------------------------------------------------

    @property
    def has_gesture(self) -> bool:
        """Whether a click, drag, stroke or box is half made."""
        return self._held != _NO_BUTTON or self.pointer.is_busy or self.tool_in_hand.is_open

    @property
    def is_drawing(self) -> bool:
        """Whether something is half drawn that :meth:`finish_gesture` would keep."""
        return self.tool_in_hand.is_drawing

    @property
    def tool(self) -> str:
        """The id of the tool in the hand."""
        return self._tool_id

    @property
    def tool_in_hand(self) -> Tool:
        return self._tools[self._tool_id]

    def set_tool(self, tool_id: str) -> None:
        """Take another tool.

        Raises:
            KeyError: there is none of this id.
        """
        tool = self._tools.get(tool_id) or tool_spec(tool_id).make(self._context)
        self.open_gesture.finish()
        self.cancel_gesture()
        self.tool_in_hand.hover(None)
        self._tools[tool_id] = tool
        before, self._tool_id = self._tool_id, tool_id
        self._update_cross_hair()
        self._is_aiming = tool.has_cross_hair
        self._hover()
        self.tool_changed.emit(before, tool_id)

    def set_image(self, prepared: PreparedImage | None, *, keeps_view: bool = False) -> None:
        """Another image, without objects, candidate and prompts; None for an empty canvas. It is fitted, unless the
        view of an image of the same size is kept."""
        self.cancel_gesture()
        super().set_image(prepared, keeps_view=keeps_view)
        self.examples.set(())
        self.pointer.set_image_size(*self.image_size)
        self._hover()

    def set_negative(self, is_negative: bool) -> None:
        """Whether a plain left click is negative."""
        self.is_negative = is_negative
        self._hover()

    def cancel_gesture(self) -> bool:
        """Drop a half-made click or drag; False when there was none."""
        was_active = self.open_gesture.is_cancellable
        self.pointer.drop_gesture()
        self._held = _NO_BUTTON
        self._panned_to = None
        if not self.right_drag.end(is_kept=False):
            self.tool_in_hand.cancel()
        self.gesture_changed.emit()
        return was_active

    def finish_gesture(self) -> None:
        """Keep what is being drawn, as if the button had been let go."""
        if self.is_drawing:
            self._held = _NO_BUTTON
            self.tool_in_hand.finish()
            self.cancel_gesture()

    # --- mouse --------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if event.button() in (Qt.MouseButton.BackButton, Qt.MouseButton.ForwardButton):
            self.accept_clicked.emit()
            return
        if self._held != _NO_BUTTON or not self.has_image:
            return
        if event.button() == _MIDDLE or (event.button() == _LEFT and self._is_pan_held):
            self._held, self._panned_to = event.button(), event.position()
        elif event.button() != _MIDDLE and self.tool_in_hand.press(
            self._pointer(event.position(), event.modifiers(), event.button())
        ):
            self._held = event.button()
            self.right_drag.press(self._pointer(event.position(), event.modifiers(), event.button()), self.tool_in_hand)
        self.gesture_changed.emit()
        self._hover()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        # Two quick clicks are two prompts; only objects are activated by a double click.
        is_tools = event.button() == _LEFT and not self._is_pan_held
        if is_tools and self.tool_in_hand.double_click(
            self._pointer(event.position(), event.modifiers(), event.button())
        ):
            event.accept()
        else:
            self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if self._held != _NO_BUTTON and not event.buttons() & self._held:
            self.cancel_gesture()  # the button was let go elsewhere, in a dialog that came meanwhile
        pointer = self._pointer(event.position(), event.modifiers(), event.button())
        if self._panned_to is not None:
            by, self._panned_to = pointer.at - self._panned_to, pointer.at
            self.pan_by(by.x(), by.y())
        elif self._held != _NO_BUTTON and not self.right_drag.move(pointer, self.tool_in_hand):
            self.tool_in_hand.move(pointer)
        self.pointer.on_mouse(pointer.at)
        self._update_cross_hair()
        self._hover_at = pointer.at
        self._update_cross_hair()
        self._hover(event.modifiers())
        where = self.view_to_image(pointer.at)
        self.cursor_moved.emit(where.x(), where.y(), self.contains_image_point(where.x(), where.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if self._held == _NO_BUTTON or event.button() != self._held:
            return
        # Ended before anyone hears of it, so that a listener may change image or tool.
        self._held = _NO_BUTTON
        if self._panned_to is not None:
            self._panned_to = None
        elif not self.right_drag.end(is_kept=True):
            self.tool_in_hand.release(self._pointer(event.position(), event.modifiers(), event.button()))
        self.gesture_changed.emit()
        self._hover(event.modifiers())

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.AltModifier:
            # Systems turn the wheel sideways while Alt is down.
            self._turned += event.angleDelta().y() or event.angleDelta().x()
            steps = int(self._turned / DEGREES_8_PER_NOTCH)
            self._turned -= steps * DEGREES_8_PER_NOTCH
            if steps:
                self.slices_turned.emit(-steps)
            event.accept()
        elif self.tool_in_hand.wheel(event.angleDelta().y(), event.modifiers()):
            event.accept()
        else:
            super().wheelEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._update_cross_hair()
        self._hover_at = None
        self.tool_in_hand.hover(None)
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
        elif found := self.tool_in_hand.menu_object(self._pointer(QPointF(event.pos()), _NO_KEYS)):
            self.menu_wanted.emit(found, event.globalPos())

    # --- keys: Space and the pointer's are the canvas's own; the gate serves Space when a list has the focus ----------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._lent.press(event)
        if self.pointer.press(event) or self.tool_in_hand.key(Qt.Key(event.key())):
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
        self._lent.release(event)
        if self.pointer.release(event):
            event.accept()
            return
        if event.key() == Qt.Key.Key_Space:
            self.hold_pan(self._is_pan_held and event.isAutoRepeat())
            event.accept()
        else:
            event.ignore()
            if not event.isAutoRepeat():
                self.key_let_go.emit(QKeySequence(event.key()).toString())
        self._hover(event.modifiers() & ~_SHIFT if event.key() == Qt.Key.Key_Shift else event.modifiers())

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._lent.give_back()
        self.hold_pan(False)

    # --- inside -------------------------------------------------------------------------------------------------------

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        super().drawForeground(painter, rect)
        self.tool_in_hand.paint(painter)
        self.loupe.paint(painter)

    def _pointer(self, at: QPointF, keys: Qt.KeyboardModifier, button: Qt.MouseButton = _NO_BUTTON) -> Pointer:
        return Pointer(self.view_to_image(at), at, button, keys)

    def _hover(self, keys: Qt.KeyboardModifier = _NO_KEYS) -> None:
        """The cursor says what a press would do; the tool shows it on the image."""
        is_tools = self.has_image and not self._is_pan_held and self._panned_to is None
        at = self._hover_at if is_tools else None
        self.tool_in_hand.hover(None if at is None else self._pointer(at, keys))
        shape = self._shape(keys)
        if shape is not self._cursor_shape:
            self._cursor_shape = shape
            self.viewport().setCursor(cursor_of(shape))

    def _shape(self, keys: Qt.KeyboardModifier) -> Cursor:
        if self._panned_to is not None:
            return cursors.GRABBING
        if not self.has_image or self._hover_at is None:
            return cursors.ARROW
        if self._is_pan_held:
            return cursors.HAND
        if self.right_drag.is_going:
            return cursors.WINDOW
        return self.tool_in_hand.cursor(self._pointer(self._hover_at, keys))
