"""The polygon tool: corner by corner, or free-hand while the button is down; closed, it is an area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QPainterPath, QPolygonF

from annotator.domain.brush import Point, Stroke, thinned
from annotator.domain.snapping import snapped
from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.drawing import paint_dots, paint_line, paint_shape
from annotator.ui.canvas.tools.tool import ALT, LEFT, RIGHT, Pointer, Tool, ToolContext

CLOSING_PX = 10
"""A press this close to the first corner closes the ring, in view pixels."""
SNAP_PX = 12
"""How far a corner goes to what it snaps to, in view pixels."""
_FREE_STEP_PX = 1.0
"""A shorter move adds nothing that can be seen, in view pixels."""
_LEAST_THINNED_PX = 0.25
_MOST_POINTS = 10_000
TOO_FEW = "A polygon has three corners or more: click on, or press Esc."


@dataclass(slots=True, eq=False)
class Part:
    """What one press has added: the way that leads there, its corner, and those of a line drawn free-hand."""

    way: tuple[Point, ...] = ()
    points: list[Point] = field(default_factory=list)


class PolygonTool(Tool):
    """Begun with the right button or Shift it takes away. A press at the first corner, a double click and the key that
    accepts close it; a step back takes the newest press away, free-hand lines as a whole."""

    lends_control = True
    has_cross_hair = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self.parts: list[Part] = []
        self._is_positive = True
        self._pressed: Pointer | None = None
        self._is_free = False
        self._end: QPointF | None = None
        """Where the next corner would be."""
        self._snaps_to: QPointF | None = None
        """The same, while it is not where the pointer is."""
        self._was_snapping = False

    @property
    def is_drawing(self) -> bool:
        return bool(self.parts)

    @property
    def is_open(self) -> bool:
        return self.is_drawing

    @property
    def corners(self) -> tuple[Point, ...]:
        """(x, y) in image pixels, so far."""
        return tuple(point for part in self.parts for point in (*part.way, *part.points))

    def way_to(self, where: Point) -> Sequence[Point]:
        """Corners that lie between the last one and a place."""
        return ()

    # --- a gesture ----------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        if self._is_at_start(pointer.where):
            self.close()
            return False
        if not self.parts:
            self._is_positive = not pointer.is_other
        where = self._placed(pointer).toTuple()
        self.parts.append(Part(tuple(self.way_to(where)), [where]))
        self._pressed, self._is_free = pointer, False
        self.repaint()
        return True

    def move(self, pointer: Pointer) -> None:
        if self._pressed is None:
            return
        self._is_free = self._is_free or pointer.is_far_from(self._pressed)
        if self._is_free:
            self._draw_to(self._placed(pointer))

    def release(self, pointer: Pointer) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is None or not self._is_free or not self.parts:
            return
        self._is_free = False
        line = self.parts[-1]
        line.points = list(thinned(line.points, max(_LEAST_THINNED_PX, 0.5 / self.context.view.zoom)))
        if self._is_at_start(pointer.where):
            self.close()
        self.repaint()

    def double_click(self, pointer: Pointer) -> bool:
        """Its first press was a corner already, or has closed the ring."""
        self.close()
        return True

    def key_press(self, pointer: Pointer) -> bool:
        self.press(pointer)
        self._pressed = None
        return False

    def step_back(self) -> None:
        del self.parts[-1:]
        self.repaint()

    def close(self) -> None:
        if 0 < len(self.corners) < 3:
            self.context.tell(TOO_FEW)
        else:
            self.finish()

    def finish(self) -> None:
        corners, is_positive = self.corners, self._is_positive
        if len(corners) >= 3:
            corners = (*corners, *self.way_to(corners[0]))
        self.cancel()
        if len(corners) >= 3:
            self.context.paint(Stroke.area(corners, is_positive=is_positive))

    def cancel(self) -> None:
        self.parts, self._pressed, self._is_free = [], None, False
        self.repaint()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def hover(self, pointer: Pointer | None) -> None:
        self._end = None if pointer is None else self._placed(pointer)
        self._snaps_to = None if pointer is None or self._end == pointer.where else self._end
        if self.parts or self._snaps_to is not None or self._was_snapping:
            self.repaint()
        self._was_snapping = self._snaps_to is not None

    def cursor(self, pointer: Pointer) -> Cursor:
        if not self.parts:
            return super().cursor(pointer)
        if self._is_at_start(pointer.where):
            return cursors.PICK
        return cursors.POSITIVE if self._is_positive else cursors.NEGATIVE

    def paint(self, painter: QPainter) -> None:
        if self._snaps_to is not None:
            paint_dots(painter, self.context, [self._snaps_to], ringed=0)
        if not self.parts:
            return
        corners = self.corners
        end = None if self._end is None else self._end.toTuple()
        ends = () if end is None or self._is_free else (*self.way_to(end), end)
        line = QPainterPath()
        line.addPolygon(QPolygonF([QPointF(*corner) for corner in (*corners, *ends)]))
        shape = QPainterPath(line)  # even-odd, as the area is
        shape.closeSubpath()
        painter.save()
        colour = self.context.sign_colour(is_positive=self._is_positive)
        paint_shape(painter, shape, colour, is_outlined=False)
        paint_line(painter, line)
        dots = [QPointF(*part.points[0]) for part in self.parts]
        paint_dots(painter, self.context, dots, ringed=0 if self._is_at_start(self._end) else -1)
        painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _placed(self, pointer: Pointer) -> QPointF:
        """Where a corner is: with Alt on the nearest border of the image or outline of an object, if one is close."""
        if not pointer.keys & ALT:
            return pointer.where
        view, overlays = self.context.view, self.context.overlays
        reach = SNAP_PX / view.zoom
        frame = QRectF(pointer.where, pointer.where).adjusted(-reach, -reach, reach, reach)
        masks = [one.mask for one in overlays.layer.views_in(frame)] if overlays.layer.isVisible() else []
        if overlays.mask is not None:
            masks.append(overlays.mask)
        return QPointF(*snapped(pointer.where.toTuple(), masks, view.image_size, reach_px=reach))

    def _draw_to(self, where: QPointF) -> None:
        points = self.parts[-1].points
        is_far = (where - QPointF(*points[-1])).manhattanLength() * self.context.view.zoom >= _FREE_STEP_PX
        if is_far and len(points) < _MOST_POINTS:
            points.append(where.toTuple())
            self.repaint()

    def _is_at_start(self, where: QPointF | None) -> bool:
        if where is None or sum(len(part.points) for part in self.parts) < 3:
            return False
        start = QPointF(*self.parts[0].points[0])
        return (where - start).manhattanLength() * self.context.view.zoom <= CLOSING_PX

    def repaint(self) -> None:
        self.context.view.viewport().update()
