"""How many images a model is asked about at once: as many as the memory of its device holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import DeviceMemoryError, ModelError
from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.together import TakesSeveral
from annotator.engine.devices import DeviceMemory

MOST_AT_ONCE = 64
"""Beyond this a card is busy anyway, and what is lost with a kill grows."""
SHARE_OF_FREE = 0.7
"""Images differ in what is asked about them, and other programs have the card, too."""
_log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class Memory(Protocol):
    """As :class:`annotator.engine.devices.DeviceMemory`."""

    def start(self) -> None: ...
    def taken_bytes(self) -> int: ...
    def free_bytes(self) -> int: ...
    def give_back(self) -> None: ...


class AtOnce:
    """The number for one model, that only ever falls once it is known.

    Args:
        segmenter: one that :class:`~annotator.domain.ports.together.TakesSeveral`.
        wanted: what was asked for; None: found out with the first images, one by one.
        memory: of the model's device.
        say: takes a line for the person.
    """

    def __init__(self, segmenter: Segmenter, wanted: int | None, memory: Memory, say: Callable[[str], object]) -> None:
        assert isinstance(segmenter, TakesSeveral)
        self._segmenter, self.model = segmenter, segmenter.together
        self._memory, self._say = memory, say
        self._size = wanted or 1
        self._is_known, self._is_wanted = wanted is not None, wanted is not None

    @property
    def size(self) -> int:
        """One, too, when the model has left a full card for the processor."""
        return self._size if self._is_wanted or self._segmenter.info.device != "cpu" else 1

    @property
    def is_known(self) -> bool:
        return self._is_known

    def measured(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask about one image, and see from the memory that it took how many fit."""
        if self._is_known:
            return ask()
        self._memory.start()
        answer = ask()
        taken_bytes, free_bytes = self._memory.taken_bytes(), self._memory.free_bytes()
        if taken_bytes > 0:  # of an image about which nothing is asked nothing is known
            self._size = max(1, min(MOST_AT_ONCE, int(free_bytes * SHARE_OF_FREE / taken_bytes)))
            self._is_known = True
            _log.info("%d images at once: one took %d bytes, %d are free", self._size, taken_bytes, free_bytes)
            if self._size > 1:
                self._say(f"{counted(self._size, 'image')} at once, by the memory of the graphics card")
        return answer

    def together(self, ask: Callable[[], _Answer], count: int) -> _Answer | None:
        """Ask about so many; None when there was no room, and the size is half of that now."""
        try:
            with self.model.staying():
                return ask()
        except DeviceMemoryError:
            self._size = max(1, count // 2)
        # Only here, where the error and all that it holds is gone, can memory be given back.
        self._memory.give_back()
        self._say(f"{counted(count, 'image')} at once need more memory than there is; {self._size} from here on")
        return None


def at_once(segmenter: Segmenter, wanted: int | None, say: Callable[[str], object]) -> AtOnce | None:
    """How many images at once; None: one after the other.

    Args:
        wanted: None: what suits the device; of a processor that is one.

    Raises:
        ModelError: several are wanted of a model that takes one at a time.
    """
    if wanted == 1:
        return None
    if not isinstance(segmenter, TakesSeveral):
        if wanted is not None:
            raise ModelError(f"{brief(segmenter.info.name)} takes one image at a time.", "Leave out --batch-size.")
        return None
    device = torch.device(segmenter.info.device)
    if wanted is None and device.type == "cpu":
        return None
    return AtOnce(segmenter, wanted, DeviceMemory(device), say)
