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

from annotator.domain.brevity import brief
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
    opener = open_private if is_private else None
    with atomic_path(target, is_durable=False) as partial, open(partial, "wb", opener=opener) as stream:
        yield stream, partial
        if not stream.closed:
            sync(stream)
    sync_folder(target.parent)


@contextmanager
def atomic_path(target: Path, *, partial: Path | None = None, is_durable: bool = True) -> Iterator[Path]:
    """As :func:`atomic_file`, for what writes to a path and not to a stream: the path of a file that is not there yet.

    Args:
        partial: its path, on the same drive; None for one beside the target.
        is_durable: whether the content is on the disk when the block has ended. Not for what can be made again, nor
            for what was synchronised by who wrote it.

    Raises:
        OSError: it cannot be written; the old file is untouched.
    """
    if partial is None:
        partial = target.with_name(f".{target.name}.{_host()}-{os.getpid()}.part")
    try:
        yield partial
        put_in_place(partial, target, is_durable=is_durable)
    except BaseException:
        with suppress(FileNotFoundError):
            partial.unlink()
        raise


def put_in_place(source: Path, target: Path, *, is_durable: bool = True) -> None:
    """A complete file takes the place of another, in one step.

    Args:
        is_durable: as for :func:`atomic_path`.

    Raises:
        OSError: it cannot be moved; both are as they were.
    """
    if is_durable:
        with open(source, "rb+") as stream:
            sync(stream)
    os.replace(source, target)
    if is_durable:
        sync_folder(target.parent)


def rename_to_free(source: Path, target: Path) -> None:
    """Give a file a name that nothing has.

    Raises:
        OSError: it cannot be renamed. On Windows also where the name is taken; elsewhere that is not noticed.
    """
    os.rename(source, target)


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
            raise ExportError(
                f"The disk is full: {brief(name)} was not written.", "Free some space and try again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ExportError(f"{brief(name)} may not be written there.", "Choose a folder that you own.") from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise ExportError(
                f"There is no folder {brief(target.parent)}.", "Make it first, or choose another."
            ) from error
        if error.errno == errno.EISDIR:
            raise ExportError(f"{brief(target)} is a folder.", "Name a file.") from error
        raise ExportError(f"{brief(name)} cannot be written ({error.strerror}).", "Check the disk.") from error


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
