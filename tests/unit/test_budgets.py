"""Nothing grows past what one can hold in mind: modules of 400 lines, bodies of 40, classes of 25 methods."""

from __future__ import annotations

import ast

from tests.sources import sources

MODULE_LINES, BODY_LINES, METHODS, METHODS_WITH_BASES = 400, 40, 25, 40
LISTS = {"add_arguments", "build_program", "with_video_memory"}
"""One statement per thing, one after the other: options, handlers, parts. Split, they would be harder to read."""
LARGE_CLASSES = {
    "ProjectSession": 31,
    "Story": 26,
}
"""From before the budget was watched; they may become smaller, not larger."""
LARGE_WITH_BASES = {"Canvas": 72, "CanvasDisplay": 50, "ProjectStore": 56}
"""With the methods of their own bases, at most: each base is what others are given (``docs/adr/0028-bases.md``)."""


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not statements else (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def test_modules_functions_and_classes_keep_to_their_budgets() -> None:
    over: list[str] = []
    large: dict[str, int] = {}
    for source in sources():
        name, lines = source.path.name, len(source.text.splitlines())
        if lines > MODULE_LINES:
            over.append(f"{name}: {lines} lines")
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef) and node.name not in LISTS and body_lines(node) > BODY_LINES:
                over.append(f"{name}: {node.name} has {body_lines(node)} lines")
            if isinstance(node, ast.ClassDef):
                methods = sum(isinstance(statement, ast.FunctionDef) for statement in node.body)
                if methods > METHODS:
                    large[node.name] = methods
    assert over == []
    assert large == LARGE_CLASSES


def test_a_class_is_not_split_by_inheritance_to_meet_its_budget() -> None:
    found = {
        node.name: ([base.id for base in node.bases if isinstance(base, ast.Name)], node)
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.ClassDef)
    }

    def methods(name: str) -> set[str]:
        bases, node = found[name]
        own = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
        return own.union(*(methods(base) for base in bases if base in found and base != name))

    counts = {name: len(methods(name)) for name, (bases, _) in found.items() if any(base in found for base in bases)}
    large = {name: count for name, count in counts.items() if count > METHODS_WITH_BASES}
    assert set(large) == set(LARGE_WITH_BASES)
    assert all(count <= LARGE_WITH_BASES[name] for name, count in large.items()), large


def test_no_call_packs_arguments_only_to_fit_on_a_line() -> None:
    """``f(*(a, b), c=c)`` is ``f(a, b, c=c)`` that the formatter leaves alone."""
    packed = [
        f"{source.path.name}:{call.lineno}"
        for source in sources()
        for call in source.nodes
        if isinstance(call, ast.Call)
        for argument in call.args
        if isinstance(argument, ast.Starred) and isinstance(argument.value, (ast.Tuple, ast.List))
    ]
    assert packed == []


def test_nothing_is_named_after_nothing() -> None:
    for source in sources():
        names = {source.path.stem, *(node.name for node in source.nodes if isinstance(node, ast.ClassDef))}
        for name in names:
            assert not any(word in name.lower() for word in ("util", "manager", "helper")), (source.place, name)
