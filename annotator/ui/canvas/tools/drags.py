"""Drags that make a box, or another one of the box that is shown."""

from __future__ import annotations

from typing import Protocol

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.box_grip import BoxGrip
from annotator.ui.canvas.tools.tool import Pointer, ToolContext

SMALLEST_BOX_PX = 3
"""In view pixels; what is smaller is not meant."""


class Drag(Protocol):
    """What a press becomes when it moves."""

    @property
    def shown(self) -> Box | None:
        """What the drag makes of it so far; None for nothing."""

    def move(self, pointer: Pointer) -> None: ...

    def finish(self, pointer: Pointer) -> None: ...


class BoxDrag:
    """A rubber band from the press to the pointer.

    Args:
        click: what it is instead when it has not moved.
    """

    def __init__(self, context: ToolContext, start: Pointer, click: PointPrompt | None = None) -> None:
        self._context, self._start, self._click = context, start, click
        self.shown: Box | None = None

    def move(self, pointer: Pointer) -> None:
        overlays = self._context.overlays
        if pointer.is_far_from(self._start) or overlays.is_band_shown:
            self.shown = self._box(pointer)
            overlays.show_band(self.shown)

    def finish(self, pointer: Pointer) -> None:
        box = self._box(pointer)
        if is_meant(box, self._context):
            self._context.box(box)
        elif self._click is not None and not pointer.is_far_from(self._start):
            self._context.point(self._click)

    def _box(self, pointer: Pointer) -> Box:
        return self._context.box_between(self._start.where, pointer.where)


class GripDrag:
    """A handle or an edge of the shown box follows the pointer."""

    def __init__(self, context: ToolContext, start: Pointer, grip: BoxGrip, box: Box) -> None:
        self._context, self._start, self._grip, self._box = context, start, grip, box
        self.shown: Box | None = None

    def move(self, pointer: Pointer) -> None:
        self.shown = self._dragged(pointer)
        self._context.overlays.show_box(self.shown)

    def finish(self, pointer: Pointer) -> None:
        box = self._dragged(pointer)
        if box is not None and box != self._box and is_meant(box, self._context):
            self._context.box(box)

    def _dragged(self, pointer: Pointer) -> Box | None:
        """The box as the drag has made it; None when it is gone (the object was accepted meanwhile)."""
        if self._box != self._context.overlays.prompt_box:
            return None
        by = pointer.where - self._start.where
        width, height = self._context.view.image_size
        return self._grip.dragged(self._box, (by.x(), by.y()), width=width, height=height)


def is_meant(box: Box, context: ToolContext) -> bool:
    """Whether a box is so large on the screen that it was drawn on purpose."""
    return min(box.width, box.height) * context.view.zoom >= SMALLEST_BOX_PX
