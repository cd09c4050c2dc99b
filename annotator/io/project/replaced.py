"""An image file that is another one than its objects were made on."""

from __future__ import annotations

import sqlite3

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ProjectError
from annotator.domain.project import ImageRecord
from annotator.io.images.content import mark_of

_OTHER_SIZE = """
SELECT image_width, image_height, COUNT(*) FROM annotation
WHERE image_id = ? AND (image_width <> ? OR image_height <> ?)
  AND typeof(image_width) = 'integer' AND typeof(image_height) = 'integer'
"""
"""A size that is no number says nothing: such an object is left out as damaged."""


def check_same_size(connection: sqlite3.Connection, image: ImageRecord, width: int, height: int) -> None:
    """Raises:
    ProjectError: the image has objects that were made at another size: its file was replaced.
    """
    other_width, other_height, count = connection.execute(_OTHER_SIZE, (image.id, width, height)).fetchone()
    if count:
        raise ProjectError(
            f"{brief(image.name)} was replaced: it is {width} x {height} pixels now, and masks of "
            f"{counted(count)} were made at {other_width} x {other_height}.",
            "Put the old file back, or delete those objects.",
        )


def replaced_notice(connection: sqlite3.Connection, old: ImageRecord, new: ImageRecord) -> str:
    """What to tell when an image with objects was replaced by one of the same size; else empty."""
    samples = mark_of("", old.extra)
    if old.sha256 in ("", new.sha256) and samples in ("", mark_of("", new.extra)):
        return ""
    (count,) = connection.execute("SELECT COUNT(*) FROM annotation WHERE image_id = ?", (old.id,)).fetchone()
    return (
        f"{brief(old.name)} is another file than its {counted(count)} came from: look at what is there."
        if count
        else ""
    )
