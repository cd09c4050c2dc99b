"""Whether the file at a project's path is still the one that is open, and which of its versions it is.

A sync program, git or a restored backup puts another version in its place, by its name or by its content. SQLite does
not notice: its write-ahead journal would be played into the foreign version, which destroys it. So the project file is
written by checkpoints of ours alone (:mod:`annotator.io.project.held`), every one of them leaves a token in it, and
before every write the file is looked at: device, inode, size and time of the last write.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from annotator.domain.errors import ProjectReplacedError

TOKEN_KEY = "written"
"""The row of ``meta`` with the token of the last checkpoint."""


class FileState(Enum):
    """What lies at the path of an open project. The value says so in a sentence, with the file's name for ``{}``."""

    OURS = ""
    GONE = "{} is not in its place any more: the file or its folder was moved or deleted."
    REPLACED = "Another program (synchronisation, git, a restored backup) put another file in the place of {}."
    OVERWRITTEN = "Another program wrote over {} while it was open."
    EMPTIED = "Another program emptied {} while it was open."
    JOURNAL = "Another program removed or cut the journal {}-wal while the project was open."

    @property
    def is_foreign(self) -> bool:
        """Whether nothing may be written there any more. A file that was moved or deleted is still ours."""
        return self not in (FileState.OURS, FileState.GONE)

    def error(self, path: Path) -> ProjectReplacedError:
        message = self.value.format(path.name)
        return ProjectReplacedError(message, "Nothing is written into it: continue in a copy of your version.")


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What the system says about a file: device and inode; size in bytes and time of the last write in ns."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileIdentity | None:
        """None when there is no such file."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def is_same_file(self, other: FileIdentity) -> bool:
        return (self.device, self.inode) == (other.device, other.inode)


def new_token() -> str:
    return secrets.token_hex(8)


def token_in(path: Path) -> str | None:
    """The token in a project file itself, whatever its journal holds; "" when there is none yet, None when the file
    cannot be read as a project."""
    try:
        # Not by a descriptor of our own: closing one drops the locks that SQLite has on the file in this process.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            found = connection.execute("SELECT v FROM meta WHERE k = ?", (TOKEN_KEY,)).fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return str(found[0]) if found else ""


def write_token(connection: sqlite3.Connection, token: str) -> None:
    """Inside the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?, ?)", (TOKEN_KEY, token))
