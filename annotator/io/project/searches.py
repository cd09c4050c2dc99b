"""The search of a whole folder for what is like examples, so that it can go on after a crash: beside the document.

One at a time. What it asks for is a text of the program's; which images it has done is a row each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from annotator.domain.proposals.table import KeptProposal
from annotator.io.project.proposals import write_items
from annotator.io.project.schema import translated_errors
from annotator.io.project.soundness import fetch

KEY = "like_search"
_TABLE = "CREATE TABLE IF NOT EXISTS like_done(image_id INTEGER PRIMARY KEY) WITHOUT ROWID"
_IS_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'like_done'"


@dataclass(frozen=True, slots=True)
class FolderSearch:
    """What is looked for: objects by their ids, and who looks for them."""

    examples: tuple[int, ...]
    category_id: int
    model_sha256: str

    def text(self) -> str:
        return json.dumps([list(self.examples), self.category_id, self.model_sha256])


def search_of(text: str | None) -> FolderSearch | None:
    """What was remembered; None for nothing, and for anything else."""
    try:
        examples, category_id, sha256 = json.loads(text or "")
        if not all(isinstance(one, int) for one in (*examples, category_id)) or not isinstance(sha256, str):
            return None
        return FolderSearch(tuple(examples), category_id, sha256) if examples else None
    except (ValueError, TypeError):
        return None


class SearchQueries:
    """What can be asked; by the thread that opened the project."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def done(self) -> frozenset[int]:
        """Ids of the images that the search has been through.

        Raises:
            ProjectError: the file cannot be read.
        """
        with translated_errors(self._path, "read"):
            if not fetch(self._connection, _IS_THERE, ()):
                return frozenset()
            rows = fetch(self._connection, "SELECT image_id FROM like_done", ())
        return frozenset(row[0] for row in rows if isinstance(row[0], int))


def write_found(
    connection: sqlite3.Connection, image_id: int, *, added: Iterable[KeptProposal], gone: Collection[int]
) -> None:
    """What was found in an image, and that it is done, in one transaction of the caller's."""
    added = tuple(added)
    if added or gone:
        write_items(connection, image_id, added=added, gone=gone)
    connection.execute(_TABLE)
    connection.execute("INSERT OR REPLACE INTO like_done(image_id) VALUES (?)", (image_id,))


def forget_done(connection: sqlite3.Connection) -> None:
    """Another search begins, or this one is over."""
    connection.execute(_TABLE)
    connection.execute("DELETE FROM like_done")
