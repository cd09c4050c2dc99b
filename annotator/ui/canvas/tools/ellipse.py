"""The ellipse tool: a drag paints the ellipse between two corners; the right button and Shift take one away."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainterPath

from annotator.domain.brush import Stroke
from annotator.domain.geometry import Box
from annotator.ui.canvas.tools.rectangle import RectangleTool
from annotator.ui.look.numbers import area_text


class EllipseTool(RectangleTool):
    """As the rectangle tool: whole pixels from corner to corner, Ctrl for a circle."""

    name = "ellipse"

    def stroke(self, box: Box, *, is_positive: bool) -> Stroke:
        return Stroke.ellipse(box, is_positive=is_positive)

    def shape(self, box: Box) -> QPainterPath:
        path = QPainterPath()
        path.addEllipse(QRectF(box.x0, box.y0, box.width, box.height))
        return path

    def size_text(self, box: Box) -> str:
        area = area_text(round(math.pi / 4 * box.area), self.context.view.spacing_mm)
        return f"{super().size_text(box)}  ·  {area}"
