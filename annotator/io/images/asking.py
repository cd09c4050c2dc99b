"""Questions to the reader processes, and the arrays that come with their answers."""

from __future__ import annotations

import atexit
import mmap
import os
import weakref
from functools import cache
from typing import Any

import numpy as np

from annotator.domain.errors import ImageError
from annotator.io.images import trouble
from annotator.io.images.channel import Message
from annotator.io.images.pool import ReaderPool
from annotator.io.images.reader import RgbArray

_MAPPED = 64
_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


@cache
def pool() -> ReaderPool:
    made = ReaderPool()
    atexit.register(made.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_let_go)
    return made


def _let_go() -> None:
    """In a forked copy of the program: it gets readers of its own."""
    if pool.cache_info().currsize:
        pool().let_go()
        pool.cache_clear()


def ask(what: str, path: str | os.PathLike[str], **arguments: object) -> Message:
    whole = os.path.abspath(os.fsdecode(path))
    trouble.check(whole, what)
    return pool().ask(what, whole, **arguments)


def pixels_of(answer: Message, block: Any = None) -> RgbArray:
    """H x W x 3 uint8, read-only, the first in ``block``."""
    height, width, channels = answer.data["shape"]
    block = block_of(answer) if block is None else block
    return np.frombuffer(block, np.uint8, height * width * channels).reshape(height, width, channels)


def block_of(answer: Message) -> Any:
    """All arrays of an answer, read-only: the mapped file, or what came with the answer."""
    if answer.file is None:
        return answer.payload
    try:
        # A mapping holds a descriptor as long as it lives; a program that keeps hundreds of images gets copies.
        if len(_mapped) < _MAPPED:
            block = mmap.mmap(answer.file, answer.file_bytes, prot=mmap.PROT_READ)
            _mapped.add(block)
            return block
        with mmap.mmap(answer.file, answer.file_bytes, prot=mmap.PROT_READ) as block:
            return block.read()
    except (OSError, ValueError) as error:
        raise ImageError("An image does not fit into memory.", "Close other programs.") from error
    finally:
        os.close(answer.file)
