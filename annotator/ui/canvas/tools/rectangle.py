"""The rectangle tool: a drag paints a rectangle of whole pixels; the right button and Shift take one away."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPainterPath

from annotator.domain.brush import Stroke
from annotator.domain.geometry import Box
from annotator.ui.canvas.tools.drawing import paint_label, paint_shape
from annotator.ui.canvas.tools.tool import CONTROL, LEFT, RIGHT, Pointer, Tool, ToolContext
from annotator.ui.look.numbers import size_text


@dataclass(frozen=True, slots=True)
class _Drawing:
    start: Pointer
    end: Pointer
    is_positive: bool
    by_keys: bool
    is_drag: bool = False
    """It has moved far enough to be meant; a click alone paints nothing."""

    @property
    def corner(self) -> tuple[float, float]:
        """The one that is dragged; with Ctrl as far down as across."""
        by = self.end.where - self.start.where
        if not self.end.keys & CONTROL:
            return self.end.where.toTuple()
        side = max(abs(by.x()), abs(by.y()))
        return (
            self.start.where.x() + math.copysign(side, by.x()),
            self.start.where.y() + math.copysign(side, by.y()),
        )


class RectangleTool(Tool):
    """From corner to corner, with the pixels of both; its size is shown while it is drawn."""

    has_cross_hair = True
    name = "rectangle"

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._drawing: _Drawing | None = None

    @property
    def is_drawing(self) -> bool:
        return self._drawing is not None

    @property
    def box(self) -> Box | None:
        """What is drawn so far, whole pixels inside the image; None for nothing."""
        drawing = self._drawing
        if drawing is None or not drawing.is_drag:
            return None
        (ax, ay), (bx, by) = drawing.start.where.toTuple(), drawing.corner
        low, high = (
            (math.floor(min(ax, bx)), math.floor(min(ay, by))),
            (math.floor(max(ax, bx)), math.floor(max(ay, by))),
        )
        box = Box(*low, high[0] + 1, high[1] + 1).clipped(*self.context.view.image_size)
        return box if box.area > 0 else None

    def press(self, pointer: Pointer) -> bool:
        return pointer.button in (LEFT, RIGHT) and self._begin(pointer, by_keys=False)

    def key_press(self, pointer: Pointer) -> bool:
        return self._begin(pointer, by_keys=True)

    def move(self, pointer: Pointer) -> None:
        drawing = self._drawing
        if drawing is not None:
            is_moved = pointer.where != drawing.start.where if drawing.by_keys else pointer.is_far_from(drawing.start)
            self._drawing = replace(drawing, end=pointer, is_drag=drawing.is_drag or is_moved)
            self.context.view.viewport().update()

    def release(self, pointer: Pointer) -> None:
        self.finish()

    def finish(self) -> None:
        drawing, box = self._drawing, self.box
        self.cancel()
        if drawing is not None and box is not None:
            self.context.paint(self.stroke(box, is_positive=drawing.is_positive))
        elif drawing is not None and drawing.is_drag:
            self.context.tell(f"That {self.name} lies outside of the image.")

    def cancel(self) -> None:
        if self._drawing is not None:
            self._drawing = None
            self.context.view.viewport().update()

    def paint(self, painter: QPainter) -> None:
        drawing, box = self._drawing, self.box
        if drawing is None or box is None:
            return
        painter.save()
        paint_shape(painter, self.shape(box), self.context.sign_colour(is_positive=drawing.is_positive))
        paint_label(painter, self.context, self.size_text(box), drawing.end.where)
        painter.restore()

    # --- what it draws ------------------------------------------------------------------------------------------------

    def stroke(self, box: Box, *, is_positive: bool) -> Stroke:
        return Stroke.rectangle(box, is_positive=is_positive)

    def shape(self, box: Box) -> QPainterPath:
        path = QPainterPath()
        path.addRect(QRectF(box.x0, box.y0, box.width, box.height))
        return path

    def size_text(self, box: Box) -> str:
        return size_text(box.width, box.height, self.context.view.spacing_mm)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, pointer: Pointer, *, by_keys: bool) -> bool:
        self._drawing = _Drawing(pointer, pointer, not pointer.is_other, by_keys)
        return True
