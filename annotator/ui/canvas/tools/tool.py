"""What a tool on the canvas is: it answers presses, moves and keys, and says what they mean for the current object.

The canvas converts coordinates, pans, and hands everything else to the tool in the hand. ``specs.py`` lists the tools.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter

from annotator.domain.brush import Point, Stroke
from annotator.domain.cues.cue import Cue
from annotator.domain.geometry import Box
from annotator.domain.operations import Operation
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas import cursors
from annotator.ui.canvas.brush import Brush
from annotator.ui.canvas.cursors import Cursor
from annotator.ui.canvas.display import CanvasDisplay
from annotator.ui.canvas.drawn_examples import DrawnExamples
from annotator.ui.canvas.overlays import Overlays

DRAG_PX = 6
"""A press that moves this far in the view is a drag, not a click."""
SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the pointer is, and what is held.

    Attributes:
        where: in image pixels; may lie outside the image.
        at: in view pixels. The wheel may turn in the middle of a drag: these say what was dragged far.
        button: that was pressed or let go; none while it only moves. The cross-hair of the keys presses the left one.
        keys: modifiers.
    """

    where: QPointF
    at: QPointF
    button: Qt.MouseButton = Qt.MouseButton.NoButton
    keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier

    @property
    def is_other(self) -> bool:
        """The right button or Shift: the opposite of what the tool does."""
        return self.button == RIGHT or bool(self.keys & SHIFT)

    def is_far_from(self, start: Pointer) -> bool:
        """Whether it was dragged since ``start``, and not only held with an unsteady hand."""
        return (self.at - start.at).manhattanLength() > DRAG_PX


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may look at, and what it may say. The answers go to the current object, or to the selection.

    Attributes:
        view: zoom, size of the image, what lies where; also pans.
        overlays: band, box and dot that show a gesture before it is one; the layer of objects.
        brush: the one of all painting tools; it keeps its size.
        is_negative: whether a plain left click is negative now.
        point: a click, inside the image.
        box: clipped to the image, never empty.
        cue: a prompt of another kind; may lie outside the image.
        paint: a stroke; may lie outside the image.
        pick: (annotation id or 0 for none, whether it is added to the selection).
        pick_many: (ids of all that a drag has touched, whether they are added to the selection).
        activate: take this object up again.
        turn_brush: so many steps larger, or smaller.
        operate: an operation on the current mask.
        cut: a line (x, y), at least two positions, that parts objects.
        tell: a quiet line, such as why a shape says nothing.
        point_proposal: make the proposal of this id the current one.
        click_proposal: (its id, whether it is dropped); else it is taken.
        ring_proposals: (corners of a closed line in image pixels, whether those in it are dropped).
        examples: the example boxes of the image.
        window: another window for the greys of the image, as a ``WindowGesture`` of ``tools.window``.
    """

    view: CanvasDisplay
    overlays: Overlays
    brush: Brush
    is_negative: Callable[[], bool]
    point: Callable[[PointPrompt], object]
    box: Callable[[Box], object]
    cue: Callable[[Cue], object]
    paint: Callable[[Stroke], object]
    pick: Callable[[int, bool], object]
    pick_many: Callable[[frozenset[int], bool], object]
    activate: Callable[[int], object]
    turn_brush: Callable[[int], object]
    operate: Callable[[Operation], object]
    cut: Callable[[tuple[Point, ...]], object]
    tell: Callable[[str], object]
    point_proposal: Callable[[int], object]
    click_proposal: Callable[[int, bool], object]
    ring_proposals: Callable[[tuple[tuple[float, float], ...], bool], object]
    examples: DrawnExamples
    window: Callable[[object], object]

    def box_between(self, start: QPointF, end: QPointF) -> Box:
        """From corner to corner (image pixels), clipped to the image."""
        box = Box.from_corners(start.x(), start.y(), end.x(), end.y())
        return box.clipped(*self.view.image_size)

    def sign_colour(self, *, is_positive: bool) -> str:
        """``#rrggbb`` of what adds to the current object, or takes away."""
        return self.overlays.candidate_colour if is_positive else self.overlays.prompt_colour(is_positive=False)


class Tool:
    """In the hand of the person, one at a time. What a tool does not answer does nothing.

    A gesture is begun by :meth:`press` or :meth:`key_press`, goes on with :meth:`move` and is over with
    :meth:`release`, :meth:`finish` or :meth:`cancel`; the last three do nothing without one. One of several presses
    (:attr:`is_open`) is over with :meth:`close`, :meth:`finish` or :meth:`cancel`. A tool forgets its gesture before it
    tells anyone what came of it: who listens may change image or tool.
    """

    own_cursor: Cursor = cursors.ARROW
    other_cursor: Cursor | None = None
    """Where a press with Shift does something else. Both stand in the tool's row."""
    has_cross_hair = False
    """Whether lines across the view help to aim, where the person wants them."""
    lends_control = False
    """Whether Ctrl means nothing of its own, so that it shows the outline's handles."""

    uses_right_drag = True
    """Whether a drag with the right button says something here; if not, it is the window's in images of radiology."""

    def __init__(self, context: ToolContext) -> None:
        self.context = context

    @property
    def is_drawing(self) -> bool:
        """Whether something is half drawn that :meth:`finish` would keep."""
        return False

    @property
    def has_picture(self) -> bool:
        """Whether something of a gesture that is over is still shown, until :meth:`cancel`."""
        return False

    @property
    def is_open(self) -> bool:
        """Whether a gesture goes on when nothing is pressed: the next press is part of it."""
        return False

    def press(self, pointer: Pointer) -> bool:
        """Begin a gesture; False when a press says nothing here. The middle button never comes here."""
        return False

    def move(self, pointer: Pointer) -> None:
        """The pointer moves in the middle of a gesture."""

    def release(self, pointer: Pointer) -> None:
        """The button, or the key, was let go: say what the gesture was."""

    def double_click(self, pointer: Pointer) -> bool:
        """The second press of two with the left button; False: it is a press like any other."""
        return False

    def key_press(self, pointer: Pointer) -> bool:
        """Space at the cross-hair that the keys move, always inside the image. True: moves and a release follow."""
        return False

    def wheel(self, delta: int, keys: Qt.KeyboardModifier) -> bool:
        """The wheel was turned by so many eighths of a degree; False: it zooms."""
        return False

    def key(self, key: Qt.Key) -> bool:
        """A key that no action has; False: it says nothing here."""
        return False

    def menu_object(self, pointer: Pointer) -> int:
        """The object whose menu a right click here opens; 0 for none."""
        return 0

    def finish(self) -> None:
        """Keep what is half drawn, as if the button had been let go."""

    def close(self) -> None:
        """The key that accepts, in an open gesture: end it if that makes sense, or say why not."""
        self.finish()

    def step_back(self) -> None:
        """Take back the newest press of an open gesture."""

    def cancel(self) -> None:
        """Forget the gesture, and show nothing of it any more."""

    def hover(self, pointer: Pointer | None) -> None:
        """The pointer is here, with or without a gesture; None: it has left, or a press would do something else."""

    def cursor(self, pointer: Pointer) -> Cursor:
        """What a press here would do."""
        return self.other_cursor or self.own_cursor if pointer.is_other else self.own_cursor

    def paint(self, painter: QPainter) -> None:
        """Draw what is half drawn over everything else, in image pixels. Ask the view for repaints of the place."""
