"""The frames of a long video, counted to their end in a reader process of its own, while the first ones are shown."""

from __future__ import annotations

import os
from collections.abc import Callable

from annotator.io.images import trouble
from annotator.io.images.pool import ReaderPool
from annotator.io.images.survey import Survey

STEP_S = 0.5
"""After so long it is told how far it has come."""


def count_frames(path: str | os.PathLike[str], progress: Callable[[int, int], None]) -> Survey:
    """All frames that there are. It is remembered where that can be: looks into the file find it from then on.

    Args:
        progress: called with frames so far, and how many there are about (0: not known); what it raises ends it.

    Raises:
        ImageError: the file cannot be read.
    """
    whole = os.path.abspath(os.fsdecode(path))
    trouble.check(whole, "count")
    pool = ReaderPool(1)  # what is looked at must not wait
    try:
        while True:
            found = pool.ask("count", whole, seconds=STEP_S).data
            progress(found["frames"], max(found["about"], found["frames"]) if found["about"] else 0)
            if found["survey"] is not None:
                return Survey.from_data(found["survey"], os.path.basename(whole))
    finally:
        pool.close()
