"""A disk that takes only small files, as a full one does: the system's own limit on the size of a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")


@contextmanager
def little_room(most_bytes: int) -> Iterator[None]:
    """Writing beyond so many bytes of a file is an OSError."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
