"""A run's state on the disk: the old one or the whole new one, and one clear message where there is no room."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from annotator.files.atomic import export_errors, write_atomic


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Replace a state as a whole.

    Raises:
        ExportError: it cannot be written; the old one is untouched.
    """
    # Through memory: torch's own writer turns a full disk into a RuntimeError that does not say so.
    data = io.BytesIO()
    torch.save(dict(state), data)
    with export_errors(path):
        write_atomic(path, data.getvalue())
