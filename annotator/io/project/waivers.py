"""Findings of checks that a person has looked at and keeps as they are, with a note; in a table beside the document.

The table is made with the first of them. Writing is inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from annotator.io.project.schema import translated_errors
from annotator.io.project.soundness import fetch

_TABLE = """
CREATE TABLE IF NOT EXISTS waiver(
  mark TEXT PRIMARY KEY, note TEXT NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID"""
_IS_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'waiver'"


@dataclass(frozen=True, slots=True)
class Waiver:
    """Why a finding stays. ``mark`` is the finding's; ``at`` is ISO 8601, UTC."""

    mark: str
    note: str
    author: str
    at: str


class WaiverQueries:
    """What can be asked; by the thread that opened the project."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def all(self) -> dict[str, Waiver]:
        """By mark; damaged rows are left out.

        Raises:
            ProjectError: the file cannot be read.
        """
        with translated_errors(self._path, "read"):
            if not fetch(self._connection, _IS_THERE, ()):
                return {}
            rows = fetch(self._connection, "SELECT mark, note, author, at FROM waiver ORDER BY mark", ())
        return {row[0]: Waiver(*row) for row in rows if all(isinstance(value, str) for value in row)}


def write_waiver(connection: sqlite3.Connection, waiver: Waiver) -> None:
    """Keep a finding as it is, or change the note."""
    connection.execute(_TABLE)
    row = (waiver.mark, waiver.note, waiver.author, waiver.at)
    connection.execute("INSERT OR REPLACE INTO waiver(mark, note, author, at) VALUES (?, ?, ?, ?)", row)


def remove_waiver(connection: sqlite3.Connection, mark: str) -> None:
    """The finding counts again."""
    connection.execute(_TABLE)
    connection.execute("DELETE FROM waiver WHERE mark = ?", (mark,))
