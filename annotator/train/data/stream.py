"""Batches made ahead, each window a function of the seed, the step, its place and the set weights alone.

So a run that goes on after a kill draws what it would have drawn: what was made ahead and lost is made again. And it
does not matter who draws: a thread of this process, or any number of reader processes.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from annotator.train.data.processes import ReaderProcesses, Sampler, SetWeights, WindowTask, draw
from annotator.train.data.windows import Window

AHEAD = 3
"""Batches that are asked for before they are needed."""
STOP_SECONDS = 5.0


class WindowStream:
    """Batches for the steps ``first_step``, ``first_step + 1``, ...; end it with :meth:`stop`.

    Args:
        count: windows per batch.
        asked: the set weights of the next ``AHEAD`` steps; :meth:`ask` adds those of one more.
        readers: processes that draw the windows; 0 draws in a thread of this one.
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        count: int,
        seed: int,
        first_step: int,
        asked: Sequence[SetWeights],
        readers: int = 0,
    ) -> None:
        self._sampler, self._count, self._seed = sampler, count, seed
        self._next_step = first_step
        self._wanted: queue.Queue[list[WindowTask] | None] = queue.Queue()
        self._ready: queue.Queue[list[Window] | BaseException] = queue.Queue()
        self._stopped = threading.Event()
        self._processes = ReaderProcesses(sampler, readers) if readers > 0 else None
        for weights in asked:
            self.ask(weights)
        self._thread = threading.Thread(target=self._work, name="windows", daemon=True)
        self._thread.start()

    def ask(self, weights: SetWeights) -> None:
        """Ask for one more batch."""
        tasks = [WindowTask((self._seed, self._next_step, place), weights) for place in range(self._count)]
        self._next_step += 1
        if self._processes is not None:
            for task in tasks:
                self._processes.ask(task)
        self._wanted.put(tasks)

    def next(self) -> list[Window]:
        """The next batch, in the order of the asking.

        Raises:
            ImportFormatError: an image of the sets cannot be decoded any more.
            ReaderDiedError: a reader process ended by itself.
        """
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """End the thread, after the window it makes, and the processes at once.

        A thread that takes long is not waited for: it ends after its window, or with the program.
        """
        self._stopped.set()
        self._wanted.put(None)
        if self._processes is not None:
            self._processes.end()
        self._thread.join(STOP_SECONDS)
        if self._processes is not None:
            self._processes.close()

    def _work(self) -> None:
        try:
            while (tasks := self._wanted.get()) is not None:
                batch: list[Window] = []
                for task in tasks:
                    if self._stopped.is_set():
                        return
                    batch.append(draw(self._sampler, task) if self._processes is None else self._processes.take())
                self._ready.put(batch)
        except BaseException as error:  # handed to the training thread, which raises it
            self._ready.put(error)


class AskedWeights:
    """The set weights that the next ``AHEAD`` steps were, or will be, asked with; part of a run's state."""

    def __init__(self, first: SetWeights) -> None:
        self._kept: deque[SetWeights] = deque([first] * AHEAD, maxlen=AHEAD)

    def push(self, weights: SetWeights) -> None:
        """A step is done: its weights go, those for the step ``AHEAD`` later come."""
        self._kept.append(weights)

    def all(self) -> list[SetWeights]:
        return list(self._kept)

    def state(self) -> list[list[float]]:
        return [weights.tolist() for weights in self._kept]

    def load_state(self, state: list[list[float]]) -> None:
        """Weights of a run with as many sets; others are left as they are."""
        weights = [np.array(values, np.float64) for values in state]
        if len(weights) == AHEAD and all(w.shape == self._kept[0].shape for w in weights):
            self._kept = deque(weights, maxlen=AHEAD)
