"""The tools, a row each: tool strip, menu, keys, the sheet of gestures and the documents are made from them.

A new tool is one row here, its file beside this one, and an icon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from annotator.plugins import load_target
from annotator.ui.canvas import cursors
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.tools.tool import Tool, ToolContext

Gesture = tuple[tuple[str, ...], str]
"""(what the hand does, in one way or another; what comes of it)"""
_HERE = "annotator.ui.canvas.tools"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool.

    Attributes:
        tip: what it does, for tooltips and documents.
        key: takes it, in the default preset; those of the others stand in ``resources/keymap.toml``.
        place: in the strip and in the menu; room is left between two.
        factory: ``module:name`` of what makes it from a :class:`ToolContext`; imported when it is taken.
        gestures: for the sheet of keys, where they are its own.
        changes: whether it needs a project that can be written.
        cursor: what the pointer looks like; a tool that can tell more from the place says so itself.
        other_cursor: while Shift is held; None: the same.
    """

    id: str
    title: str
    tip: str
    icon: str
    key: str
    place: int
    factory: str
    gestures: tuple[Gesture, ...] = ()
    changes: bool = True
    cursor: Cursor = cursors.ARROW
    other_cursor: Cursor | None = None

    def make(self, context: ToolContext) -> Tool:
        tool = cast(Callable[[ToolContext], Tool], load_target(self.factory))(context)
        tool.own_cursor, tool.other_cursor = self.cursor, self.other_cursor
        return tool


_ARMS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_PENCIL = Cursor(lines=(((19, 19), (22.5, 19.5), (30, 27), (27, 30), (19.5, 22.5), (19, 19)),), rings=((16, 16, 1.5),))
"""It points at the middle."""
_RUBBER = Cursor(
    lines=(((19, 24), (24, 19), (31, 26), (26, 31), (19, 24), (22.5, 27.5), (27.5, 22.5)),), rings=((16, 16, 1.5),)
)
"""A tilted block with its sleeve."""
_RULER = Cursor(
    lines=(
        *(((16 + 2.5 * dx, 16 + 2.5 * dy), (16 + 9 * dx, 16 + 9 * dy)) for dx, dy in _ARMS),
        ((21, 25), (31, 25)),
        *(((x, 25), (x, high)) for x, high in ((21, 21), (24.3, 23), (27.6, 23), (31, 21))),
    )
)


_ROWS = (
    ToolSpec(
        id="click",
        title="Click tool",
        tip="Click an object to get its mask",
        icon="click",
        key="Q",
        place=10,
        factory=f"{_HERE}.click:ClickTool",
        gestures=(
            (("Left click",), "Add to the object"),
            (("Right click", "Shift+click"), "Remove from it"),
            (("Drag",), "Box around it (Alt: also a short one)"),
            (("Drag a handle",), "Change the box"),
        ),
    ),
    ToolSpec(
        id="box",
        title="Box tool",
        tip="Drag a box around an object",
        icon="box",
        key="B",
        place=20,
        factory=f"{_HERE}.box:BoxTool",
    ),
    ToolSpec(
        id="scribble",
        title="Scribble",
        tip="Draw a line through an object, or through what is not part of it",
        icon="scribble",
        key="Alt+Q",
        place=25,
        factory=f"{_HERE}.scribble:ScribbleTool",
        gestures=(
            (("Drag", "Right drag", "Shift+drag"), "A line through the object, or through what is not (Scribble)"),
        ),
        cursor=cursors.POSITIVE,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="brush",
        title="Brush",
        tip="Paint over the current mask, or a new object",
        icon="brush",
        key="P",
        place=30,
        factory=f"{_HERE}.paint:BrushTool",
        gestures=(
            (("Drag",), "Paint or erase (Brush, Eraser)"),
            (("Right drag", "Shift+drag"), "The other of the two"),
            (("Ctrl+wheel",), "Size of the brush"),
        ),
        cursor=_PENCIL,
        other_cursor=_RUBBER,
    ),
    ToolSpec(
        id="eraser",
        title="Eraser",
        tip="Erase from the current mask",
        icon="eraser",
        key="E",
        place=40,
        factory=f"{_HERE}.paint:EraserTool",
        cursor=_RUBBER,
        other_cursor=_PENCIL,
    ),
    ToolSpec(
        id="rectangle",
        title="Rectangle",
        tip="Paint a rectangle, or take one away",
        icon="rectangle",
        key="I",
        place=44,
        factory=f"{_HERE}.rectangle:RectangleTool",
        gestures=((("Drag", "Right drag", "Shift+drag"), "Add or remove a rectangle (Rectangle)"),),
        cursor=cursors.BOX,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="ellipse",
        title="Ellipse",
        tip="Paint an ellipse, or take one away; Ctrl for a circle",
        icon="ellipse",
        key="Shift+I",
        place=45,
        factory=f"{_HERE}.ellipse:EllipseTool",
        gestures=((("Ctrl+drag",), "A square, or a circle (Rectangle, Ellipse)"),),
        cursor=cursors.BOX,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="lasso",
        title="Lasso",
        tip="Draw round what belongs to it, or what does not",
        icon="lasso",
        key="Shift+P",
        place=46,
        factory=f"{_HERE}.lasso:LassoTool",
        gestures=((("Drag", "Right drag", "Shift+drag"), "Fill a ring, or take it away (Lasso)"),),
        cursor=cursors.POSITIVE,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="polygon",
        title="Polygon",
        tip="Draw a polygon corner by corner, or free-hand",
        icon="polygon",
        key="Y",
        place=47,
        factory=f"{_HERE}.polygon:PolygonTool",
        gestures=(
            (("Click", "Drag"), "Corner, or free-hand line (Polygon)"),
            (("First corner", "Double click"), "Close it (Polygon)"),
            (("Alt",), "Hold: corners snap to borders and outlines (Polygon, Lasso)"),
        ),
        cursor=cursors.POSITIVE,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="live-wire",
        title="Live-wire",
        tip="Draw an outline that follows the edge from click to click",
        icon="live-wire",
        key="Shift+Y",
        place=48,
        factory=f"{_HERE}.live_wire:LiveWireTool",
        cursor=cursors.POSITIVE,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="cut",
        title="Cut",
        tip="Draw a line that parts accepted objects",
        icon="cut",
        key="Shift+C",
        place=48,
        factory=f"{_HERE}.cut:CutTool",
        cursor=cursors.BOX,
    ),
    ToolSpec(
        id="outline",
        title="Outline",
        tip="Drag, add and remove corners of an object",
        icon="outline",
        key="Shift+V",
        place=49,
        factory=f"{_HERE}.outline:OutlineTool",
        gestures=(
            (("Ctrl",), "Hold: the corners of the current object"),
            (("Drag",), "Move a corner, or add one on a line (Outline)"),
            (("Drag beside it",), "Select corners (Outline)"),
            (("Right click", "Del"), "Remove corners (Outline)"),
        ),
    ),
    ToolSpec(
        id="proposals",
        title="Proposal tool",
        tip="Take objects that the model found by itself",
        icon="proposals",
        key="Shift+Q",
        place=49,
        factory=f"{_HERE}.proposals:ProposalTool",
        gestures=(
            (("Left click",), "Take a proposal (Proposal tool)"),
            (("Drag", "Alt+drag"), "Take all in a rectangle, or in a free line (Proposal tool)"),
            (("Right click", "Right drag", "Shift+drag"), "Drop them instead (Proposal tool)"),
        ),
        cursor=cursors.ARROW,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="examples",
        title="Example boxes",
        tip="Draw boxes round examples of what words look for",
        icon="examples",
        key="Alt+B",
        place=49,
        factory=f"{_HERE}.examples:ExampleTool",
        gestures=(
            (("Drag",), "A box round an example (Example boxes)"),
            (("Right drag", "Shift+drag"), "A box round what is not meant (Example boxes)"),
            (("Click",), "Take a box away again (Example boxes)"),
        ),
        cursor=cursors.BOX,
        other_cursor=cursors.NEGATIVE,
    ),
    ToolSpec(
        id="select",
        title="Select tool",
        tip="Select accepted objects",
        icon="select",
        key="S",
        place=50,
        factory=f"{_HERE}.select:SelectTool",
        gestures=(
            (("Drag", "Shift+drag"), "Select all that it touches, or add them (Select tool)"),
            (("Double click",), "Refine an object (Select tool)"),
            (("Right click",), "Menu of an object (Select tool)"),
        ),
        changes=False,
    ),
    ToolSpec(
        id="measure",
        title="Measure",
        tip="Measure lengths and angles; nothing is changed",
        icon="measure",
        key="Shift+M",
        place=55,
        factory=f"{_HERE}.measure:MeasureTool",
        gestures=(
            (("Drag", "Shift+drag"), "Measure a length, Shift in eight directions (Measure)"),
            (("Drag from an end",), "Measure the angle, too (Measure)"),
        ),
        changes=False,
        cursor=_RULER,
    ),
    ToolSpec(
        id="window",
        title="Window tool",
        tip="Drag to show other greys: across for contrast, up for brighter",
        icon="window",
        key="W",
        place=60,
        factory=f"{_HERE}.window:WindowTool",
        gestures=(
            (("Drag", "W+drag"), "Contrast across, brightness up and down (Window tool; Shift: finer)"),
            (("Right drag",), "The same with any tool that has no right drag (DICOM)"),
            (("Double click",), "As the file asks again (Window tool)"),
        ),
        changes=False,
        cursor=cursors.WINDOW,
    ),
)
TOOLS = tuple(sorted(_ROWS, key=lambda spec: spec.place))
"""From top to bottom."""
FIRST_TOOL = TOOLS[0].id
"""In the hand to begin with."""
LOOKING_TOOL = next(spec.id for spec in TOOLS if not spec.changes)
"""In the hand while nothing can be changed."""


def tool_spec(tool_id: str) -> ToolSpec:
    """Raises:
    KeyError: there is no tool of this id.
    """
    return {spec.id: spec for spec in TOOLS}[tool_id]
