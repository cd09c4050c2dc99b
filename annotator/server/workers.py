"""Threads that do what waits in a queue: one for the model, two that read and write pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from annotator.domain.errors import EncodeCancelled
from annotator.server.fair_queue import UNFINISHED, FairQueue, Job
from annotator.server.problems import Problem

_JOIN_S = 5.0


class Workers:
    """Args:
    prepare: makes what a thread owns, on that thread.
    on_failed: called with what ``prepare`` raised; the thread then ends.
    on_done: called with a job's kind and the seconds that one of its steps took.
    """

    def __init__(
        self,
        name: str,
        count: int,
        queue: FairQueue,
        *,
        prepare: Callable[[], Any],
        on_failed: Callable[[Exception], None],
        on_done: Callable[[str, float], None],
    ) -> None:
        self._queue, self._prepare, self._on_failed, self._on_done = queue, prepare, on_failed, on_done
        self._running = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"server {name} {number}", daemon=True) for number in range(count)
        ]

    @property
    def running(self) -> int:
        """Jobs that are being done now."""
        with self._lock:
            return self._running

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """After the queue was closed: wait for what runs, for a few seconds."""
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            owned = self._prepare()
        except Exception as error:
            self._on_failed(error)
            return
        while (job := self._queue.take()) is not None:
            if job.is_given_up:
                continue
            with self._lock:
                self._running += 1
            started_s = time.monotonic()
            try:
                self._do(job, owned)
            finally:
                with self._lock:
                    self._running -= 1
                took_s = time.monotonic() - started_s
                self._queue.note(job.client, took_s)
                self._on_done(job.kind, took_s)

    def _do(self, job: Job, owned: Any) -> None:
        try:
            answer = job.work(owned, job)
            if answer is UNFINISHED:
                self._queue.put(job, is_first=True)
                return
        except EncodeCancelled:
            job.answer.set_exception(Problem(408, "given-up", "The request was given up."))
        except Exception as error:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(answer)
