"""Work in two parts: the second part of one piece is done on another thread, beside the first part of the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_behind(pieces: Iterator[Callable[[], T | None] | None]) -> Iterator[T]:
    """What the pieces give, in their order; those that give None are passed over.

    Each is done on a thread of its own while ``pieces`` makes the next one on the caller's, one at a time; there are
    never more than two, the one that is being done and the one that was made meanwhile. Whoever asks for no more waits
    for the one that is being done, and no other begins. What a piece raises is raised where its answer is due.

    Args:
        pieces: None says that something more urgent waits: what is being done is told before anything else is made.
    """
    with ThreadPoolExecutor(1, "behind") as thread:
        doing: Future[T | None] | None = None
        for piece in pieces:
            found = None if doing is None else doing.result()
            doing = None if piece is None else thread.submit(piece)
            if found is not None:
                yield found
        found = None if doing is None else doing.result()
        if found is not None:
            yield found
