"""When the garbage collector looks for cycles. It stops every thread of the program while it walks through all that is
there: with a project of a hundred thousand images, in the middle of a key press."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 5_000
"""From so many rows on, what was made is kept out of the collector's sight."""
_lock = threading.Lock()


class _Holds:
    count = 0
    was_enabled = False


@contextmanager
def no_collection() -> Iterator[None]:
    """Nothing is collected meanwhile, in no thread; any number of threads may be in here at a time."""
    with _lock:
        if _Holds.count == 0:
            _Holds.was_enabled = gc.isenabled()
            gc.disable()
        _Holds.count += 1
    try:
        yield
    finally:
        with _lock:
            _Holds.count -= 1
            if _Holds.count == 0 and _Holds.was_enabled:
                gc.enable()


@contextmanager
def bulk_loading() -> Iterator[list[int]]:
    """Round the making of many rows that hold no cycles: they are not walked through while they are made, nor later.

    The answer is a list to which the number of rows is added; below :data:`MANY` they are left to the collector. Rows
    are freed as ever when nothing refers to them; cycles that are garbage at that moment stay.
    """
    made = list[int]()
    with no_collection():
        yield made
        if sum(made) >= MANY:
            gc.freeze()
