"""The lock on a project file itself, whatever its names are: a hard link is the same project (Linux)."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

Place = tuple[int, int]
"""Device and inode."""


class InodeLock:
    """Held by one opener of a file in one process at a time.

    Closing a descriptor of a file drops all locks that SQLite has on it in this process. So a descriptor stays open
    until nobody here has the file open: every store counts itself by :meth:`enter` and :meth:`leave`.
    """

    _descriptors: dict[Place, int] = {}
    _users: Counter[Place] = Counter()
    _locked: set[Place] = set()
    _guard = threading.Lock()

    def __init__(self, place: Place) -> None:
        """Use :meth:`take`."""
        self._place = place

    @classmethod
    def take(cls, path: Path) -> InodeLock | None:
        """The lock, or None when another opener has it.

        Raises:
            OSError: there is no such file, or it cannot be opened.
        """
        import fcntl  # not on Windows

        place = place_of(path)
        with cls._guard:
            if place in cls._locked:
                return None
            if place not in cls._descriptors:
                cls._descriptors[place] = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(cls._descriptors[place], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                cls._close_unused(place)
                return None
            cls._locked.add(place)
            cls._users[place] += 1
        return cls(place)

    def links(self) -> int:
        """How many names the file has; 0 when it was deleted."""
        return os.fstat(self._descriptors[self._place]).st_nlink

    def release(self) -> None:
        """Give it back, once."""
        import fcntl

        with self._guard:
            fcntl.flock(self._descriptors[self._place], fcntl.LOCK_UN)
            self._locked.discard(self._place)
            self._leave(self._place)

    @classmethod
    def enter(cls, path: Path) -> Place:
        """Say that this process has the file open, before it does; the answer is for :meth:`leave`.

        Raises:
            OSError: there is no such file.
        """
        place = place_of(path)
        with cls._guard:
            cls._users[place] += 1
        return place

    @classmethod
    def leave(cls, place: Place) -> None:
        """The connection is closed."""
        with cls._guard:
            cls._leave(place)

    @classmethod
    def _leave(cls, place: Place) -> None:
        cls._users[place] -= 1
        cls._close_unused(place)

    @classmethod
    def _close_unused(cls, place: Place) -> None:
        if cls._users[place] <= 0:
            del cls._users[place]
            descriptor = cls._descriptors.pop(place, None)
            if descriptor is not None:
                os.close(descriptor)


def place_of(path: Path) -> Place:
    found = os.stat(path)
    return found.st_dev, found.st_ino
