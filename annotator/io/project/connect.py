"""Connections to a project file: for the one writer, for readers beside it, and for media that cannot be written."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

BUSY_TIMEOUT_MS = 10
"""What an open project waits, once, for a program that has the file locked: less than a frame of the window."""
SLOW_BUSY_TIMEOUT_MS = 100
"""The same where there is no write-ahead journal: there readers and writers are in each other's way all the time."""
MAX_VALUE_BYTES = 256 << 20
"""Of one text, blob or row. A larger one is no work of ours, and would be read into memory as a whole."""
_OPENING_TIMEOUT_MS = 3000
"""What is waited while it is opened, beside the window: another program may just be closing it."""
CACHE_BYTES = 256 << 20
"""SQLite keeps up to this much of a project in memory: enough to rescue one whose file was written over."""
_NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "ncpfs")

SLOW_JOURNAL_NOTE = "This drive does not allow SQLite's fast journal; saving is a little slower, and as safe."


def connect_writer(path: Path, *, create: bool = False) -> tuple[sqlite3.Connection, bool]:
    """A connection whose commits survive a power cut, and whether it got the write-ahead journal."""
    connection = _connect(path, "rwc" if create else "rw")
    try:
        return connection, make_writer(connection, path)
    except BaseException:
        connection.close()
        raise


def make_writer(connection: sqlite3.Connection, path: Path) -> bool:
    """Let a connection of :func:`connect_reader` write: its commits survive a power cut. Whether it got the write-ahead
    journal, which needs shared memory; network drives lack that: there it is the classic one.

    Nothing gets from the journal into the file by itself, see :mod:`annotator.io.project.held`.
    """
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA journal_size_limit = 0")
    wanted = "DELETE" if is_on_network(path) else "WAL"
    (granted,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    is_wal = str(granted).lower() == "wal"
    if not is_wal:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return is_wal


def connect_without_journal(path: Path) -> sqlite3.Connection:
    """A reader of the file as it is, for one whose journal is another file's."""
    return _connect(path, "ro&immutable=1")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also beside a writer, and also on a medium that cannot be written at all."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        connection = _connect(path, "rw")
    else:
        connection = _connect(path, "ro")
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            # A file in write-ahead mode needs its side files even for reading; without pending ones it may be taken
            # as it is.
            if path.with_name(f"{path.name}-wal").exists():
                raise
            connection = _connect(path, "ro&immutable=1")
    try:
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def shares_journal(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a reader has a journal in common with a writer; on a medium that cannot be written none has."""
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return False
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode).lower() == "wal"


def connect_guard(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and that has the file open: while it is there, SQLite takes no other connection
    for the last one, at whose end it plays the journal into whatever file has the name by then.

    Raises:
        sqlite3.Error
    """
    connection = _connect(path, "ro")
    try:
        # In the mode of the write-ahead journal the shared lock is kept from the first read on.
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def is_on_network(path: Path) -> bool:
    """Whether a path lies on a network drive, as far as the system says (Linux and Windows)."""
    if sys.platform == "win32":  # pragma: no cover - not run on the systems the tests run on
        import ctypes

        drive_remote = 4
        drive = os.path.splitdrive(path)[0]
        return drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\") == drive_remote
    try:
        lines = Path("/proc/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:  # not Linux: the journal's own answer decides
        return False
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").rstrip("/") or "/"
        inside = place == "/" or str(path) == place or str(path).startswith(f"{place}/")
        if inside and len(place) >= len(best):
            best, kind = place, fields[2]
    return kind in _NETWORK_TYPES


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_OPENING_TIMEOUT_MS / 1000,
        # One thread at a time, but not always the same: a store is opened beside the window and handed over to it.
        check_same_thread=False,
    )
    # A project file may come from somebody else: its schema must not call functions of ours.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.execute(f"PRAGMA cache_size = -{CACHE_BYTES >> 10}")
    return connection
