"""The demo draws a shape with each of the hand tools, sees that it is in the mask, and undoes all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import Qt

from annotator.demo.hands import CTRL, PLAIN, SHIFT, Hands, require
from annotator.demo.labeller import Labeller

Key = Qt.Key
_RING = tuple((300 + 24 * math.cos(turn / 4), 215 + 16 * math.sin(turn / 4)) for turn in range(25))
_WIRE = ((212.0, 171.0), (233.0, 200.0), (193.0, 203.0))


def draw_shapes(hands: Hands, labeller: Labeller) -> None:
    """On the image of the coins, and measure a length there; the project stays as it was.

    Raises:
        StepFailed: a shape is not in the mask, or undo left something.
    """

    def polygon() -> None:
        for place in ((60, 110), (110, 100), (120, 140), (70, 150)):
            hands.click(*place)
        hands.key(Key.Key_Return)

    def live_wire() -> None:
        for place in _WIRE:
            hands.click(*place)
        hands.key(Key.Key_Return)

    shapes: tuple[tuple[str, Key, Qt.KeyboardModifier, Callable[[], None]], ...] = (
        ("polygon", Key.Key_Y, PLAIN, polygon),
        ("rectangle", Key.Key_I, PLAIN, lambda: hands.drag((150, 100, 190, 130))),
        ("ellipse", Key.Key_I, SHIFT, lambda: hands.drag((200, 80, 240, 110))),
        ("lasso", Key.Key_P, SHIFT, lambda: hands.draw(_RING)),
        ("live-wire", Key.Key_Y, SHIFT, live_wire),
    )
    area = 0
    for number, (name, key, modifier, draw) in enumerate(shapes, start=1):
        hands.key(key, modifier)
        draw()

        def is_there(wanted: int = number) -> bool:
            return len(labeller.state.prompts.strokes) == wanted

        hands.until(is_there, f"the {name} is in the mask")
        require(labeller.mask.area > area, f"the {name} has no pixels")
        area = labeller.mask.area
    for _ in shapes:
        hands.key(Key.Key_Z, CTRL)
    require(not labeller.state.is_active, "undo left a shape")
    hands.key(Key.Key_M, SHIFT)
    hands.draw(((60, 110), (80, 110), (100, 110)))
    measured = hands.tool_texts()
    is_right = bool(measured) and abs(float(measured[0].split(" ")[0]) - 40) < 2
    require(is_right, f"40 px were measured as {measured}")
    hands.key(Key.Key_Q)
