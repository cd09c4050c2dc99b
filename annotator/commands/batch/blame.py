"""Whether an image is to blame when a process that is asked about images ends, and what is asked next of whom.

A process may end for reasons that no image has: somebody's kill, memory that others took, a machine that was switched
off. So an end says something about an image only when the worker had nothing else in hand: no other image in the call,
no call before it whose answer may have been lost on its way, none behind it that may have been begun. Such an end is a
suspicion at first; then workers that were asked nothing before are asked about it, and it has to end each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from annotator.commands.batch.work_list import WorkItem

MOST_ENDS = 3
"""Of workers that had one image in hand, after which it is left out: all but the first were new."""
MOST_LOSSES = 8
"""Of machines that went while they had one image in hand, after which the batch stops; the image is not blamed."""


class End(Enum):
    """``PROCESS``: the worker alone ended. ``MACHINE``: where it was is gone or out of reach, which no image does."""

    PROCESS = "process"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Call:
    """Images that go to a worker together.

    Attributes:
        is_alone: its one image is suspected: the worker that has it is given nothing else.
        ends: how many workers ended that had it alone.
        losses: how many machines went meanwhile.
    """

    items: tuple[WorkItem, ...]
    is_alone: bool = False
    ends: int = 0
    losses: int = 0


@dataclass(slots=True)
class Line:
    """What is still to be asked, in its order; ``proofs`` are for workers that were asked nothing before."""

    calls: deque[Call]
    proofs: deque[Call] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.calls) + len(self.proofs)

    def next_for(self, in_hand: Sequence[Call], *, is_new: bool) -> Call | None:
        """Take what a worker is asked next, behind what it has in hand; None: nothing until it has answered."""
        if any(call.is_alone for call in in_hand):
            return None
        if is_new and self.proofs:
            return self.proofs.popleft()
        if not self.calls or (in_hand and self.calls[0].is_alone):
            return None
        return self.calls.popleft()

    def give_back(self, calls: Iterable[Call]) -> None:
        """To be asked before all else, in this order."""
        for call in reversed(list(calls)):
            (self.proofs if call.ends else self.calls).appendleft(call)


def after_end(in_hand: Sequence[Call], end: End) -> tuple[list[Call], Call | None]:
    """What is asked again after a worker ended, and the call of the image that is to blame.

    Args:
        in_hand: what the worker had not answered, in its order; at least one.
    """
    first, *behind = in_hand
    if not first.is_alone:
        return [*(Call((item,), is_alone=True) for item in first.items), *behind], None
    if end is End.MACHINE:
        return [replace(first, losses=first.losses + 1), *behind], None
    ended = replace(first, ends=first.ends + 1)
    return (behind, ended) if ended.ends >= MOST_ENDS else ([ended, *behind], None)
