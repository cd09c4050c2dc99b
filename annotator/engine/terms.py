"""Licences that are none of the usual ones: shown before a model is used, and accepted once."""

from __future__ import annotations

import json
import time

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.specs import ModelEntry
from annotator.files.atomic import write_atomic
from annotator.files.places import checkpoints_dir

_FILE = "accepted-licences.json"


def is_accepted(entry: ModelEntry) -> bool:
    """Whether nothing stands in the way of a model: its licence is a usual one, or was accepted here."""
    return not entry.has_terms or entry.licence in _read()


def accept(entry: ModelEntry) -> None:
    """Note that the person accepts a model's licence.

    Raises:
        ModelError: it cannot be noted.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = _read() | {entry.licence: {"of": entry.name, "accepted_at": moment}}
    path = checkpoints_dir() / _FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(rows, indent=1).encode())
    except OSError as error:
        raise ModelError(
            f"{brief(path)} cannot be written: {error.strerror}.", "Free some space and try again."
        ) from error


def check_accepted(entry: ModelEntry) -> None:
    """Before a model is loaded.

    Raises:
        ModelError: its licence has to be accepted first; says where it is and how.
    """
    if not is_accepted(entry):
        raise ModelError(
            f"{brief(entry.name)} has a licence of its own, the {entry.licence}.",
            f"Read it at {entry.page}; if you accept it, run: annotator models accept {brief(entry.name)}",
        )


def _read() -> dict[str, dict[str, str]]:
    try:
        rows = json.loads((checkpoints_dir() / _FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(rows, dict):
        return {}
    return {str(name): row for name, row in rows.items() if isinstance(row, dict)}
