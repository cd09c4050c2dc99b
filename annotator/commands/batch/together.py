"""Images of a batch that are asked about together, as many as there is memory for."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from annotator.commands.batch.work_list import WorkItem
from annotator.domain.counting import counted
from annotator.domain.ports.together import AnswersTogether
from annotator.io.images.reader import LoadedImage

if TYPE_CHECKING:
    from annotator.commands.batch.pipeline import Answer
    from annotator.engine.at_once import AtOnce

AUTO = "auto"
MOST = 1024
Work = tuple[WorkItem, LoadedImage]
_log = logging.getLogger(__name__)


@runtime_checkable
class AsksTogether(Protocol):
    """An ``ask`` of a batch that can take several images."""

    @property
    def at_once(self) -> AtOnce | None:
        """How many; None: one after the other."""
        ...

    def __call__(self, item: WorkItem, image: LoadedImage) -> Answer: ...

    def together(self, model: AnswersTogether, work: Sequence[Work]) -> list[Answer]:
        """An answer for each. Raises UserError."""
        ...


class Groups:
    """Asks about images that were read, in groups."""

    def __init__(self, ask: AsksTogether, at_once: AtOnce) -> None:
        self._ask, self._at_once = ask, at_once

    @property
    def size(self) -> int:
        """Of the next one."""
        return self._at_once.size

    def answers(self, work: Sequence[Work]) -> list[Answer | None]:
        """In the order of the images; None for one that has to be asked about alone, to know what is wrong with it."""
        found: list[Answer | None] = []
        while len(found) < len(work):
            part = work[len(found) : len(found) + self.size]
            if len(part) == 1:
                found.append(self._first(part[0]))
            else:
                found += self._of(part) or ()
        return found

    def _first(self, one: Work) -> Answer | None:
        """Where the size is not known yet, the answer that shows it."""
        if self._at_once.is_known:
            return None
        try:
            return self._at_once.measured(partial(self._ask, *one))
        except Exception:
            _log.warning("the first image is asked about again", exc_info=True)
            return None

    def _of(self, part: Sequence[Work]) -> Sequence[Answer | None] | None:
        """None when there was no room, and the group is smaller now."""
        try:
            return self._at_once.together(partial(self._ask.together, self._at_once.model, part), len(part))
        except Exception:
            _log.warning("%s are asked about one by one", counted(len(part), "image"), exc_info=True)
            return [None] * len(part)


def groups_of(ask: object) -> Groups | None:
    """None where images are asked about one after the other."""
    if not isinstance(ask, AsksTogether) or ask.at_once is None:
        return None
    return Groups(ask, ask.at_once)


def add_size_argument(parser: Any) -> None:
    """``--batch-size``; ``parser`` is one, or a group of one."""
    parser.add_argument(
        "--batch-size",
        type=_size,
        metavar="N",
        help="images in one call of the model, or auto (default): on a graphics card what its memory holds, else 1",
    )


def _size(text: str) -> int | None:
    if text == AUTO:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is neither {AUTO} nor from 1 to {MOST}")
    return int(text)
