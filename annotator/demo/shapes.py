"""The demo draws an object with each of the hand tools, says something of the last one, and undoes all of it."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from annotator.demo.hands import ALT, CTRL, PLAIN, SHIFT, Hands, StepFailed, require
from annotator.demo.labeller import Labeller
from annotator.ui.dialogs.attribute_definitions import AttributeDefinitions
from annotator.ui.program import Program

Key = Qt.Key
_RING = tuple((300 + 24 * math.cos(turn / 4), 215 + 16 * math.sin(turn / 4)) for turn in range(25))
_WIRE = ((212.0, 171.0), (233.0, 200.0), (193.0, 203.0))
_CORNERS = ((60.0, 110.0), (110.0, 100.0), (120.0, 140.0), (70.0, 150.0))
_ATTRIBUTE, _VALUE = "condition", "worn"


def draw_shapes(hands: Hands, labeller: Labeller, program: Program) -> str:
    """On the image of the coins: an object with each tool and an attribute of the last one, all of it undone; and a
    length is measured. The project stays as it was.

    Returns:
        The tools that drew an object, in words.

    Raises:
        StepFailed: a shape is not in the mask or not stored, or undo left something.
    """
    session = program.session
    before = session.annotations

    def press_by_press(places: tuple[tuple[float, float], ...]) -> None:
        for place in places:
            hands.click(*place)
        hands.key(Key.Key_Return)

    shapes: tuple[tuple[str, Key, Qt.KeyboardModifier, Callable[[], None]], ...] = (
        ("polygon", Key.Key_Y, PLAIN, lambda: press_by_press(_CORNERS)),
        ("rectangle", Key.Key_I, PLAIN, lambda: hands.drag((150, 100, 190, 130))),
        ("ellipse", Key.Key_I, SHIFT, lambda: hands.drag((200, 80, 240, 110))),
        ("lasso", Key.Key_P, SHIFT, lambda: hands.draw(_RING)),
        ("live-wire", Key.Key_Y, SHIFT, lambda: press_by_press(_WIRE)),
        ("brush", Key.Key_P, PLAIN, lambda: hands.draw(((40, 60), (70, 60), (90, 75)))),
    )
    for number, (name, key, modifier, draw) in enumerate(shapes, start=len(before) + 1):
        hands.key(key, modifier)
        draw()
        hands.until(lambda: len(labeller.state.prompts.strokes) == 1, f"the {name} is in the mask")
        shown = labeller.mask
        require(not shown.is_empty, f"the {name} has no pixels")
        hands.key(Key.Key_Return)
        hands.until(lambda wanted=number: len(session.annotations) == wanted, f"the {name} is accepted")  # type: ignore[misc]
        require(session.annotations[-1].mask().same_pixels(shown), f"the {name} was stored with other pixels")
    steps = len(shapes) + _say_something(hands, program)
    for _ in range(steps):
        hands.key(Key.Key_Z, CTRL)
    left = {row.id for row in session.annotations} ^ {row.id for row in before}
    require(not left and not session.attributes.rows, f"undo left {sorted(left)} and {session.attributes.rows}")
    while labeller.state.is_active:
        hands.key(Key.Key_Escape)
    _measure(hands)
    labeller.check_disk()
    return ", ".join(name for name, *_ in shapes)


def _say_something(hands: Hands, program: Program) -> int:
    """Define an attribute and say it of the newest object; returns the number of steps to undo."""
    session = program.session
    program.commands.attributes.define()
    hands.until(lambda: isinstance(QApplication.activeModalWidget(), AttributeDefinitions), "the attributes are open")
    dialog = QApplication.activeModalWidget()
    if not isinstance(dialog, AttributeDefinitions):
        raise StepFailed("the attributes closed themselves")
    dialog.name.setFocus()
    hands.until(dialog.name.hasFocus, "the name can be typed")
    hands.type_text(_ATTRIBUTE)
    hands.press(dialog.add_button)
    require([row.name for row in session.attributes.rows] == [_ATTRIBUTE], f"it was not defined: {dialog.note.text()}")
    hands.key(Key.Key_Escape)
    hands.until(lambda: QApplication.activeModalWidget() is None, "the attributes are closed")
    window, newest = program.window, session.annotations[-1].id
    window.objects.select_ids(frozenset({newest}))
    hands.key(Key.Key_A, ALT)
    hands.until(lambda: bool(window.attributes.fields) and window.attributes.fields[0].isVisible(), "the panel asks")
    hands.type_text(_VALUE)
    hands.key(Key.Key_Return)
    said = session.annotations[-1].extra.get("attributes")
    require(said == {_ATTRIBUTE: _VALUE}, f"the object says {said}")
    window.canvas.setFocus()
    window.show_panel("attributes", False)
    return 2


def _measure(hands: Hands) -> None:
    hands.key(Key.Key_M, SHIFT)
    hands.draw(((60, 110), (80, 110), (100, 110)))
    measured = hands.tool_texts()
    is_right = bool(measured) and abs(float(measured[0].split(" ")[0]) - 40) < 2
    require(is_right, f"40 px were measured as {measured}")
    hands.key(Key.Key_Q)
