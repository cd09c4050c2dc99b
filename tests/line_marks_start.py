"""Run at the start of each process that marks its lines: modules in question get their marked code (``line_marks.py``).

It is read as text, before anything else of a process, and imports nothing that could lie in its current folder later.
"""

from __future__ import annotations

import marshal
import mmap
import os
from importlib.machinery import SourceFileLoader
from types import CodeType

MARKS = "__line_marks__"


def bound(code: CodeType, marks: object) -> CodeType:
    """Code whose marks are stored into ``marks``: as a constant, which is there as long as the code is."""

    def replaced(constant: object) -> object:
        if isinstance(constant, CodeType):
            return bound(constant, marks)
        return marks if constant == MARKS else constant

    return code.replace(co_consts=tuple(map(replaced, code.co_consts)))


def start(folder: str) -> None:
    with open(os.path.join(folder, "marks"), "r+b") as file:
        marks = mmap.mmap(file.fileno(), 0)
    with open(os.path.join(folder, "places"), "rb") as listing:
        places = marshal.load(listing)
    unmarked = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        place = places.get(loader.path)
        if place is None:
            return unmarked(loader, name)
        with open(os.path.join(folder, str(place)), "rb") as kept:
            return bound(marshal.load(kept), marks)

    SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]
