"""Who is next: the quick kinds of work first, and within a kind whoever has had least of the model lately."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from annotator.server.problems import busy, stopping

LONGEST_RETRY_S = 60
_HALF_S, _MUCH_S, _MOST_HAD_S = 2.0, 0.5, 1.0
"""What a client has had counts half after so long, and never for more than this: nobody is put off for longer."""
_MOST_CLIENTS = 1000


class Unfinished:
    """What a job's step returns when there are more of them."""


UNFINISHED = Unfinished()


@dataclass(slots=True, eq=False)
class Job:
    """A piece of work for a thread.

    Attributes:
        work: called with what the thread owns, and the job; its answer, or ``UNFINISHED`` to be called again.
        answer: for whoever waits.
        is_given_up: nobody waits any more; set by any thread.
    """

    kind: str
    client: str
    work: Callable[[Any, Job], Any]
    answer: Future[Any] = field(default_factory=Future)
    is_given_up: bool = False
    queued_at_s: float = 0.0


class FairQueue:
    """Jobs by kind, then by client: first whoever has had least time lately, in turns where it is the same. One that
    asks now and then so waits for the job that runs, and not for those of a client that always has some waiting. All
    methods may be called by any thread.

    Args:
        kinds: the most urgent first.
        patience_s: a job of a later kind that has waited for so long counts as one of the first.
    """

    def __init__(
        self, kinds: Sequence[str], *, patience_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kinds, self._patience_s, self._clock = tuple(kinds), patience_s, clock
        self._lanes: dict[str, OrderedDict[str, deque[Job]]] = {kind: OrderedDict() for kind in kinds}
        self._had_s: dict[str, tuple[float, float]] = {}
        """By client: seconds of work, and when that was counted."""
        self._changed = threading.Condition()
        self._is_closed = False

    def note(self, client: str, took_s: float) -> None:
        """A client has had so much time of the thread."""
        with self._changed:
            now_s = self._clock()
            had_s = min(_MOST_HAD_S, self._had(client, now_s) + took_s)
            self._had_s[client] = (had_s, now_s)
            if len(self._had_s) > _MOST_CLIENTS:
                kept = sorted(self._had_s, key=lambda one: self._had_s[one][1])[_MOST_CLIENTS // 2 :]
                self._had_s = {one: self._had_s[one] for one in kept}

    def _had(self, client: str, now_s: float) -> float:
        had_s, at_s = self._had_s.get(client, (0.0, now_s))
        return had_s * math.exp2((at_s - now_s) / _HALF_S)

    def put(self, job: Job, *, is_first: bool = False) -> None:
        """Wait for a turn, ``is_first`` before the client's other jobs of this kind.

        Raises:
            Problem: the server is being stopped.
        """
        with self._changed:
            if self._is_closed:
                raise stopping()
            job.queued_at_s = self._clock()
            waiting = self._lanes[job.kind].setdefault(job.client, deque())
            (waiting.appendleft if is_first else waiting.append)(job)
            self._changed.notify()

    def take(self) -> Job | None:
        """The next job, None when the queue is closed; waits."""
        with self._changed:
            while True:
                if self._is_closed:
                    return None
                self._promote()
                kind = next((kind for kind in self._kinds if self._lanes[kind]), None)
                if kind is not None:
                    return self._pop(self._yielding(kind))
                self._changed.wait()

    def discard(self, job: Job) -> None:
        """Nobody waits for it any more: when it has not begun, it goes at once."""
        job.is_given_up = True
        with self._changed:
            for lane in self._lanes.values():
                waiting = lane.get(job.client)
                if waiting is not None and job in waiting:
                    waiting.remove(job)
                    if not waiting:
                        del lane[job.client]

    def close(self) -> None:
        """No more turns; what waits is answered that the server is being stopped."""
        with self._changed:
            self._is_closed = True
            left = [job for lane in self._lanes.values() for waiting in lane.values() for job in waiting]
            for lane in self._lanes.values():
                lane.clear()
            self._changed.notify_all()
        for job in left:
            job.answer.set_exception(stopping())

    def waiting(self, kind: str) -> int:
        """Jobs of a kind that wait, also those that have become urgent."""
        with self._changed:
            jobs = (job for lane in self._lanes.values() for waiting in lane.values() for job in waiting)
            return sum(job.kind == kind for job in jobs)

    def has_more_urgent(self, job: Job) -> bool:
        with self._changed:
            return any(self._lanes[kind] for kind in self._kinds[: self._kinds.index(job.kind)])

    def _promote(self) -> None:
        limit_s = self._clock() - self._patience_s
        for kind in self._kinds[1:]:
            for client, waiting in list(self._lanes[kind].items()):
                if waiting[0].queued_at_s <= limit_s:
                    self._lanes[self._kinds[0]].setdefault(client, deque()).append(waiting.popleft())
                    if not waiting:
                        del self._lanes[kind][client]

    def _yielding(self, kind: str) -> str:
        """The next kind where only clients that have had much would ask for this most urgent one, and others wait."""
        if kind != self._kinds[0] or len(self._kinds) < 2 or not self._lanes[self._kinds[1]]:
            return kind
        had_s, later_s = (self._had(self._least(one), self._clock()) for one in self._kinds[:2])
        return self._kinds[1] if later_s < _MUCH_S < had_s else kind

    def _least(self, kind: str) -> str:
        """The client of a kind's jobs that has had least."""
        now_s = self._clock()
        return min(self._lanes[kind], key=lambda one: self._had(one, now_s))

    def _pop(self, kind: str) -> Job:
        lane = self._lanes[kind]
        client = self._least(kind)
        waiting = lane[client]
        job = waiting.popleft()
        if waiting:
            lane.move_to_end(client)
        else:
            del lane[client]
        return job


class Admission:
    """How many requests are inside, altogether and of each client. Whoever is too many is sent away at once.

    Args:
        mean_s: what a request takes at present, for ``Retry-After``.
    """

    def __init__(self, most: int, most_per_client: int, *, mean_s: Callable[[], float]) -> None:
        self._most, self._most_per_client, self._mean_s = most, most_per_client, mean_s
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_closed = False

    @contextmanager
    def entered(self, client: str) -> Iterator[None]:
        """Inside for as long as the context.

        Raises:
            Problem: 429, or 503 when the server is being stopped.
        """
        with self._lock:
            if self._is_closed:
                raise stopping()
            inside = self._inside.total()
            retry_s = min(LONGEST_RETRY_S, max(1, math.ceil(inside * self._mean_s())))
            if self._inside[client] >= self._most_per_client:
                detail = f"{self._most_per_client} requests of yours are being answered. Wait for one of them."
                raise busy("too-many-requests", detail, retry_s)
            if inside >= self._most:
                raise busy("busy", f"{inside} requests are being answered. Ask again in {retry_s} s.", retry_s)
            self._inside[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[client] -= 1
                if not self._inside[client]:
                    del self._inside[client]

    @property
    def inside(self) -> int:
        with self._lock:
            return self._inside.total()

    def close(self) -> None:
        """Nobody comes in any more; whoever is inside stays."""
        with self._lock:
            self._is_closed = True
