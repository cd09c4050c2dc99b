"""A queue between two threads that is bounded by bytes, so that readers never run far ahead of the model."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

_LOOK_S = 0.5
"""A wait without end cannot be interrupted on Windows."""


class Handover(Generic[_Item]):
    """Any number of threads may put and take.

    Args:
        most: items that may wait.
        limit_bytes: what they may weigh together; one alone may weigh more.
    """

    def __init__(self, *, most: int, limit_bytes: int) -> None:
        self._most, self._limit_bytes = most, limit_bytes
        self._waiting: deque[tuple[_Item, int]] = deque()
        self._held_bytes = 0
        self._is_finished = self._is_closed = False
        self._changed = threading.Condition()

    def widen(self, most: int) -> None:
        """So many items may wait from now on."""
        with self._changed:
            self._most = most
            self._changed.notify_all()

    def put(self, item: _Item, weight_bytes: int = 0) -> bool:
        """Hand over, once there is room; false when nobody wants anything any more."""
        with self._changed:
            while not self._is_closed and not self._has_room(weight_bytes):
                self._changed.wait(_LOOK_S)
            if self._is_closed:
                return False
            self._waiting.append((item, weight_bytes))
            self._held_bytes += weight_bytes
            self._changed.notify_all()
            return True

    def take(self) -> _Item | None:
        """The oldest item, once there is one; None when there will be none."""
        with self._changed:
            while not self._waiting and not self._is_finished and not self._is_closed:
                self._changed.wait(_LOOK_S)
            if not self._waiting:
                return None
            item, weight_bytes = self._waiting.popleft()
            self._held_bytes -= weight_bytes
            self._changed.notify_all()
            return item

    def finish(self) -> None:
        """Nothing more is put; what waits can still be taken."""
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()

    def close(self) -> None:
        """Drop what waits; whoever puts or takes is woken."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._held_bytes = 0
            self._changed.notify_all()

    def _has_room(self, weight_bytes: int) -> bool:
        fits = len(self._waiting) < self._most and self._held_bytes + weight_bytes <= self._limit_bytes
        return not self._waiting or fits
