"""Rows of the drafts: one for every image that holds any. Inside the caller's transaction where it writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from annotator.domain.drafts.kept import objects_in
from annotator.io.project.foreign_values import json_of
from annotator.io.project.schema import to_json
from annotator.io.project.soundness import fetch

Kept = Mapping[int, dict[str, Any] | None]
"""By image id: data of :func:`annotator.domain.drafts.kept.kept_json`; None: nothing is in progress there."""


def image_ids_of(taken: str) -> list[int]:
    """The images of what :meth:`DraftRows.take` ended."""
    return [image_id for image_id, _data in _taken(taken)]


def _taken(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Nothing of a text that is damaged: the edit itself can be undone all the same."""
    try:
        return [(int(image_id), dict(data)) for image_id, data in json_of(text or "[]")]
    except (ValueError, TypeError):
        return []


class DraftRows:
    """One per connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, image_id: int) -> dict[str, Any] | None:
        """What is in progress on an image. A row that cannot be read is an empty dictionary."""
        sql = "SELECT data FROM image_draft WHERE image_id = ?"
        found = fetch(self._connection, sql, (image_id,))
        if not found:
            return None
        try:
            data = json_of(found[0][0])
        except ValueError:
            data = {}
        return data if isinstance(data, dict) else {}

    def counts(self) -> dict[int, int]:
        """Number of drafts by image id; images without are left out."""
        found = fetch(self._connection, "SELECT image_id, objects FROM image_draft", ())
        return {image_id: count if isinstance(count, int) else 1 for image_id, count in found}

    def write(self, kept: Kept) -> None:
        for image_id, data in kept.items():
            if data is None:
                self._connection.execute("DELETE FROM image_draft WHERE image_id = ?", (image_id,))
                continue
            row = (image_id, objects_in(data), to_json(data))
            self._connection.execute(
                "INSERT OR REPLACE INTO image_draft(image_id, objects, data) VALUES (?, ?, ?)", row
            )

    def take(self, image_ids: Iterable[int]) -> str:
        """End what is in progress on these images.

        Returns:
            What :meth:`give_back` needs.
        """
        found = {image_id: data for image_id in image_ids if (data := self.read(image_id)) is not None}
        self.write(dict.fromkeys(found))
        return to_json(list(found.items())) if found else ""

    def give_back(self, taken: str) -> None:
        """Bring back what :meth:`take` ended, except where something newer is in progress."""
        there = self.counts()
        self.write({image_id: data for image_id, data in _taken(taken) if image_id not in there})
