"""The outline tool: corners of the current object are dragged, added and taken away; nothing far from them changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPolygonF

from annotator.domain.mask import Mask
from annotator.domain.operations import Operation, OperationKind
from annotator.domain.outline import Outline, Point, area_of, outline_of
from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.latest import Latest
from annotator.ui.canvas.tools.drawing import paint_dots, paint_line
from annotator.ui.canvas.tools.tool import LEFT, RIGHT, SHIFT, Pointer, Tool, ToolContext

CORNER_PX, EDGE_PX = 9.0, 6.0
"""A press this close to a corner, or to a line between two, means it, in view pixels."""
Corner = tuple[int, int]
"""(ring, place in it)"""


def handles_of(mask: Mask, claimed: Outline) -> Outline:
    """The outline that the mask was drawn with, else one near its edge. A large mask takes a moment."""
    is_drawn = bool(claimed) and area_of(claimed, mask.width, mask.height).same_pixels(mask)
    return claimed if is_drawn else outline_of(mask)


@dataclass(slots=True, eq=False)
class _Press:
    """A press on the outline: ``before`` is what it was, ``marquee`` whether it selects instead."""

    start: Pointer
    before: Outline
    corner: Corner | None = None
    is_marquee: bool = False
    is_drag: bool = False
    end: QPointF = field(default_factory=QPointF)


class OutlineTool(Tool):
    """Shift adds to the corners that are selected; the right button and Del take them away. A click on an accepted
    object takes it up."""

    lends_control = False

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self.rings: Outline = ()
        self.selected: frozenset[Corner] = frozenset()
        self._of: Mask | None = None
        """The mask that the rings are of."""
        self._expected: Outline | None = None
        """What the rings are once the mask has followed."""
        self._press: _Press | None = None
        self._inserted: Outline = ()
        """With the corner that this press has added."""
        self._finder = Latest(context.view)

    # --- a gesture ----------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer) -> bool:
        self._follow()
        corner = self._corner_at(pointer.where)
        if pointer.button == RIGHT:
            if corner is not None:
                self._take_away(self.selected if corner in self.selected else frozenset({corner}))
            return False
        if pointer.button != LEFT:
            return False
        self._press = _Press(pointer, self.rings, corner, end=pointer.where)
        edge = self._edge_at(pointer.where) if corner is None else None
        if corner is not None:
            if pointer.keys & SHIFT:
                self.selected ^= {corner}
            elif corner not in self.selected:
                self.selected = frozenset({corner})
        elif edge is not None:
            self._insert(edge, pointer.where.toTuple())
        else:
            self._press.is_marquee = True
        self._repaint()
        return True

    key_press = press

    def move(self, pointer: Pointer) -> None:
        press = self._press
        if press is None:
            return
        press.is_drag = press.is_drag or pointer.where != press.start.where
        press.end = pointer.where
        if not press.is_marquee:
            by = pointer.where - press.start.where
            self.rings = self._moved(self._with_inserted(press), by.x(), by.y())
        self._repaint()

    def release(self, pointer: Pointer) -> None:
        press, self._press = self._press, None
        if press is None:
            return
        if press.is_marquee:
            self._select(press) if press.is_drag else self._click(pointer)
        elif press.is_drag:
            self._say(press.before, self.rings)
        elif press.corner is not None and not press.start.keys & SHIFT:
            self.selected = frozenset({press.corner})
        self._repaint()

    def key(self, key: Qt.Key) -> bool:
        if key != Qt.Key.Key_Delete or not self.selected:
            return False
        self._take_away(self.selected)
        return True

    def cancel(self) -> None:
        if self._press is not None:
            self.rings, self._press = self._press.before, None
            self.selected = frozenset()
        self._repaint()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def hover(self, pointer: Pointer | None) -> None:
        if self._press is None and pointer is not None:
            self._follow()

    def cursor(self, pointer: Pointer) -> Cursor:
        if self._corner_at(pointer.where) is not None:
            return cursors.MOVE
        if self._edge_at(pointer.where) is not None:
            return cursors.POSITIVE
        return cursors.PICK if not self.rings and self.context.view.hit(pointer.at) else cursors.ARROW

    def paint(self, painter: QPainter) -> None:
        self._follow()
        painter.save()
        path = QPainterPath()
        for ring in self.rings:
            path.addPolygon(QPolygonF([QPointF(*point) for point in ring]))
            path.closeSubpath()
        paint_line(painter, path)
        seen = self.context.view.mapToScene(self.context.view.viewport().rect()).boundingRect()
        corners = [(at, QPointF(*point)) for at, point in self._corners() if seen.contains(QPointF(*point))]
        paint_dots(painter, self.context, [place for at, place in corners if at not in self.selected])
        chosen = self.context.sign_colour(is_positive=True)
        paint_dots(painter, self.context, [place for at, place in corners if at in self.selected], colour=chosen)
        press = self._press
        if press is not None and press.is_marquee and press.is_drag:
            marquee = QPainterPath()
            marquee.addRect(QRectF(press.start.where, press.end).normalized())
            paint_line(painter, marquee)
        painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Ask for the outline of another mask; after an edit of ours it is known already."""
        mask = self.context.overlays.mask
        if mask is self._of or self._press is not None:
            return
        self._of = mask
        expected, self._expected = self._expected, None
        if expected is not None and mask is not None:
            self.rings = expected
            return
        self.rings, self.selected = (), frozenset()
        self._finder.forget()
        if mask is not None and not mask.is_empty:
            claimed = self.context.overlays.outline
            self._finder.start(lambda: handles_of(mask, claimed), self._on_rings)

    def _on_rings(self, rings: Outline) -> None:
        self.rings = rings
        self._repaint()

    def _say(self, before: Outline, after: Outline) -> None:
        """Tell what the corners have become."""
        pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        if not pairs:
            return
        kept = tuple(ring for ring in after if len(ring) >= 3)
        self._expected = kept
        self.context.operate(Operation(OperationKind.RESHAPE, rings=tuple(ring for pair in pairs for ring in pair)))
        if self.context.overlays.mask is self._of:  # nothing has come of it: the corners lie elsewhere all the same
            self._expected = None
            self.rings = kept

    def _take_away(self, corners: frozenset[Corner]) -> None:
        before = self.rings
        after = tuple(
            tuple(point for at, point in enumerate(ring) if (number, at) not in corners)
            for number, ring in enumerate(before)
        )
        self.selected = frozenset()
        self._say(before, tuple(ring if len(ring) >= 3 else () for ring in after))
        self._repaint()

    def _insert(self, edge: Corner, where: Point) -> None:
        number, at = edge
        ring = self.rings[number]
        ring = (*ring[: at + 1], where, *ring[at + 1 :])
        self.rings = (*self.rings[:number], ring, *self.rings[number + 1 :])
        self.selected = frozenset({(number, at + 1)})
        self._inserted = self.rings

    def _with_inserted(self, press: _Press) -> Outline:
        """The outline at the press, with the corner that it added."""
        counts = [len(ring) for ring in press.before]
        return press.before if [len(ring) for ring in self.rings] == counts else self._inserted

    def _moved(self, rings: Outline, dx: float, dy: float) -> Outline:
        def place(corner: Corner, point: Point) -> Point:
            return (point[0] + dx, point[1] + dy) if corner in self.selected else point

        return tuple(
            tuple(place((number, at), point) for at, point in enumerate(ring)) for number, ring in enumerate(rings)
        )

    def _select(self, press: _Press) -> None:
        frame = QRectF(press.start.where, press.end).normalized()
        within = frozenset(at for at, point in self._corners() if frame.contains(QPointF(*point)))
        self.selected = self.selected | within if press.start.keys & SHIFT else within

    def _click(self, pointer: Pointer) -> None:
        """Beside the outline."""
        self.selected = frozenset()
        found = self.context.view.hit(pointer.at)
        if found:
            self.context.activate(found)

    def _corners(self) -> list[tuple[Corner, Point]]:
        return [((number, at), point) for number, ring in enumerate(self.rings) for at, point in enumerate(ring)]

    def _corner_at(self, where: QPointF) -> Corner | None:
        reach = CORNER_PX / self.context.view.zoom
        near = [(math.dist(point, where.toTuple()), at) for at, point in self._corners()]
        distance, corner = min(near, default=(math.inf, (0, 0)))
        return corner if distance <= reach else None

    def _edge_at(self, where: QPointF) -> Corner | None:
        """The corner that a line close by begins at."""
        best, found = EDGE_PX / self.context.view.zoom, None
        for number, ring in enumerate(self.rings):
            for at, start in enumerate(ring):
                distance = _distance(where.toTuple(), start, ring[(at + 1) % len(ring)])
                if distance <= best:
                    best, found = distance, (number, at)
        return found

    def _repaint(self) -> None:
        self.context.view.viewport().update()


def _distance(place: Point, start: Point, end: Point) -> float:
    """Of a place to a line with ends."""
    along = end[0] - start[0], end[1] - start[1]
    length2 = along[0] ** 2 + along[1] ** 2
    share = ((place[0] - start[0]) * along[0] + (place[1] - start[1]) * along[1]) / length2 if length2 else 0.0
    share = min(max(share, 0.0), 1.0)
    return math.dist(place, (start[0] + share * along[0], start[1] + share * along[1]))
