"""What a press on the canvas is about: the tool in the hand, and how a gesture began."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from PySide6.QtCore import QPointF, Qt

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.box_grip import BoxGrip


class Tool(StrEnum):
    """What the left button does: prompt a point, drag a box (a click is a point there too), paint over the mask in work
    or erase from it, or pick accepted objects."""

    POINT = "point"
    BOX = "box"
    BRUSH = "brush"
    ERASER = "eraser"
    SELECT = "select"


PROMPTING, PAINTING = (Tool.POINT, Tool.BOX), (Tool.BRUSH, Tool.ERASER)


class Gesture(Enum):
    """What the pressed button is about."""

    NONE = 0
    POINT = 1
    BOX = 2
    PAN = 3
    PICK = 4
    GRIP = 5
    PAINT = 6


@dataclass(frozen=True, slots=True)
class Press:
    """How a gesture began: ``at`` in view pixels, ``where`` in image pixels (the wheel may turn meanwhile)."""

    gesture: Gesture = Gesture.NONE
    button: Qt.MouseButton = Qt.MouseButton.NoButton
    at: QPointF = field(default_factory=QPointF)
    where: QPointF = field(default_factory=QPointF)
    is_positive: bool = True
    may_drag: bool = False
    grip: BoxGrip | None = None
    box: Box | None = None
    """The box that ``grip`` is a part of."""


def point_of(press: Press) -> PointPrompt:
    return PointPrompt(press.where.x(), press.where.y(), press.is_positive)
