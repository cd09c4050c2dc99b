"""A cross-hair that the arrow keys move, for clicks, box corners and strokes without a mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QPainter, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from annotator.domain.geometry import Box
from annotator.ui.canvas.overlays import Overlays
from annotator.ui.canvas.tools.tool import LEFT, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from annotator.ui.canvas.canvas import Canvas

STEP_PX = 24
"""A plain arrow key moves so far on the screen, but at least one pixel of the image."""
SHIFT_STEP_PX, CONTROL_STEP_PX = 10, 1
"""Image pixels."""
SAME_PLACE_PX = 3
"""The mouse takes over when it has moved further than this."""
_DEPTH = 20
_GAP_PX, _RING_PX = 11, 9
_DARK, _LIGHT = QColor(0, 0, 0, 130), QColor(255, 255, 255, 230)
_DIRECTIONS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_SHIFT, _CONTROL, _KEYPAD, _PLAIN = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.KeypadModifier,
    Qt.KeyboardModifier.NoModifier,
)


class KeyPointer(QObject):
    """Shown by the first arrow key, until the mouse moves or Esc puts it away.

    While it is shown, Space does what a click there would do with the tool in the hand (with Shift what the right
    button would), and the key of the box tool sets a corner, then the other one. Tools that draw do so while Space is
    down. While it is not shown, both keys mean what they always do.
    """

    gesture_changed = Signal()
    """A box or a drawing was begun, or is over."""

    def __init__(self, canvas: Canvas, overlays: Overlays) -> None:
        super().__init__(canvas)
        self._canvas, self._overlays = canvas, overlays
        self._size = (0, 0)
        self._corner: QPointF | None = None
        self._mouse_at = QPointF()
        self._box_keys: frozenset[str] = frozenset()
        self._item = _CrossHairItem()
        self._item.setZValue(_DEPTH)
        self._item.hide()
        self._is_drawing = False
        canvas.scene().addItem(self._item)
        canvas.zoom_changed.connect(self._item.set_zoom)

    @property
    def is_shown(self) -> bool:
        return self._item.isVisible()

    @property
    def place(self) -> QPointF:
        """Where it is, in image pixels: the middle of a pixel."""
        return self._item.place

    @property
    def is_busy(self) -> bool:
        """Whether a box or a drawing is half made."""
        return self._corner is not None or self._is_drawing

    def set_box_keys(self, keys: Iterable[str]) -> None:
        """Keys that set a corner while it is shown, in Qt's portable notation."""
        self._box_keys = frozenset(QKeySequence(key).toString() for key in keys)

    def set_image_size(self, width: int, height: int) -> None:
        """Another image: it goes to the middle, if it is shown. 0 x 0 for none."""
        self._size = (width, height)
        self._item.set_image_size(width, height)
        if not width:
            return
        if self.is_shown:
            self._item.set_place(self._inside(QPointF(width / 2, height / 2)))

    def on_mouse(self, at: QPointF) -> None:
        """The mouse is at this place of the view."""
        if self.is_shown and (at - self._mouse_at).manhattanLength() > SAME_PLACE_PX:
            self.put_away()
        if not self.is_shown:
            self._mouse_at = at

    def put_away(self) -> None:
        self._drop_corner()
        self._item.hide()
        self._end_drawing()
        self._canvas.tool_in_hand.hover(None)

    def drop_gesture(self) -> None:
        """Forget the half-made box, and that Space is down; the tool forgets what it has drawn itself."""
        self._is_drawing = False
        self._drop_corner()

    def _drop_corner(self) -> None:
        if self._corner is not None:
            self._corner = None
            self._overlays.drop_band()
            self.gesture_changed.emit()

    # --- keys ---------------------------------------------------------------------------------------------------------

    def claims(self, event: QKeyEvent) -> bool:
        """Whether a key that is an action's elsewhere is this one's now."""
        return self.is_shown and self._canvas.has_image and (_is_space(event) or self._is_box_key(event))

    def press(self, event: QKeyEvent) -> bool:
        """Serve a key; False when it is not this one's."""
        keys = event.modifiers() & ~_KEYPAD
        if not self._canvas.has_image:
            return False
        if event.key() in _DIRECTIONS and keys in (_PLAIN, _SHIFT, _CONTROL):
            self._move(*_DIRECTIONS[Qt.Key(event.key())], step=self._step(keys))
        elif self.is_shown and event.key() == Qt.Key.Key_Escape:
            self.put_away()
        elif not self.claims(event):
            return False
        elif not event.isAutoRepeat():
            if _is_space(event) and self._corner is None:
                self._act(keys)
            else:
                self._set_corner()
        return True

    def release(self, event: QKeyEvent) -> bool:
        """The end of a drawing, when Space was held; False when the key is not this one's."""
        if not self.is_shown or event.key() != Qt.Key.Key_Space:
            return False
        if not event.isAutoRepeat():
            self._end_drawing()
        return True

    # --- inside -------------------------------------------------------------------------------------------------------

    def _is_box_key(self, event: QKeyEvent) -> bool:
        return QKeySequence(event.keyCombination()).toString() in self._box_keys

    def _step(self, keys: Qt.KeyboardModifier) -> int:
        if keys == _PLAIN:
            return max(1, round(STEP_PX / self._canvas.zoom))
        return SHIFT_STEP_PX if keys == _SHIFT else CONTROL_STEP_PX

    def _move(self, dx: int, dy: int, *, step: int) -> None:
        canvas = self._canvas
        start = self.place if self.is_shown else self._first_place()
        where = self._inside(start + QPointF(dx * step, dy * step))
        self._item.set_place(where)
        self._item.show()
        canvas.bring_into_view(where.x(), where.y())
        if self._is_drawing:
            canvas.tool_in_hand.move(self._here())
        canvas.tool_in_hand.hover(self._here())
        if self._corner is not None:
            self._overlays.show_band(self._box())
        canvas.cursor_moved.emit(where.x(), where.y(), True)

    def _first_place(self) -> QPointF:
        """Under the mouse, else in the middle of what is seen."""
        view = self._canvas.viewport().rect()
        for at in (self._mouse_at, QPointF(view.center())):
            where = self._canvas.view_to_image(at)
            if at != QPointF() and self._canvas.contains_image_point(where.x(), where.y()):
                return where
        return QPointF(self._size[0] / 2, self._size[1] / 2)

    def _inside(self, where: QPointF) -> QPointF:
        """The middle of the pixel there, or of the nearest one of the image."""
        x, y = (min(max(int(v), 0), side - 1) + 0.5 for v, side in zip(where.toTuple(), self._size, strict=True))
        return QPointF(x, y)

    def _here(self, keys: Qt.KeyboardModifier = _PLAIN) -> Pointer:
        where = self.place
        return Pointer(where, self._canvas.image_to_view(where.x(), where.y()), LEFT, keys)

    def _act(self, keys: Qt.KeyboardModifier) -> None:
        """What a click here would do."""
        self._is_drawing = self._canvas.tool_in_hand.key_press(self._here(keys))
        self.gesture_changed.emit()

    def _end_drawing(self) -> None:
        was_drawing, self._is_drawing = self._is_drawing, False
        if was_drawing:
            self._canvas.tool_in_hand.release(self._here())
            self.gesture_changed.emit()

    def _set_corner(self) -> None:
        if self._corner is None:
            self._corner = self.place
            self._overlays.show_band(self._box())
            self.gesture_changed.emit()
            return
        box, is_box = self._box(), self._corner != self.place
        self._drop_corner()
        if is_box:
            self._canvas.boxed.emit(box)

    def _box(self) -> Box:
        """From the corner to here, with the pixels of both."""
        one, other = self._corner or self.place, self.place
        left, right = sorted((one.x(), other.x()))
        top, bottom = sorted((one.y(), other.y()))
        return Box(left - 0.5, top - 0.5, right + 0.5, bottom + 0.5)


def _is_space(event: QKeyEvent) -> bool:
    return event.key() == Qt.Key.Key_Space and event.modifiers() in (_PLAIN, _SHIFT)


class _CrossHairItem(QGraphicsItem):
    """Two lines across the image with a ring where they meet; as thin on the screen at any zoom."""

    def __init__(self) -> None:
        super().__init__()
        self.place = QPointF()
        self._size = (0, 0)
        self._zoom = 1.0
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def set_image_size(self, width: int, height: int) -> None:
        self.prepareGeometryChange()
        self._size = (width, height)

    def set_zoom(self, zoom: float) -> None:
        self.prepareGeometryChange()
        self._zoom = zoom

    def set_place(self, place: QPointF) -> None:
        self.place = place
        self.update()

    def boundingRect(self) -> QRectF:
        rim = (_RING_PX + 3) / self._zoom
        return QRectF(-rim, -rim, self._size[0] + 2 * rim, self._size[1] + 2 * rim)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        x, y, gap, ring = self.place.x(), self.place.y(), _GAP_PX / self._zoom, _RING_PX / self._zoom
        width, height = self._size
        for colour, pen_px in ((_DARK, 3.0), (_LIGHT, 1.25)):
            pen = QPen(colour, pen_px)
            pen.setCosmetic(True)
            painter.setPen(pen)
            for start, end in (
                ((0, y), (x - gap, y)),
                ((x + gap, y), (width, y)),
                ((x, 0), (x, y - gap)),
                ((x, y + gap), (x, height)),
            ):
                if start[0] <= end[0] and start[1] <= end[1]:
                    painter.drawLine(QPointF(*start), QPointF(*end))
            painter.drawEllipse(self.place, ring, ring)
