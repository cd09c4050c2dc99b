"""The size of a box while it is dragged, beside the pointer."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter

from annotator.domain.geometry import Box
from annotator.ui.canvas.tools.drawing import label_place, paint_label
from annotator.ui.canvas.tools.tool import ToolContext
from annotator.ui.look.numbers import size_text


class SizeLabel:
    """In pixels, and where the pixel's size is known in millimetres; asks for repaints of its own place alone."""

    def __init__(self, context: ToolContext) -> None:
        self._context = context
        self._shown: tuple[str, QPointF] | None = None

    @property
    def text(self) -> str:
        """What is written; empty for nothing."""
        return "" if self._shown is None else self._shown[0]

    def show(self, box: Box | None, where: QPointF) -> None:
        """Write beside a place (image pixels); nothing without a box."""
        if box is not None:
            self._shown = size_text(box.width, box.height, self._context.view.spacing_mm), where
            self._update()

    def hide(self) -> None:
        if self._shown is not None:
            self._update()
            self._shown = None

    def paint(self, painter: QPainter) -> None:
        if self._shown is not None:
            painter.save()
            paint_label(painter, self._context, *self._shown)
            painter.restore()

    def _update(self) -> None:
        if self._shown is not None:
            place: QRectF = label_place(self._context, *self._shown)
            self._context.view.viewport().update(place.toAlignedRect())
