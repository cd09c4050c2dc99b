"""Processes that draw training windows, in turns, so that one GPU or several cores do not wait for one interpreter.

Started fresh (not forked: torch's threads do not survive that), they import no torch, and nothing that lies in the
current folder. Each talks through a pipe of its
own; when the training process dies, even by a kill, the pipe ends and so does the reader.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NoReturn, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from annotator.files.children import PROGRAM_FOLDER, safe_spawning
from annotator.train.data.windows import Window

SetWeights = npt.NDArray[np.float64]


class Sampler(Protocol):
    """What draws windows, as :class:`~annotator.train.data.windows.WindowSampler` does; it can be pickled."""

    def draw(self, rng: np.random.Generator, weights: SetWeights) -> Window: ...


class ReaderDiedError(Exception):
    """A reader process ended by itself (out of memory, or killed from outside)."""


@dataclass(frozen=True, slots=True)
class WindowTask:
    """One window to draw: the seed of its generator (the run's, the step, the place in the batch) and the weights."""

    seed: tuple[int, int, int]
    weights: SetWeights


def draw(sampler: Sampler, task: WindowTask) -> Window:
    """The window of a task, the same whoever draws it."""
    return sampler.draw(np.random.default_rng(task.seed), task.weights)


class ReaderProcesses:
    """``count`` processes. Windows are taken in the order of the asking.

    Asking and taking may be done by two threads.
    """

    def __init__(self, sampler: Sampler, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        self._asked = self._taken = 0
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_read, args=(theirs, sampler), name=f"reader-{number}", daemon=True)
            with safe_spawning():
                process.start()
            theirs.close()  # so that ours ends when the process does
            self._pipes.append(ours)
            self._processes.append(process)

    def ask(self, task: WindowTask) -> None:
        """Raises: ReaderDiedError."""
        try:
            self._pipes[self._asked % len(self._pipes)].send(task)
        except (BrokenPipeError, ConnectionResetError):
            self._raise_dead(self._asked % len(self._pipes))
        self._asked += 1

    def take(self) -> Window:
        """The next window; waits for it.

        Raises:
            ReaderDiedError, and whatever drawing it raised.
        """
        number = self._taken % len(self._pipes)
        try:
            found: Window | BaseException = self._pipes[number].recv()
        except (EOFError, ConnectionResetError):
            self._raise_dead(number)
        self._taken += 1
        if isinstance(found, BaseException):
            raise found
        return found

    def end(self) -> None:
        """Stop the processes at once; what is in the pipes is lost."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def close(self) -> None:
        """After :meth:`end`, when nobody takes any more."""
        for pipe in self._pipes:
            pipe.close()

    def _raise_dead(self, number: int) -> NoReturn:
        process = self._processes[number]
        process.join(5.0)
        raise ReaderDiedError(f"the {process.name} process ended with code {process.exitcode}")


def _read(pipe: Connection, sampler: Sampler) -> None:
    """The life of a reader process: a window for each task until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training process decides what an interrupt means
    os.chdir(PROGRAM_FOLDER)  # the sampler's paths are absolute
    cv2.setNumThreads(1)
    while True:
        try:
            task: WindowTask = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            found: Window | BaseException = draw(sampler, task)
        except BaseException as error:
            found = error
        try:
            pipe.send(found)
        except BrokenPipeError:
            return
