"""Edits on their way into the project file and back, inside the caller's transaction and on the caller's connection."""

from __future__ import annotations

import sqlite3

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError, RowTakenError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Edit
from annotator.io.project.drafts import DraftRows, Kept, image_ids_of
from annotator.io.project.edit_blobs import edit_from_blob, edit_to_blob
from annotator.io.project.edit_progress import EditProgress
from annotator.io.project.foreign_values import UNNAMED, text_of
from annotator.io.project.rows import RowWriter
from annotator.io.project.soundness import fetch

UNDO_CAP = 10_000
"""Edits that are kept for undo and as an audit trail; the oldest go first."""
Step = tuple[str, int]
UNDO: Step
REDO: Step
UNDO, REDO = ("undone = 0 ORDER BY seq DESC", 1), ("undone = 1 ORDER BY seq", 0)
"""Which edit a step takes, and whether it is undone then."""


class EditRows:
    """One per connection that writes."""

    def __init__(self, connection: sqlite3.Connection, rows: RowWriter, drafts: DraftRows) -> None:
        self._connection, self._rows, self._drafts = connection, rows, drafts

    def apply(
        self, edit: Edit, *, at: str, author: str, kept: Kept | None = None, progress: Progress | None = None
    ) -> Edit:
        """Write an edit; what was undone is forgotten. Returns it with the rows as they really were and are now.

        Args:
            at: when it is done, as the file has it.
            progress: in changes.

        Raises:
            as :meth:`~annotator.io.project.rows.RowWriter.write`.
        """
        told = EditProgress(progress, len(edit.changes), passes=2)
        real = self._rows.write(edit, told)
        drafts = self._drafts.take(edit.drafts_of)
        self._drafts.write(kept or {})
        self._connection.execute("DELETE FROM edit WHERE undone = 1")
        self._connection.execute(
            "INSERT INTO edit(at, author, name, changes, drafts) VALUES (?, ?, ?, ?, ?)",
            (at, author, real.name, edit_to_blob(real, told), drafts),
        )
        self._connection.execute("DELETE FROM edit WHERE seq <= (SELECT MAX(seq) FROM edit) - ?", (UNDO_CAP,))
        told.end()
        return real

    def step(self, step: Step, *, progress: Progress | None = None) -> Edit | None:
        """Take the newest edit back (:data:`UNDO`), or do again what was undone last (:data:`REDO`); None when there is
        none. Returns what it did, with the rows as they really were and are now.

        Raises:
            ProjectError: the edit is damaged, or makes objects that are there; nothing was changed. Others as
                :meth:`apply`.
        """
        which, undone = step
        found = fetch(self._connection, f"SELECT seq, name, changes, drafts FROM edit WHERE {which} LIMIT 1", ())
        if not found:
            return None
        seq, blob = found[0][0], found[0][2]
        name, drafts = text_of(found[0][1]) or UNNAMED, text_of(found[0][3]) or ""
        try:
            done = edit_from_blob(name, blob, EditProgress(progress))
        except ValueError as error:
            raise _impossible(name, undone, error) from error
        try:
            told = EditProgress(progress, len(done.changes))
            real = self._rows.write(done.inverted() if undone else done, told)
        except RowTakenError as error:
            raise _impossible(name, undone, error) from error
        if drafts and undone:
            self._drafts.give_back(drafts)
        elif drafts:
            drafts = self._drafts.take(image_ids_of(drafts)) or drafts
        self._connection.execute("UPDATE edit SET undone = ?, drafts = ? WHERE seq = ?", (undone, drafts, seq))
        told.end()
        return real


def _impossible(name: str, undone: int, why: ValueError) -> ProjectError:
    message = f"“{brief(name)}” cannot be {'undone' if undone else 'done again'}: {why}."
    return ProjectError(message, "Everything is as it was; later changes can be made as ever.")
