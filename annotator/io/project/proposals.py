"""Rows of proposals in the project file: a table beside the document, made when the first ones come.

Nothing refers to it, and programs that do not know it leave it alone. Inside the caller's transaction where it writes.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.mask import Mask
from annotator.domain.project import MAX_CROP_BYTES
from annotator.domain.proposals.resuming import SearchMark
from annotator.domain.proposals.table import KeptProposal
from annotator.io.project.schema import translated_errors
from annotator.io.project.soundness import fetch

_TABLE = """
CREATE TABLE IF NOT EXISTS proposal(
  image_id INTEGER NOT NULL, id INTEGER NOT NULL, rle BLOB NOT NULL, image_width INTEGER NOT NULL,
  image_height INTEGER NOT NULL, score REAL NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL,
  model_sha256 TEXT NOT NULL, adapter TEXT NOT NULL, facts TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(image_id, id)) WITHOUT ROWID"""
_SEARCH_TABLE = """
CREATE TABLE IF NOT EXISTS proposal_search(
  image_id INTEGER PRIMARY KEY, done INTEGER NOT NULL, model_sha256 TEXT NOT NULL, adapter TEXT NOT NULL,
  is_paused INTEGER NOT NULL)"""
_COLUMNS = "id, rle, image_width, image_height, score, source, model, model_sha256, adapter, facts, state"
_MOST_ROWS = 20_000
"""Of one image: what somebody else's file may ask for."""
OPEN, DROPPED, COVERED = 0, 1, 2
"""States: waits for the person; not wanted; covered by an object when the image was left."""


@dataclass(frozen=True, slots=True)
class KeptRows:
    """What is known of an image's proposals: those that can be used, and the ids of those that were dropped."""

    items: tuple[KeptProposal, ...] = ()
    dropped: frozenset[int] = frozenset()


class ProposalQueries:
    """What can be asked; by the thread that opened the project."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def rows(self, image_id: int) -> list[tuple[Any, ...]]:
        """Raw rows of an image; :func:`kept_rows` makes values of them, which takes a while."""
        sql = f"SELECT {_COLUMNS} FROM proposal WHERE image_id = ? ORDER BY id LIMIT {_MOST_ROWS}"
        return self._fetch(sql, image_id)

    def counts(self) -> dict[int, int]:
        """Number of open proposals by image id; images without are left out."""
        return dict(self._fetch("SELECT image_id, COUNT(*) FROM proposal WHERE state = 0 GROUP BY image_id"))

    def search(self, image_id: int) -> SearchMark | None:
        """How far a search in an image has come that was not finished."""
        with translated_errors(self._path, "read"):
            if not _is_there(self._connection, "proposal_search"):
                return None
            sql = "SELECT done, model_sha256, adapter, is_paused FROM proposal_search WHERE image_id = ?"
            found = fetch(self._connection, sql, (image_id,))
        if not found or list(map(type, found[0])) != [int, str, str, int] or found[0][0] < 1:
            return None
        done, model_sha256, adapter, is_paused = found[0]
        return SearchMark(done, model_sha256, adapter, bool(is_paused))

    def _fetch(self, sql: str, *arguments: int) -> list[tuple[Any, ...]]:
        with translated_errors(self._path, "read"):
            return fetch(self._connection, sql, arguments) if _is_there(self._connection) else []


def kept_rows(found: Iterable[tuple[Any, ...]], *, width: int, height: int) -> KeptRows:
    """Values; rows that are damaged or of another size of the image are left out."""
    items: list[KeptProposal] = []
    dropped: set[int] = set()
    for row in found:
        item = _item(row, width, height)
        if item is None:
            continue
        items.append(item)
        if row[-1] == DROPPED:
            dropped.add(item.id)
    return KeptRows(tuple(items), frozenset(dropped))


def write_items(
    connection: sqlite3.Connection, image_id: int, *, added: Iterable[KeptProposal], gone: Collection[int]
) -> None:
    """Keep more proposals of an image, and forget others."""
    connection.execute(_TABLE)
    connection.executemany("DELETE FROM proposal WHERE image_id = ? AND id = ?", [(image_id, one) for one in gone])
    rows = [(image_id, *_values(item)) for item in added]
    marks = ", ".join("?" * 12)
    connection.executemany(f"INSERT OR REPLACE INTO proposal(image_id, {_COLUMNS}) VALUES ({marks})", rows)


def write_states(connection: sqlite3.Connection, image_id: int, states: dict[int, int]) -> None:
    """How proposals of an image stand, by their ids."""
    if states and _is_there(connection):
        rows = [(state, image_id, one) for one, state in states.items()]
        connection.executemany("UPDATE proposal SET state = ? WHERE image_id = ? AND id = ?", rows)


def write_search(connection: sqlite3.Connection, image_id: int, mark: SearchMark | None) -> None:
    """How far a search in an image has come; None: it is over."""
    connection.execute(_SEARCH_TABLE)
    if mark is None:
        connection.execute("DELETE FROM proposal_search WHERE image_id = ?", (image_id,))
        return
    row = (image_id, mark.done, mark.model_sha256, mark.adapter, int(mark.is_paused))
    connection.execute("INSERT OR REPLACE INTO proposal_search VALUES (?, ?, ?, ?, ?)", row)


def _is_there(connection: sqlite3.Connection, table: str = "proposal") -> bool:
    sql = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(connection.execute(sql, (table,)).fetchone()[0])


def _item(row: tuple[Any, ...], width: int, height: int) -> KeptProposal | None:
    one, rle, own_width, own_height, score, source, model, sha256, adapter, facts, _state = row
    is_sound = isinstance(one, int) and one > 0 and isinstance(rle, bytes)
    if not is_sound or (own_width, own_height) != (width, height) or not isinstance(score, float):
        return None
    try:
        mask = Mask.from_rle(rle, width, height, max_crop_bytes=MAX_CROP_BYTES)
        plain = json.loads(facts)
    except (ValueError, TypeError, RecursionError):
        return None
    are_texts = all(isinstance(text, str) for text in (source, model, sha256, adapter))
    if mask.is_empty or not math.isfinite(score) or not isinstance(plain, dict) or not are_texts:
        return None
    return KeptProposal(one, mask, rle, min(max(score, 0.0), 1.0), source, model, sha256, adapter, facts)


def _values(item: KeptProposal) -> tuple[Any, ...]:
    mask, by = item.mask, (item.source, item.model, item.model_sha256, item.adapter)
    return (item.id, item.rle, mask.width, mask.height, item.score, *by, item.facts, OPEN)
