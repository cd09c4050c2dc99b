"""SKELETON (being filled in): the image, the masks on it, and the gestures of the person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QPointF, Signal
from PySide6.QtWidgets import QGraphicsView, QWidget

from annotator.domain.mask import Mask
from annotator.domain.prompt import Prompts
from annotator.ui.items import PreparedImage, prepare_image  # noqa: F401


class Tool(StrEnum):
    POINT = "point"
    BOX = "box"
    SELECT = "select"


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An accepted object as painted. ``colour`` is ``#rrggbb``."""

    id: int
    mask: Mask
    colour: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class CanvasColours:
    """``#rrggbb`` each."""

    background: str = "#1b1d21"
    positive: str = "#2bb673"
    negative: str = "#e5484d"
    box: str = "#ffffff"
    cross_hair: str = "#ffffff"


class Canvas(QGraphicsView):
    pointed = Signal(object)  # PointPrompt
    boxed = Signal(object)  # Box, clipped to the image, never empty
    object_clicked = Signal(int, bool)  # annotation id (0: nothing there), additive
    object_activated = Signal(int)
    cursor_moved = Signal(float, float, bool)  # image x, y, inside
    zoom_changed = Signal(float)  # 1.0 = 100 %
    paths_dropped = Signal(list)  # of str
    accept_clicked = Signal()  # mouse button 4 or 5

    def __init__(self, parent: QWidget | None = None) -> None: ...

    tool: Tool
    zoom: float

    def set_colours(self, colours: CanvasColours) -> None: ...
    def set_tool(self, tool: Tool) -> None: ...
    def set_image(self, prepared: PreparedImage | None) -> None: ...
    def set_objects(self, objects: Iterable[ObjectView]) -> None: ...
    def put_object(self, view: ObjectView) -> None: ...
    def remove_object(self, annotation_id: int) -> None: ...
    def set_selected(self, ids: Iterable[int]) -> None: ...
    def set_hidden(self, ids: Iterable[int]) -> None:
        """Objects not painted although present (the one that is being refined)."""

    def set_candidate(self, mask: Mask | None, colour: str = "#ffffff") -> None: ...
    def set_prompts(self, prompts: Prompts) -> None: ...
    def set_negative(self, is_negative: bool) -> None: ...
    def set_masks_visible(self, is_visible: bool) -> None: ...
    def set_peek(self, is_peeking: bool) -> None: ...
    def set_opacity(self, opacity: float) -> None: ...
    def set_cross_hair(self, is_shown: bool) -> None: ...
    def cancel_gesture(self) -> bool:
        """Drop a half-made drag; False when there was none."""

    def fit(self) -> None: ...
    def zoom_by(self, factor: float) -> None: ...
    def zoom_to(self, percent: float) -> None: ...
    def image_to_view(self, x: float, y: float) -> QPointF: ...
    def view_to_image(self, position: QPointF) -> QPointF: ...
