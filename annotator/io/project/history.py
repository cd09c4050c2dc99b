"""Earlier states of an object from the edits that a project keeps."""

from __future__ import annotations

import logging
import sqlite3
import zlib

from annotator.domain.project import Annotation
from annotator.io.project.edit_blobs import edit_from_blob, edit_text
from annotator.io.project.foreign_values import UNNAMED
from annotator.io.project.soundness import mask_problem

_log = logging.getLogger(__name__)


def last_good(connection: sqlite3.Connection, annotation_id: int) -> Annotation | None:
    """The newest state of an object with a mask that can be used, or None. Reads all edits: for a thread of its own.

    Raises:
        sqlite3.Error
    """
    mark = f'["annotation",{annotation_id},'.encode("ascii")
    # As bytes: a row that says text which is none would end the reading of all rows. Names are not needed.
    for seq, blob in connection.execute("SELECT seq, CAST(changes AS BLOB) FROM edit ORDER BY seq DESC"):
        try:
            if mark not in edit_text(blob):
                continue
            changes = edit_from_blob(UNNAMED, blob).changes
            rows = [row for change in changes[::-1] for row in (change.after, change.before)]
        except (ValueError, zlib.error, TypeError) as error:
            _log.warning("edit %s cannot be read: %s", seq, error)
            continue
        for row in rows:
            if isinstance(row, Annotation) and row.id == annotation_id and not mask_problem(row):
                return row
    return None
