"""The measure tool: a drag measures a length, a second one from either end the angle between the two. It changes
nothing."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QPainterPath

from annotator.domain.brush import Point
from annotator.domain.measuring import angle_deg, length, slope_deg, straightened
from annotator.ui.canvas.tools.drawing import label_place, paint_dots, paint_label, paint_line
from annotator.ui.canvas.tools.tool import LEFT, RIGHT, SHIFT, Pointer, Tool, ToolContext
from annotator.ui.look.numbers import millimetres

END_PX = 10.0
"""A press this close to an end begins there, in view pixels."""
_ARC_PX = 26.0


class MeasureTool(Tool):
    """Shift keeps to eight directions. What was measured stays until the next drag, a click, Esc or another image."""

    has_cross_hair = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self.points: tuple[Point, ...] = ()
        """Two of a line; of an angle one arm's end, the corner, and the other arm's end. Image pixels."""
        self._start: Pointer | None = None
        self._before: tuple[Point, ...] = ()
        """What was measured when the drag began from one of its ends; else nothing."""

    @property
    def texts(self) -> tuple[tuple[str, QPointF], ...]:
        """What is read, and where it stands (image pixels)."""
        points, spacing = self.points, self.context.view.spacing_mm
        if len(points) == 2:
            slope = f"{slope_deg(*points, spacing):.1f}°"
            return ((f"{self._length(*points)}  ·  {slope}", QPointF(*points[1])),)
        if len(points) == 3:
            one, corner, other = points
            angle = f"{angle_deg(corner, one, other, spacing):.1f}°"
            arms = ((self._length(corner, end), QPointF(*end)) for end in (one, other))
            return ((angle, QPointF(*corner)), *arms)
        return ()

    # --- a gesture ----------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer) -> bool:
        if pointer.button == RIGHT:
            self._set(())
            return False
        if pointer.button != LEFT:
            return False
        at = self._end_at(pointer)
        self._before = () if at is None else self.points[::-1] if at == 0 else self.points
        self._start = pointer
        return True

    key_press = press

    def move(self, pointer: Pointer) -> None:
        start = self._start
        if start is None or pointer.where == start.where:
            return
        begin = self._before[1] if self._before else start.where.toTuple()
        end = pointer.where.toTuple()
        if pointer.keys & SHIFT:
            end = straightened(begin, end)
        self._set((*self._before[:2], end) if self._before else (begin, end))

    def release(self, pointer: Pointer) -> None:
        start, self._start = self._start, None
        if start is not None and not self._before and pointer.where == start.where:
            self._set(())

    def cancel(self) -> None:
        self._start, self._before = None, ()
        self._set(())

    @property
    def has_picture(self) -> bool:
        return bool(self.points)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def paint(self, painter: QPainter) -> None:
        if not self.points:
            return
        painter.save()
        line = QPainterPath(QPointF(*self.points[0]))
        for point in self.points[1:]:
            line.lineTo(QPointF(*point))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        paint_line(painter, line)
        if len(self.points) == 3:
            paint_line(painter, self._arc())
        paint_dots(painter, self.context, [QPointF(*point) for point in self.points])
        painter.restore()
        for text, where in self.texts:
            painter.save()
            paint_label(painter, self.context, text, where)
            painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _arc(self) -> QPainterPath:
        """Between the arms, as large on the screen at any zoom, but no longer than they are."""
        one, corner, other = self.points
        reach = min(_ARC_PX / self.context.view.zoom, length(corner, one) / 2, length(corner, other) / 2)
        frame = QRectF(corner[0] - reach, corner[1] - reach, 2 * reach, 2 * reach)
        first, second = (math.degrees(math.atan2(corner[1] - p[1], p[0] - corner[0])) for p in (one, other))
        span = (second - first + 180) % 360 - 180
        arc = QPainterPath()
        arc.arcMoveTo(frame, first)
        arc.arcTo(frame, first, span)
        return arc

    def _length(self, start: Point, end: Point) -> str:
        spacing, pixels = self.context.view.spacing_mm, f"{length(start, end):.1f} px"
        return pixels if spacing is None else f"{pixels}  ·  {millimetres(length(start, end, spacing))}"

    def _end_at(self, pointer: Pointer) -> int | None:
        """Which end of a line is here; None for none. An angle has no more arms."""
        if len(self.points) != 2:
            return None
        near = [math.dist(pointer.where.toTuple(), point) * self.context.view.zoom for point in self.points]
        best = min(range(2), key=near.__getitem__)
        return best if near[best] <= END_PX else None

    def _set(self, points: tuple[Point, ...]) -> None:
        self._update()
        self.points = points
        self._update()

    def _update(self) -> None:
        """Ask for a repaint of lines and labels."""
        view = self.context.view
        for text, where in self.texts:
            view.viewport().update(label_place(self.context, text, where).toAlignedRect())
        if self.points:
            xs, ys = zip(*self.points, strict=True)
            place = QRectF(QPointF(min(xs), min(ys)), QPointF(max(xs), max(ys)))
            view.update_place(place, margin_px=math.ceil(_ARC_PX) + 4)
