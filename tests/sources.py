"""The program's own modules, read and parsed once a process: a dozen tests look through all of them."""

from __future__ import annotations

import ast
import gc
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import annotator
from annotator.domain.collecting import no_collection

PACKAGE = Path(annotator.__file__).parent


@dataclass(frozen=True, slots=True)
class Source:
    """A module: its path below the package with ``/``, its text, its tree, and all nodes of that. Nobody changes it."""

    place: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]

    @property
    def path(self) -> Path:
        return PACKAGE / self.place


@cache
def sources() -> tuple[Source, ...]:
    """All modules of the package, by path."""
    with no_collection():
        found = tuple(map(_read, sorted(PACKAGE.rglob("*.py"))))
    gc.freeze()  # a million nodes that stay
    return found


def _read(path: Path) -> Source:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    return Source(path.relative_to(PACKAGE).as_posix(), text, tree, tuple(ast.walk(tree)))
