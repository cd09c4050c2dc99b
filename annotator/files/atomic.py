"""Files that are either the old one or the complete new one, also after a crash or a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from annotator.domain.errors import ExportError
from annotator.files.private import open_private

_PARTIAL = re.compile(r"\..+\.([0-9a-f]{6})-(\d{1,9})\.part", re.DOTALL)


@contextmanager
def atomic_file(target: Path, *, is_private: bool = False) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside ``target`` (stream and path) that takes its place when the block ends without an exception,
    after an fsync; else it is removed and ``target`` is untouched.

    The stream may be closed inside the block, to let others read the path before it is put into place.

    Args:
        is_private: whether only its owner may read it, whatever the old one allowed.

    Raises:
        OSError: it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{_host()}-{os.getpid()}.part")
    try:
        with open(partial, "wb", opener=open_private if is_private else None) as stream:
            yield stream, partial
            if not stream.closed:
                sync(stream)
        os.replace(partial, target)
    except BaseException:
        with suppress(FileNotFoundError):
            partial.unlink()
        raise
    sync_folder(target.parent)


def remove_left(files: Iterable[Path]) -> int:
    """Remove those of the files that a program on this computer had begun by :func:`atomic_file` when it was killed.

    Returns:
        How many they were. Files of programs that still run stay, and so do those of other computers.
    """
    count = 0
    for file in files:
        found = _PARTIAL.fullmatch(file.name)
        if found is not None and found[1] == _host() and not _is_running(int(found[2])):
            with suppress(OSError):  # somebody else's, or gone meanwhile: nothing depends on it
                file.unlink()
                count += 1
    return count


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _is_running(process: int) -> bool:
    if os.name != "posix":  # an open file cannot be removed there
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync(stream: BinaryIO) -> None:
    """Everything written so far is on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def write_atomic(target: Path, data: bytes, *, is_private: bool = False) -> None:
    """Replace a file's content as a whole.

    Args:
        is_private: as for :func:`atomic_file`.

    Raises:
        OSError: it cannot be written; the old file is untouched.
    """
    with atomic_file(target, is_private=is_private) as (stream, _):
        stream.write(data)


@contextmanager
def export_errors(target: Path) -> Iterator[None]:
    """The system's complaints about writing ``target`` as one clear message.

    Raises:
        ExportError
    """
    try:
        yield
    except OSError as error:
        name = target.name
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(f"The disk is full: {name} was not written.", "Free some space and try again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ExportError(f"{name} may not be written there.", "Choose a folder that you own.") from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise ExportError(f"There is no folder {target.parent}.", "Make it first, or choose another.") from error
        if error.errno == errno.EISDIR:
            raise ExportError(f"{target} is a folder.", "Name a file.") from error
        raise ExportError(f"{name} cannot be written ({error.strerror}).", "Check the disk.") from error


def sync_folder(folder: Path) -> None:
    """Names that were made in a folder, or changed, are on the disk."""
    if os.name != "posix":  # Windows cannot open a folder, and writes its names by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives know no fsync of folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
