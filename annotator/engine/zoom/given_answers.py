"""What was answered lately, known again by the token of the candidate that the next click goes on from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

from annotator.domain.answering.hypotheses import Hypothesis
from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate
from annotator.engine.zoom.pieces import mask_box

ANSWERS_KEPT = 128
MASK_BYTES_KEPT = 256 << 20
"""A mask of a large image has megabytes, and a first click is answered with two dozen of them."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """A candidate and where it was found.

    ``others`` are the answers it was chosen from, empty where a box or a mask said what was meant.
    """

    candidate: Candidate
    region: Region
    others: tuple[Hypothesis, ...] = ()

    @property
    def box(self) -> Box | None:
        """Round the mask, in image pixels; None for an empty one."""
        return mask_box(self.candidate.mask)


class GivenAnswers:
    """The latest :data:`ANSWERS_KEPT` answers, as far as their masks fit into ``mask_bytes``; the newest always."""

    def __init__(self, *, mask_bytes: int = MASK_BYTES_KEPT) -> None:
        self._mask_bytes = mask_bytes
        self._kept: OrderedDict[str, GivenAnswer] = OrderedDict()
        self._mine = uuid4().hex
        self._count = 0

    def of(self, candidate: Candidate, whole: Region) -> GivenAnswer:
        """What is known of a candidate; of one that was forgotten, or that another engine gave, what it says itself.

        Args:
            whole: the image, for a candidate that was found in all of it.
        """
        return self._kept.get(candidate.token) or GivenAnswer(candidate, piece_of(candidate, whole))

    def remembered(self, answer: GivenAnswer) -> Candidate:
        """The answer's candidate with the token that it is known by from now on."""
        self._count += 1
        candidate = replace(answer.candidate, token=f"{self._mine}-{self._count}")
        self._kept[candidate.token] = replace(answer, candidate=candidate)
        while len(self._kept) > ANSWERS_KEPT:
            self._kept.popitem(last=False)
        self._fit()
        return candidate

    @property
    def nbytes(self) -> int:
        """Of all masks that are kept, each counted once."""
        sizes: dict[int, int] = {}
        for answer in self._kept.values():
            sizes.update(_unseen(answer, sizes))
        return sum(sizes.values())

    def _fit(self) -> None:
        """From the newest on: what is too much loses first what it was chosen from, then its place."""
        seen: dict[int, int] = {}
        total = 0
        for key, answer in reversed(list(self._kept.items())):
            new = _unseen(answer, seen)
            if new and total and total + sum(new.values()) > self._mask_bytes:
                answer = replace(answer, others=())
                new = _unseen(answer, seen)
                if total + sum(new.values()) > self._mask_bytes:
                    del self._kept[key]
                    continue
                self._kept[key] = answer
            seen.update(new)
            total += sum(new.values())


def piece_of(candidate: Candidate, whole: Region) -> Region:
    """The piece of the image that a candidate's logits are of."""
    box = candidate.logits_box
    return whole if box is None else Region(*(round(edge) for edge in box.as_xyxy()))


def _unseen(answer: GivenAnswer, seen: Mapping[int, int]) -> dict[int, int]:
    """Bytes of an answer's masks by identity, but for those that were seen. Answers of one search share ``others``."""
    masks = [answer.candidate.mask]
    found = {}
    if answer.others and id(answer.others) not in seen:
        found[id(answer.others)] = 0
        masks += [other.candidate.mask for other in answer.others]
    found.update({id(mask): mask.bits.nbytes for mask in masks if id(mask) not in seen})
    return found
