"""Lists of a hundred thousand rows are given up beside the GUI thread: to free them takes most of a frame."""

from __future__ import annotations

import threading
from typing import Any

_MANY = 5_000
_AT_ONCE = 500


def release(rows: list[Any]) -> None:
    """Forget these rows, which nobody else uses any more; a short list is left to its owner."""
    if len(rows) < _MANY:
        return
    threading.Thread(target=_empty, args=(rows,), name="release", daemon=True).start()


def _empty(rows: list[Any]) -> None:
    # Piece by piece: one call would hold the interpreter all the time.
    while rows:
        del rows[-_AT_ONCE:]
