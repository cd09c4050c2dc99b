"""Image files to RGB: what is an image, which there are in a folder, and how each is read (in a reader process)."""

from __future__ import annotations

import atexit
import logging
import mmap
import os
import re
import stat
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from annotator.domain.errors import ImageError
from annotator.io.images import trouble
from annotator.io.images.channel import Message
from annotator.io.images.decoding import HEAD_BYTES, readers
from annotator.io.images.pool import ReaderPool
from annotator.io.images.reader import DEFAULT_MAX_PIXELS, LoadedImage, Pixels, Reader, RgbArray

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "LoadedImage",
    "Pixels",
    "Reader",
    "interrupt",
    "is_supported",
    "list_images",
    "load_image",
    "load_thumbnail",
    "natural_key",
    "read_size",
    "warm_up",
]

_log = logging.getLogger(__name__)
_TOLD_EVERY = 64
_MAPPED = 64
_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_DIGITS = re.compile(r"(\d+)")


def is_supported(path: str | os.PathLike[str]) -> bool:
    """Whether a file can be opened as an image, by its suffix; without a suffix (or with a number as in DICOM UIDs)
    by its first bytes. Missing and unreadable files of that last kind are not."""
    name = os.path.basename(os.fspath(path))
    if name.startswith(".") or name.upper() == "DICOMDIR":
        return False
    suffix = os.path.splitext(name)[1].lower()
    if suffix and not suffix[1:].isdigit():
        return any(suffix in reader.suffixes for reader in readers())
    head = _head_of(path)
    return bool(head) and any(reader.sniff(head) for reader in readers())


def list_images(
    folder: str | os.PathLike[str],
    *,
    on_problem: Callable[[str], None] | None = None,
    on_found: Callable[[int], None] | None = None,
) -> list[str]:
    """Images below a folder as paths relative to it, with forward slashes, in natural order ("2" before "10").

    Hidden files and folders are skipped, links to folders are not followed.

    Args:
        on_problem: told one line for each sub-folder or name that cannot be read (also logged); not fatal.
        on_found: told now and then how many there are so far; what it raises ends the search.

    Raises:
        ImageError: the folder itself is missing or cannot be read.
    """
    root = os.fspath(folder)

    def report(line: str) -> None:
        _log.warning("%s", line)
        if on_problem is not None:
            on_problem(line)

    def unreadable(error: OSError) -> None:
        if error.filename is None or os.path.abspath(error.filename) == os.path.abspath(root):
            raise ImageError(f"The folder {root} cannot be read ({error.strerror}).", "Check its name and permissions.")
        report(f"The folder {os.path.relpath(error.filename, root)} cannot be read ({error.strerror}).")

    if not os.path.isdir(root):
        raise ImageError(f"There is no folder {root}.", "Check the name.")
    found: list[str] = []
    for directory, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for at, name in enumerate(files):
            if on_found is not None and at % _TOLD_EVERY == 0:
                on_found(len(found))
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            if not relative.isprintable() and not _is_unicode(relative):
                report(f"The file name {relative!a} is not valid text; rename the file to use it.")
            elif is_supported(path):
                found.append(relative)
    return sorted(found, key=natural_key)


def natural_key(path: str) -> tuple[object, ...]:
    """Sort key: folders together, numbers by value, letters without case, ties by the exact text."""
    parts = tuple(
        tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in _DIGITS.split(part))
        for part in path.split("/")
    )
    return parts, path


def load_image(path: str | os.PathLike[str], *, frame: int = 0, max_pixels: int = DEFAULT_MAX_PIXELS) -> LoadedImage:
    """Read an image as it is to be shown and encoded.

    Args:
        frame: page or frame, from 0.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        ImageError: missing, unreadable, empty, cut off, not an image, too large, compressed in an unknown way; or so
            damaged that it ended its reader, now or the last time.
    """
    answer = _ask("load", path, frame=frame, max_pixels=max_pixels)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in answer.data.items()
        if name != "shape"
    }
    return LoadedImage(rgb=_pixels(answer), **values)


def load_thumbnail(
    path: str | os.PathLike[str], *, max_side: int = 160, max_pixels: int = DEFAULT_MAX_PIXELS
) -> RgbArray:
    """A small copy, h x w x 3 uint8, C-contiguous, read-only, longest side at most ``max_side``.

    Raises:
        ImageError: as :func:`load_image`.
    """
    return _pixels(_ask("thumbnail", path, max_side=max_side, max_pixels=max_pixels))


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height as shown, from the file's header only.

    Raises:
        ImageError: as :func:`load_image`.
    """
    width, height = _ask("size", path).data["size"]
    return int(width), int(height)


def warm_up() -> None:
    """Start a reader process ahead of the first image; does not wait."""
    _pool().warm()


def interrupt() -> None:
    """End all reads that run now; whoever waits for one gets an ``ImageError``."""
    _pool().interrupt()


@cache
def _pool() -> ReaderPool:
    made = ReaderPool()
    atexit.register(made.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_let_go)
    return made


def _let_go() -> None:
    """In a forked copy of the program: it gets readers of its own."""
    if _pool.cache_info().currsize:
        _pool().let_go()
        _pool.cache_clear()


def _ask(what: str, path: str | os.PathLike[str], **arguments: object) -> Message:
    whole = os.path.abspath(os.fsdecode(path))
    trouble.check(whole, what)
    return _pool().ask(what, whole, **arguments)


def _pixels(answer: Message) -> RgbArray:
    """H x W x 3 uint8, read-only: the mapped file, or what came with the answer."""
    height, width, channels = answer.data["shape"]
    count = height * width * channels
    if answer.file is None:
        return np.frombuffer(answer.payload, np.uint8, count).reshape(height, width, channels)
    try:
        # A mapping holds a descriptor as long as it lives; a program that keeps hundreds of images gets copies.
        if len(_mapped) < _MAPPED:
            block = mmap.mmap(answer.file, count, prot=mmap.PROT_READ)
            _mapped.add(block)
            return np.frombuffer(block, np.uint8).reshape(height, width, channels)
        with mmap.mmap(answer.file, count, prot=mmap.PROT_READ) as block:
            return np.frombuffer(block.read(), np.uint8).reshape(height, width, channels)
    except (OSError, ValueError) as error:
        raise ImageError("An image does not fit into memory.", "Close other programs.") from error
    finally:
        os.close(answer.file)


def _head_of(path: str | os.PathLike[str]) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        _log.debug("cannot look into %s: %s", path, error)
        return b""


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
