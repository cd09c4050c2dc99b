"""The click tool: a click is a point, a drag a box, a drag at the shown box another one in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter

from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas import cursors
from annotator.ui.canvas.box_grip import BoxGrip, grip_at
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.drags import BoxDrag, Drag, GripDrag
from annotator.ui.canvas.tools.size_label import SizeLabel
from annotator.ui.canvas.tools.tool import ALT, LEFT, RIGHT, Pointer, Tool, ToolContext

_GRIP_CURSORS = {
    (1, True): cursors.SIZE_FALLING,
    (-1, True): cursors.SIZE_RISING,
    (0, True): cursors.SIZE_ACROSS,
    (0, False): cursors.SIZE_DOWN,
}


@dataclass(frozen=True, slots=True)
class _Press:
    """``click`` is what it is when it does not move, ``drag`` what it is once it has moved; ``grip`` of the shown box
    it has taken."""

    start: Pointer
    click: PointPrompt | None = None
    drag: Drag | None = None
    is_drag: bool = False
    grip: BoxGrip | None = None


class ClickTool(Tool):
    """Left click: a positive point (or a negative one, see ``is_negative``). Right click or Shift+click: negative.

    Left drag: a box; with Alt at once, however short.
    """

    lends_control = True
    has_cross_hair = True
    uses_right_drag = False
    is_box_at_once = False
    """Whether a left press begins a box before it has moved."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._press: _Press | None = None
        self._size = SizeLabel(context)

    def press(self, pointer: Pointer) -> bool:
        self._press = press = self._begun(pointer)
        if press is not None and press.click is not None and not press.is_drag:
            self.context.overlays.show_provisional(press.click)
        return press is not None

    def move(self, pointer: Pointer) -> None:
        press = self._press
        if press is None or press.drag is None:
            return
        if not press.is_drag and pointer.is_far_from(press.start):
            press = self._press = replace(press, is_drag=True)
            self.context.overlays.drop_provisional()
        if press.is_drag and press.drag is not None:
            self._size.hide()
            press.drag.move(pointer)
            self._size.show(press.drag.shown, pointer.where)

    def release(self, pointer: Pointer) -> None:
        press, self._press = self._press, None
        if press is None:
            return
        if press.is_drag and press.drag is not None:
            press.drag.finish(pointer)
        elif press.click is not None:
            self.context.point(press.click)
        self.cancel()  # the dot goes when the prompt's own is there

    def key_press(self, pointer: Pointer) -> bool:
        self.context.point(self._click(pointer))
        return False

    def cancel(self) -> None:
        self._press = None
        self._size.hide()
        overlays = self.context.overlays
        overlays.show_box(overlays.prompt_box)
        overlays.drop_band()
        overlays.drop_provisional()

    def cursor(self, pointer: Pointer) -> Cursor:
        press = self._press
        grip = self._grip(pointer.where) if press is None else press.grip
        if grip is not None and not pointer.keys & ALT:
            return cursors.MOVE if grip.is_whole else _GRIP_CURSORS[grip.dx * grip.dy, grip.dx != 0]
        is_box = press is not None and press.is_drag and press.grip is None
        if self.is_box_at_once or pointer.keys & ALT or is_box:
            return cursors.BOX
        if not self._is_inside(pointer.where):
            return cursors.ARROW
        return cursors.NEGATIVE if self.context.is_negative() or pointer.is_other else cursors.POSITIVE

    def paint(self, painter: QPainter) -> None:
        self._size.paint(painter)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begun(self, pointer: Pointer) -> _Press | None:
        context, is_left = self.context, pointer.button == LEFT
        click = self._click(pointer) if self._is_inside(pointer.where) else None
        grip = self._grip(pointer.where) if is_left and not pointer.keys & ALT else None
        box = context.overlays.prompt_box
        if grip is not None and box is not None:
            # Still a click when it does not move: points lie close to the box, too.
            return _Press(pointer, click, GripDrag(context, pointer, grip, box), grip=grip)
        if is_left and (self.is_box_at_once or pointer.keys & ALT or click is None):
            # From outside a drag may still cover the image.
            drag = BoxDrag(context, pointer, click if self.is_box_at_once else None)
            return _Press(pointer, drag=drag, is_drag=True)
        if click is not None and pointer.button in (LEFT, RIGHT):
            return _Press(pointer, click, BoxDrag(context, pointer) if is_left else None)
        return None

    def _click(self, pointer: Pointer) -> PointPrompt:
        is_positive = not (self.context.is_negative() or pointer.is_other)
        return PointPrompt(pointer.where.x(), pointer.where.y(), is_positive)

    def _is_inside(self, where: QPointF) -> bool:
        return self.context.view.contains_image_point(where.x(), where.y())

    def _grip(self, where: QPointF) -> BoxGrip | None:
        """What of the shown box a press here would take."""
        box = self.context.overlays.prompt_box
        return None if box is None else grip_at(box, where.x(), where.y(), zoom=self.context.view.zoom)
