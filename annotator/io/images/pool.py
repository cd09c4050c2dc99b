"""A few reader processes that decode images for the program, and what their ends mean.

Decoders are native code on a stranger's bytes: some abort the process, some hang, some take all memory. Here that is
one sentence about one file, and the next file gets a fresh process.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images import trouble
from annotator.io.images.channel import ChannelEndedError, Message
from annotator.io.images.child import MEMORY_EXIT
from annotator.io.images.process import ReaderProcess
from annotator.io.images.reader import memory_error

_log = logging.getLogger(__name__)

POOL_SIZE = 3
"""The window reads two images and a thumbnail at a time."""
BASE_CPU_S = 20.0
CPU_S_PER_MB = 1.0
WALL_FACTOR, WALL_EXTRA_S = 6.0, 60.0
"""The clock's limit above the computing's: for slow disks and busy machines."""


class ReaderPool:
    """Up to ``size`` processes, started when they are needed. Any number of threads may ask.

    Args:
        base_cpu_s: computing time of an image, beside what its size adds.
        over_pipes: use the way for systems that do not pass files through sockets.
    """

    def __init__(self, size: int = POOL_SIZE, *, base_cpu_s: float = BASE_CPU_S, over_pipes: bool = False) -> None:
        self._size, self._base_cpu_s, self._over_pipes = size, base_cpu_s, over_pipes
        self._idle: list[ReaderProcess] = []
        self._busy: set[ReaderProcess] = set()
        self._starting: set[ReaderProcess] = set()
        """Nobody waits for one of these alone: who asks takes what is free first."""
        self._can_start = True
        """The last one that was started beside the others began."""
        self._turn = threading.Condition()
        self._is_closed = False

    def ask(self, what: str, path: str, **arguments: Any) -> Message:
        """One answer of :data:`annotator.io.images.child.ANSWERS`.

        Raises:
            ImageError: the file's, also when it ended its reader.
            RuntimeError: a bug in a reader, with its traceback.
        """
        cpu_s = self._base_cpu_s + CPU_S_PER_MB * _size_mb(path)
        request = {"ask": what, "path": path, "cpu_s": cpu_s, "limit_bytes": budget.limit_bytes(), **arguments}
        process = self._take()
        try:
            answer = process.ask(request, wall_s=WALL_FACTOR * cpu_s + WALL_EXTRA_S)
        except ChannelEndedError:
            raise self._ended(process, what, path, cpu_s=cpu_s) from None
        except BaseException:
            process.kill()  # its answer would be taken for the next one's
            self._give(process)
            raise
        self._give(process)
        if "error" in answer.data:
            raise ImageError(*answer.data["error"])
        if "bug" in answer.data:
            raise RuntimeError(f"a reader process failed on {path}: {answer.data['bug']}")
        return answer

    def warm(self) -> None:
        """Start a process ahead of time, without waiting for it; a failure is reported by the first image."""

        def start() -> None:
            try:
                self._give(self._take())
            except ImageError as error:
                _log.debug("no reader process ahead of time: %s", error)

        threading.Thread(target=start, name="start a reader", daemon=True).start()

    def interrupt(self) -> None:
        """End the reads that run now: whoever waits for one gets an ``ImageError``."""
        with self._turn:
            busy = list(self._busy)
        for process in busy:
            process.interrupt()

    def close(self) -> None:
        """End all processes; nothing can be asked any more."""
        with self._turn:
            self._is_closed = True
            idle, busy = self._idle, [*self._busy, *self._starting]
            self._idle = []
            self._turn.notify_all()
        for process in busy:
            process.interrupt()
        for process in idle:
            process.kill()

    def pids(self) -> list[int]:
        """Of the processes that there are now."""
        with self._turn:
            return [process.pid for process in (*self._idle, *self._busy, *self._starting)]

    def let_go(self) -> None:
        """In a forked copy of the program: the processes belong to the other one."""
        for process in (*self._idle, *self._busy, *self._starting):
            process.let_go()

    def _take(self) -> ReaderProcess:
        """A process that is free, or the first one. Where others are at work a further one is started, and whichever
        is free first is taken: a slice is decoded in a hundredth of the time that a process takes to start."""
        with self._turn:
            while True:
                if self._is_closed:
                    raise ImageError("The program is ending.")
                while self._idle:
                    process = self._idle.pop()
                    if process.is_alive():
                        self._busy.add(process)
                        return process
                    process.kill()
                has_room = len(self._busy) + len(self._starting) < self._size
                if has_room and not any(process.was_ready for process in self._busy):
                    break
                if has_room and self._can_start:
                    self._start_beside()
                self._turn.wait()
            process = ReaderProcess(over_pipes=self._over_pipes)
            self._busy.add(process)
            return process

    def _start_beside(self) -> None:
        try:
            process = ReaderProcess(over_pipes=self._over_pipes)
        except ImageError as error:
            self._can_start = False
            _log.warning("no further reader process: %s", error)
            return
        self._starting.add(process)

        def wait() -> None:
            try:
                process.wait_until_ready()
            except ChannelEndedError as error:
                _log.log(logging.DEBUG if self._is_closed else logging.WARNING, "no further reader process: %r", error)
            with self._turn:
                self._starting.discard(process)
                self._can_start = process.was_ready
                is_kept = process.was_ready and not self._is_closed
                if is_kept:
                    self._idle.append(process)
                self._turn.notify_all()
            if not is_kept:
                process.kill()

        threading.Thread(target=wait, name="start a reader", daemon=True).start()

    def _give(self, process: ReaderProcess) -> None:
        with self._turn:
            self._busy.discard(process)
            is_kept = process.is_alive() and not self._is_closed
            if is_kept:
                self._idle.append(process)
            self._turn.notify()
        if not is_kept:
            process.kill()

    def _ended(self, process: ReaderProcess, what: str, path: str, *, cpu_s: float) -> ImageError:
        """What the process's end means."""
        process.kill()
        self._give(process)
        name, code = os.path.basename(path), process.exit_code
        _log.debug("a reader process ended with %s on %s", code, path)
        if process.was_interrupted:
            return ImageError(f"{brief(name)} was not read: the reading was stopped.")
        if not process.was_ready:
            return ImageError(
                f"The program's image reader cannot be started ({process.complaint()}).", "Install the program again."
            )
        if process.is_late and hasattr(signal, "setitimer"):  # it was not computing
            return ImageError(f"{brief(name)} could not be read in time.", "Check the disk or the network connection.")
        if code == MEMORY_EXIT:
            return memory_error(name)
        if code == -signal.SIGKILL:
            return ImageError(
                f"{brief(name)} was not read: the system ended its reader, probably for want of memory.",
                "Close other programs, or save a smaller copy.",
            )
        is_slow = process.is_late or code == -getattr(signal, "SIGPROF", 0)
        why = trouble.TOO_SLOW if is_slow else trouble.CRASHED
        trouble.remember(path, what, why)
        return trouble.error(name, why, cpu_s)


def _size_mb(path: str) -> float:
    try:
        return os.path.getsize(path) / 1e6
    except OSError:  # the reader says what is wrong with it
        return 0.0
