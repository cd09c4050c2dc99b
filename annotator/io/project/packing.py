"""Edits made ready for the project file beside the thread that writes it."""

from __future__ import annotations

from dataclasses import replace

from annotator.domain.project import Edit
from annotator.io.project.edit_blobs import edit_to_blob


def packed(edit: Edit) -> Edit:
    """The edit with the form in which the file keeps it, for undo: of thousands of objects that takes a while."""
    return replace(edit, packed=edit_to_blob(edit))
