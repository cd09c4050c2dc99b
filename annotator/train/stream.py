"""Batches made ahead by a background thread, each a function of the seed, the step and the set weights alone.

So a run that goes on after a kill draws what it would have drawn: what was made ahead and lost is made again.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from annotator.train.data import Window

AHEAD = 3
"""Batches that are asked for before they are needed."""

SetWeights = npt.NDArray[np.float64]


class Sampler(Protocol):
    """What draws windows, as :class:`annotator.train.data.WindowSampler` does."""

    def draw(self, rng: np.random.Generator, weights: SetWeights) -> Window: ...


class WindowStream:
    """Batches for the steps ``first_step``, ``first_step + 1``, ...; end it with :meth:`stop`.

    Args:
        count: windows per batch.
        asked: the set weights of the next ``AHEAD`` steps; :meth:`ask` adds those of one more.
    """

    def __init__(
        self, sampler: Sampler, *, count: int, seed: int, first_step: int, asked: Sequence[SetWeights]
    ) -> None:
        self._sampler, self._count, self._seed = sampler, count, seed
        self._next_step = first_step
        self._wanted: queue.Queue[tuple[int, SetWeights] | None] = queue.Queue()
        self._ready: queue.Queue[list[Window] | BaseException] = queue.Queue()
        self._stopped = threading.Event()
        for weights in asked:
            self.ask(weights)
        threading.Thread(target=self._work, name="windows", daemon=True).start()

    def ask(self, weights: SetWeights) -> None:
        """Ask for one more batch."""
        self._wanted.put((self._next_step, weights))
        self._next_step += 1

    def next(self) -> list[Window]:
        """The next batch, in the order of the asking.

        Raises:
            ImportFormatError: an image of the sets cannot be decoded any more.
        """
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """The thread ends after the batch it makes."""
        self._stopped.set()
        self._wanted.put(None)

    def _work(self) -> None:
        try:
            while (wanted := self._wanted.get()) is not None and not self._stopped.is_set():
                step, weights = wanted
                rng = np.random.default_rng((self._seed, step))
                self._ready.put([self._sampler.draw(rng, weights) for _ in range(self._count)])
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
