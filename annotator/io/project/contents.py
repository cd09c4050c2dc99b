"""Whether the pages in a project file are still those that its open connection knows.

A program that knows nothing of tokens (a script, SQLite's own shell) may change a copy of a project, and the copy may
be put over the content of the open file: the token is the right one, the pages are others. Looking through them takes
a tenth of a second for 100 MB, so it is done only where size or time say that something was written.
"""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import numpy as np

from annotator.io.project.connect import CACHE_BYTES
from annotator.io.project.journal import pages_in_journal


def is_as_known(connection: sqlite3.Connection, path: Path) -> bool:
    """Compare the file page by page with what the connection has in memory since it was looked through at opening.

    A page may differ that the journal holds, or that is free. A file that is larger than that memory is not compared.

    Raises:
        sqlite3.Error, OSError
    """
    (pages,), (page_bytes,) = (connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    if pages * page_bytes > CACHE_BYTES or not hasattr(connection, "serialize"):
        return True
    known, found = connection.serialize(), _content_of(path)
    count = min(len(known), len(found)) // page_bytes
    shape = (count, page_bytes)
    ours, theirs = (np.frombuffer(data, np.uint8, count * page_bytes).reshape(shape) for data in (known, found))
    others = {int(page) + 1 for page in np.flatnonzero((ours != theirs).any(axis=1))}
    return not others - pages_in_journal(path, page_bytes) - _free_pages(known, page_bytes)


def _content_of(path: Path) -> bytes:
    """The file itself, whatever its journal holds."""
    # Not by a descriptor of our own: closing one drops the locks that SQLite has on the file in this process.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        return connection.serialize()
    finally:
        connection.close()


def _free_pages(content: bytes, page_bytes: int) -> set[int]:
    """Pages that hold nothing: SQLite does not write what they held last."""
    found: set[int] = set()
    (trunk,) = struct.unpack(">I", content[32:36])
    while trunk and trunk not in found and trunk * page_bytes <= len(content):
        at = (trunk - 1) * page_bytes
        following, count = struct.unpack(">2I", content[at : at + 8])
        count = min(count, page_bytes // 4 - 2)
        found |= {trunk, *struct.unpack(f">{count}I", content[at + 8 : at + 8 + 4 * count])}
        trunk = following
    return found
