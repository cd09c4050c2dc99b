"""The kinds of attack, a file each. Each makes its files, lets the program at them, and looks at what came of it."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from pathlib import Path

from tests.attack.guard import Guard

Kind = Callable[[Guard, random.Random, Path], None]
KINDS = (
    *("rows", "pages", "replaced", "coco", "yolo", "dicom", "images", "series", "bombs", "settings", "roots"),
    *("journals", "requests", "window", "clips", "segments"),
)


def kind_of(name: str) -> Kind:
    """What a kind does; the window's needs Qt, so a file is imported when it is asked for.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in KINDS:
        raise KeyError(name)
    found: Kind = importlib.import_module(f"tests.attack.kinds.{name}").attack
    return found
