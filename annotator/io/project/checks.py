"""What a project file from somebody else may hold: plain tables of ours, and nothing that runs by itself.

A trigger, a view or a generated column is a program of whoever made the file, and so is an expression in an index, a
check or a default. SQLite runs them at our reads and writes, for as long as they like. All are refused before anything
is written.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectUnsoundError

_ADVICE = "Make a plain copy of it: it has the images, classes and objects alone."
_DAMAGED = "Restore it from a backup copy, or make a plain copy of what can still be read."
_MAX_CHECKED_BYTES = 1 << 30
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_OWN_CHECK = re.compile(r"\bCHECK\s*\(\s*slot\s*=\s*1\s*\)", re.IGNORECASE)
_RUNS = (
    (re.compile(r"^\s*CREATE\s+VIRTUAL\b", re.IGNORECASE), "a virtual table"),
    (re.compile(r"\bGENERATED\b|\bAS\s*\(", re.IGNORECASE), "a generated column"),
    (re.compile(r"\bCHECK\b", re.IGNORECASE), "a check"),
    (re.compile(r"\bDEFAULT\s*\(", re.IGNORECASE), "a computed default"),
    (re.compile(r"\bCOLLATE\b", re.IGNORECASE), "a collation"),
    (re.compile(r"^\s*CREATE\s+TABLE\s+\S+\s+AS\b", re.IGNORECASE), "a computed table"),
)
_INDEX = re.compile(r"^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+\w+\s+ON\s+\w+\s*\(([\w\s,]*)\)\s*$", re.IGNORECASE)
_MAX_ENTRIES = 200


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raises:
    ProjectUnsoundError: the file has something else than plain tables and indexes of their columns.
    """
    entries = connection.execute(
        "SELECT type, CAST(name AS BLOB), CAST(substr(sql, 1, 20000) AS BLOB) FROM sqlite_master LIMIT ?",
        (_MAX_ENTRIES + 1,),
    ).fetchall()
    if len(entries) > _MAX_ENTRIES:
        raise _refused(path, "hundreds of tables", "")
    for kind, name, sql in entries:
        found = _what_runs(str(kind), (sql or b"").decode("utf-8", "replace"))
        if found:
            raise _refused(path, found, (name or b"").decode("utf-8", "replace"))


def _what_runs(kind: str, sql: str) -> str:
    if kind in ("trigger", "view"):
        return f"a {kind}"
    if kind == "index":
        # One without a text belongs to a PRIMARY KEY or UNIQUE.
        return "" if not sql or _INDEX.match(sql) else "an index of an expression"
    plain = _OWN_CHECK.sub("", _QUOTED.sub("x", sql))
    return next((what for pattern, what in _RUNS if pattern.search(plain)), "")


def _refused(path: Path, what: str, name: str) -> ProjectUnsoundError:
    named = f" ({name[:60]})" if name else ""
    return ProjectUnsoundError(
        f"{brief(path.name)} is not a plain project: it holds {what}{brief(named)}, which would run in here.", _ADVICE
    )


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Look through all pages (240 MiB take about a second), which also brings them into memory.

    Raises:
        ProjectUnsoundError: SQLite finds damage. A file of more than a gigabyte is only looked at where it is used.
    """
    if path.stat().st_size > _MAX_CHECKED_BYTES:
        return
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        detail = str(answer).splitlines()[-1]
        raise ProjectUnsoundError(f"{brief(path.name)} is damaged ({detail}).", _DAMAGED)
