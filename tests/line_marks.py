"""Which lines of some modules are run, in this process and all that it starts, at next to no cost.

A tracer is called for every line of every module, the libraries' too. Here only the modules in question are compiled
anew, with a mark before each statement: one store into memory that all processes share, so that what a process ran is
known however it ended.
"""

from __future__ import annotations

import ast
import marshal
import os
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType

from tests.line_marks_start import MARKS

_VARIABLE = "LINE_MARKS_FOLDER"
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_STARTER = Path(__file__).with_name("line_marks_start.py")
_AT_START = (
    f"import os; f, n = os.environ.get({_VARIABLE!r}), {{}}; "
    "f and (exec(__import__('pathlib').Path(f, 'start.py').read_text('utf-8'), n), n['start'](f))\n"
)


class Marks:
    """The marks of modules, one place per line, in a folder of their own."""

    def __init__(self, folder: Path, modules: Iterable[Path]) -> None:
        self._folder = folder
        self._places: dict[str, int] = {}
        self._sizes: list[int] = []
        end = 0
        for path in modules:
            source = path.read_text("utf-8")
            self._places[str(path)] = end
            (folder / str(end)).write_bytes(marshal.dumps(marked(source, str(path), end)))
            self._sizes.append(len(source.splitlines()) + 1)
            end += self._sizes[-1]
        (folder / "marks").write_bytes(bytes(end))
        (folder / "places").write_bytes(marshal.dumps(self._places))
        (folder / "start.py").write_bytes(_STARTER.read_bytes())

    @contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """Variables with which a process of this Python, and all that it starts, marks the lines that it runs."""
        starter = Path(sysconfig.get_path("purelib"), f"line_marks_{os.getpid()}.pth")
        starter.write_text(_AT_START, "utf-8")
        try:
            yield {**os.environ, _VARIABLE: str(self._folder)}
        finally:
            starter.unlink(missing_ok=True)

    def lines(self) -> dict[str, list[int]]:
        """The lines that were run by now, from 1, by the path of their module."""
        marks = (self._folder / "marks").read_bytes()
        return {
            path: [line for line in range(size) if marks[place + line]]
            for (path, place), size in zip(self._places.items(), self._sizes, strict=True)
        }


def marked(source: str, path: str, place: int) -> CodeType:
    """The module's code, which stores 1 at ``place`` + line before each statement; ``bound`` says into what."""
    tree = ast.parse(source, path)
    for node in list(ast.walk(tree)):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and statements:
                setattr(node, field, list(_with_marks(node, statements, place)))
        if isinstance(node, ast.Try):
            _mark_heads([one.body for one in node.handlers], [one.lineno for one in node.handlers], place)
        if isinstance(node, ast.Match):
            _mark_heads([one.body for one in node.cases], [one.pattern.lineno for one in node.cases], place)
    code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    return code


def _with_marks(node: ast.AST, statements: list[ast.stmt], place: int) -> Iterator[ast.stmt]:
    """Docstrings and imports from ``__future__`` stay in front of everything."""
    ahead: list[int] = []
    is_front = True
    for at, statement in enumerate(statements):
        has_docstring = isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None
        is_docstring = at == 0 and has_docstring
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        lines = [statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))]
        is_front = is_front and (is_docstring or is_future)
        if is_front:
            ahead += lines
        else:
            yield _mark([*ahead, *lines], place, statement)
            ahead = []
        yield statement
    if ahead and not isinstance(node, _WITH_DOCSTRING[1:]):
        yield _mark(ahead, place, statements[-1])


def _mark_heads(bodies: Iterable[list[ast.stmt]], heads: list[int], place: int) -> None:
    """``except`` and ``case``: who comes into one has passed those before it."""
    for at, body in enumerate(bodies):
        body.insert(0, _mark(heads[: at + 1], place, body[0]))


def _mark(lines: list[int], place: int, beside: ast.stmt) -> ast.stmt:
    places = [ast.Constant(place + line) for line in dict.fromkeys(lines)]
    targets = [ast.Subscript(ast.Constant(MARKS), one, ast.Store()) for one in places]
    return ast.copy_location(ast.Assign([*targets], ast.Constant(1)), beside)
