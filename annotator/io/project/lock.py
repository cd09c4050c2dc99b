"""One writer per project: locks of the operating system on a file beside it and on itself, which die with the process.

The file beside it says who it is, and which version of the project the journal belongs to that a crash leaves. The lock
on the project itself goes by the file and not by its name: a hard link is the same project.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.files.atomic import sync_folder
from annotator.io.project.connect import is_on_network
from annotator.io.project.inode_lock import InodeLock

_log = logging.getLogger(__name__)

if sys.platform == "win32":  # pragma: no cover - not run on the systems the tests run on
    import msvcrt

    _LOCK_OFFSET = 1 << 20  # far behind the text, which others must be able to read

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        # flock, not lockf: it belongs to the open file, so a second opener inside one process is seen too.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ProjectLock:
    """The right to write one project, held until :meth:`release` or the end of the process (kill -9 too)."""

    def __init__(self, path: Path, descriptor: int, *, author: str, left_tokens: tuple[str, ...]) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self._author = author
        self._inode: InodeLock | None = None
        self.left_tokens = left_tokens
        """What the last writer noted and did not take back: it crashed. Empty after an orderly end."""

    @classmethod
    def acquire(cls, project: Path, *, author: str = "") -> ProjectLock | None:
        """The lock, or None when another program (or another opener in this one) has it.

        Raises:
            OSError: the lock file cannot be made, or the file system knows no locks.
        """
        lock = cls._acquire_named(project, author)
        if lock is not None and project.exists() and not lock.bind(project):
            lock.release()
            return None
        return lock

    def bind(self, project: Path) -> bool:
        """Lock the file itself, too, whatever its names are; whether nobody else has it.

        Raises:
            OSError: it cannot be opened.
        """
        # Elsewhere, and on network drives, SQLite's locks and this one are one kind: it would keep SQLite out.
        if sys.platform == "linux" and not is_on_network(project):
            self._inode = InodeLock.take(project)
            return self._inode is not None
        return True

    @classmethod
    def _acquire_named(cls, project: Path, author: str) -> ProjectLock | None:
        path, left = lock_path(project), noted_tokens(project)
        while True:
            try:
                descriptor = _open_lock(path, project)
            except PermissionError:
                if not path.exists():
                    raise
                if _is_held_or_removed(path):
                    return None
                continue
            try:
                if not _try_lock(descriptor):
                    os.close(descriptor)
                    return None
                if not _is_still(path, descriptor):
                    # Its holder removed the file between our open and our lock: take the new one.
                    os.close(descriptor)
                    continue
                lock = cls(path, descriptor, author=author, left_tokens=left)
                try:
                    _write_owner(descriptor, author, lock.left_tokens)
                except OSError:
                    with contextlib.suppress(OSError):  # an empty file would stay behind
                        os.unlink(path)
                    raise
            except OSError:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
            return lock

    def note(self, tokens: tuple[str, ...]) -> None:
        """Note, safe from a power cut, which versions of the project its journal belongs to from now on.

        Raises:
            OSError: the disk is full or fails; the journal must not be played into the project then.
        """
        if self._descriptor is not None:
            _write_owner(self._descriptor, self._author, tokens)
            os.fsync(self._descriptor)
            sync_folder(self._path.parent)

    def links(self) -> int | None:
        """How many names the project file has that was opened, 0 when it was deleted; None when nobody knows."""
        return None if self._inode is None else self._inode.links()

    def release(self, *, keep_note: bool = False) -> None:
        """Give the lock back and remove its file; doing it twice is harmless.

        Args:
            keep_note: leave the file, for the sake of what :meth:`note` wrote into it.
        """
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if self._inode is not None:
            self._inode.release()
            self._inode = None
        if sys.platform == "win32":  # pragma: no cover - an open file cannot be removed there
            os.close(descriptor)
        if not keep_note:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        if sys.platform != "win32":
            os.close(descriptor)


def lock_path(project: Path) -> Path:
    """A hidden file beside the project."""
    return project.with_name(f".{project.name}.lock")


def describe_owner(project: Path) -> str:
    """Who holds a project, for a message: "anna on desk-7 (process 4711)"."""
    try:
        owner: Any = json.loads(lock_path(project).read_text("utf-8"))
        user, host, pid = str(owner["user"]), str(owner["host"]), int(owner["pid"])
        author = str(owner.get("author") or "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.debug("no owner in the lock file of %s: %r", project, error)
        return "another program"
    name = f"{author} ({user})" if author and author != user else user
    return f"{brief(name)} on {host} (process {pid})"


def noted_tokens(project: Path) -> tuple[str, ...]:
    """The versions of a project that its journal belongs to, as its writer noted them; none when nobody did."""
    path = lock_path(project)
    try:
        owner: Any = json.loads(path.read_text("utf-8"))
        return tuple(str(token) for token in owner.get("written", ()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        _log.debug("nothing is noted in %s: %r", path, error)
        return ()


def user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry in the password database, as in some containers
        return "unknown user"


def _open_lock(path: Path, project: Path) -> int:
    """As open to others as the project is: whoever may write that must be able to take over a lock left by a crash."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # no project yet, or a drive without modes
            os.fchmod(descriptor, stat.S_IMODE(project.stat().st_mode) & 0o666)
    return descriptor


def _is_held_or_removed(path: Path) -> bool:
    """Whether a lock file of somebody else, which may only be read, is in use; if not, it is removed.

    Raises:
        OSError: it can neither be read nor removed: nobody can tell whether it is in use.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # its holder removed it meanwhile
        return False
    try:
        if not _try_lock(descriptor):
            return True
        # Left by a crash. It is removed while we hold it, so that nobody can take it in between.
        if _is_still(path, descriptor):
            os.unlink(path)
        return False
    finally:
        os.close(descriptor)


def _write_owner(descriptor: int, author: str, tokens: tuple[str, ...]) -> None:
    owner = {"user": user_name(), "host": socket.gethostname(), "pid": os.getpid(), "author": author}
    owner["written"] = tokens
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps(owner).encode("ascii"))


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
