"""Earlier states of an object from the edits that a project keeps."""

from __future__ import annotations

import logging
import sqlite3
import zlib

from annotator.domain.project import Annotation
from annotator.io.project.edit_blobs import edit_from_blob, edit_text
from annotator.io.project.soundness import mask_problem

_log = logging.getLogger(__name__)


def last_good(connection: sqlite3.Connection, annotation_id: int) -> Annotation | None:
    """The newest state of an object with a mask that can be used, or None. Reads all edits: for a thread of its own.

    Raises:
        sqlite3.Error
    """
    mark = f'["annotation",{annotation_id},'.encode("ascii")
    for seq, name, blob in connection.execute("SELECT seq, name, changes FROM edit ORDER BY seq DESC"):
        try:
            if mark not in edit_text(blob):
                continue
            rows = [row for change in edit_from_blob(name, blob).changes[::-1] for row in (change.after, change.before)]
        except (ValueError, zlib.error, TypeError) as error:
            _log.warning("edit %s cannot be read: %s", seq, error)
            continue
        for row in rows:
            if isinstance(row, Annotation) and row.id == annotation_id and not mask_problem(row):
                return row
    return None
