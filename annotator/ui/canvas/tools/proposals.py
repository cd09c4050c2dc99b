"""The proposal tool: a click takes what the model found, a drag round several takes them all."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.tool import ALT, LEFT, RIGHT, Pointer, Tool, ToolContext

_DARK, _LIGHT = QColor(0, 0, 0, 190), QColor(255, 255, 255)
_FILL_ALPHA = 50


@dataclass(slots=True)
class _Ring:
    """A drag: from corner to corner, or with Alt along a line."""

    start: Pointer
    end: Pointer
    is_lasso: bool
    is_dropping: bool
    is_drag: bool = False
    line: list[QPointF] = field(default_factory=list)

    def corners(self) -> list[QPointF]:
        if self.is_lasso:
            return self.line
        a, b = self.start.where, self.end.where
        return [a, QPointF(b.x(), a.y()), b, QPointF(a.x(), b.y())]


class ProposalTool(Tool):
    """The left button takes, the right one and Shift drop."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._ring: _Ring | None = None
        self._under = 0
        self._at: QPointF | None = None
        """Where the pointer was, in view pixels: a key moves it nowhere, and makes nothing the current one."""

    def press(self, pointer: Pointer) -> bool:
        if pointer.button not in (LEFT, RIGHT):
            return False
        is_lasso = bool(pointer.keys & ALT)
        self._ring = _Ring(pointer, pointer, is_lasso, pointer.is_other, line=[pointer.where])
        return True

    def move(self, pointer: Pointer) -> None:
        ring = self._ring
        if ring is not None:
            ring.end, ring.is_drag = pointer, ring.is_drag or pointer.is_far_from(ring.start)
            ring.line.append(pointer.where)
            self.context.view.viewport().update()

    def release(self, pointer: Pointer) -> None:
        self.move(pointer)
        ring = self._ring
        self.cancel()
        if ring is not None and ring.is_drag:
            corners = tuple((corner.x(), corner.y()) for corner in ring.corners())
            self.context.ring_proposals(corners, ring.is_dropping)
        elif ring is not None and (found := self._found(ring.start)):
            self.context.click_proposal(found, ring.is_dropping)

    def key_press(self, pointer: Pointer) -> bool:
        if found := self._found(pointer):
            self.context.click_proposal(found, pointer.is_other)
        return False

    def cancel(self) -> None:
        if self._ring is not None:
            self._ring = None
            self.context.view.viewport().update()

    def hover(self, pointer: Pointer | None) -> None:
        """The one under the pointer becomes the current one; where there is none the keys' own stays."""
        at = None if pointer is None else pointer.at
        if at == self._at:
            return
        self._at = at
        under = 0 if pointer is None or self._ring is not None else self._found(pointer)
        if under != self._under:
            self._under = under
            if under:
                self.context.point_proposal(under)

    def cursor(self, pointer: Pointer) -> Cursor:
        if self._ring is None and not pointer.is_other and self._found(pointer):
            return cursors.PICK
        return super().cursor(pointer)

    def paint(self, painter: QPainter) -> None:
        ring = self._ring
        if ring is None or not ring.is_drag:
            return
        colour = QColor(self.context.sign_colour(is_positive=not ring.is_dropping))
        colour.setAlpha(_FILL_ALPHA)
        corners = QPolygonF(ring.corners())
        painter.save()
        painter.setBrush(colour)
        for line, style in ((_DARK, Qt.PenStyle.SolidLine), (_LIGHT, Qt.PenStyle.DashLine)):
            pen = QPen(line, 1.5, style)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.drawPolygon(corners)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.restore()

    def _found(self, pointer: Pointer) -> int:
        layer = self.context.overlays.proposals
        return layer.hit(pointer.where.x(), pointer.where.y()) if layer.isVisible() else 0
