"""Edits that a run has made one by one, as one: a single step back takes the whole run away."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from annotator.domain.project import Edit
from annotator.io.project.edit_blobs import edit_from_blob, edit_to_blob
from annotator.io.project.soundness import fetch
from annotator.io.project.store import ProjectStore

_AT_ONCE = 500


def join_edits(store: ProjectStore, numbers: Sequence[int], name: str) -> int:
    """Put edits together in the place of the first of them; those that were undone, or are not kept any more, stay out.

    Args:
        numbers: as :meth:`~annotator.io.project.queries.ProjectQueries.edit_mark` has given them, in order.
        name: of the edits, and of what they become. Later ones of this name belong to them, too: a program that was
            killed may not have noted the last.

    Returns:
        How many were put together.

    Raises:
        ProjectError: the file cannot be written.
    """
    joined, last = 0, max(numbers, default=1 << 62)

    def work(connection: sqlite3.Connection) -> None:
        nonlocal joined
        later = fetch(connection, "SELECT seq FROM edit WHERE undone = 0 AND seq > ? AND name = ?", (last, name))
        wanted = sorted({*numbers, *(seq for (seq,) in later)})
        found = list(chain.from_iterable(_read(connection, part) for part in _parts(wanted)))
        if len(found) < 2:
            return
        changes = tuple(chain.from_iterable(edit.changes for _, edit in found))
        first, blob = found[0][0], edit_to_blob(Edit(name, changes))
        for part in _parts([number for number, _ in found[1:]]):
            marks = ", ".join("?" * len(part))
            connection.execute(f"DELETE FROM edit WHERE seq IN ({marks})", part)
        connection.execute("UPDATE edit SET name = ?, changes = ? WHERE seq = ?", (name, blob, first))
        joined = len(found)

    store.write_beside(work)
    return joined


def _parts(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE)]


def _read(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[tuple[int, Edit]]:
    marks = ", ".join("?" * len(numbers))
    kept = f"SELECT seq, name, changes FROM edit WHERE undone = 0 AND seq IN ({marks}) ORDER BY seq"
    return [(seq, edit_from_blob(str(name), blob)) for seq, name, blob in fetch(connection, kept, tuple(numbers))]
