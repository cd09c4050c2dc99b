"""Files that are either the old one or the complete new one, also after a crash or a power cut."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from annotator.domain.errors import ExportError
from annotator.files.private import open_private


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
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
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
