"""The answers of a search become a table of proposals, again and again while it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation
from annotator.domain.proposals.resuming import facts_of
from annotator.domain.proposals.table import KeptProposal, ProposalTable
from annotator.domain.seen import lies_in
from annotator.domain.sight import Sight

Covered = dict[int, frozenset[int]]
"""By annotation id, the ids of the proposals that the object covers; those that cover none are left out."""


class FoundObject(Protocol):
    """What a search answers with."""

    @property
    def mask(self) -> Mask: ...
    @property
    def predicted_iou(self) -> float: ...
    @property
    def stability_score(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Finder:
    """Who finds: goes into every proposal and on into the objects that are made of them."""

    source: str = "everything"
    model: str = ""
    model_sha256: str = ""
    adapter: str = ""
    examples: tuple[int, ...] = ()
    """Ids of the objects that others were to be like."""

    @property
    def replaces_all(self) -> bool:
        """Whether what others have found goes, too: who looks for one kind of object wants to see that alone."""
        return self.source in ("like", "words")


class Gathering:
    """One search in one image. For one thread at a time.

    Args:
        table: the proposals that are there.
        dropped: ids of it that the person does not want; what is like them does not come again.
        begun: what a search that goes on begins with, and the proposals of the table that it is.
        sight: the part of a very large image that is searched: what the same finder has found elsewhere stays.
    """

    def __init__(
        self,
        table: ProposalTable,
        dropped: frozenset[int],
        finder: Finder,
        *,
        begun: Iterable[tuple[FoundObject, KeptProposal]] = (),
        sight: Sight | None = None,
    ) -> None:
        self._table, self._finder = table, finder
        elsewhere = set[int]()
        if sight is not None:
            same = (item for item in table.items if item.source == finder.source)
            elsewhere = {item.id for item in same if not lies_in(item.mask, sight)}
        # The same finder's open ones are found again, or are not what it finds now.
        self._stay = [
            item
            for item in table.items
            if item.id in dropped or item.id in elsewhere or not (finder.replaces_all or item.source == finder.source)
        ]
        self._unwanted = ProposalTable([item for item in table.items if item.id in dropped or item.id in elsewhere])
        self._next_id = max(table.index, default=0) + 1
        self._made: dict[int, tuple[Mask, KeptProposal | None]] = {}
        """By the identity of the mask that was answered, which is held so that it stays one."""
        for one, item in begun:
            self._made[id(one.mask)] = (one.mask, None if item.id in dropped else item)

    def found_by(self, finder: Finder) -> None:
        """Who it is becomes known with the first answer: a model that is loaded for the question."""
        self._finder = finder

    def add(self, found: Sequence[FoundObject]) -> ProposalTable:
        """All that was found so far, in place of what was found before."""
        made = [item for one in found if (item := self._item(one)) is not None]
        self._table = ProposalTable([*self._stay, *made], before=self._table)
        return self._table

    def _item(self, one: FoundObject) -> KeptProposal | None:
        mask, score = one.mask, _score_of(one)
        _, item = self._made.get(id(mask)) or (mask, self._new(one))
        if item is not None and item.score != score:  # more is known of it than before
            item = replace(item, score=score)
        self._made[id(mask)] = mask, item
        return item

    def _new(self, one: FoundObject) -> KeptProposal | None:
        mask = one.mask.tight()
        if mask.is_empty or self._unwanted.like(mask):
            return None
        facts: dict[str, object] = {"stability": round(float(one.stability_score), 4), **facts_of(one)}
        by = self._finder
        if by.examples:
            facts["examples"] = list(by.examples)
        who = (by.source, by.model, by.model_sha256, by.adapter)
        made = KeptProposal(self._next_id, mask, mask.rle(), _score_of(one), *who, json.dumps(facts))
        self._next_id += 1
        return made


def _score_of(one: FoundObject) -> float:
    return min(max(float(one.predicted_iou), 0.0), 1.0)


def covered_by_objects(table: ProposalTable, annotations: Iterable[Annotation]) -> Covered:
    """Which proposals each object covers; an object whose runs are damaged covers none."""
    found: Covered = {}
    for annotation in annotations:
        try:
            ids = covered_by_object(table, annotation)
        except ValueError:
            continue
        if ids:
            found[annotation.id] = ids
    return found


def covered_by_object(table: ProposalTable, annotation: Annotation) -> frozenset[int]:
    """Raises:
    ValueError: its runs are damaged.
    """
    known = table.covered_by(Mask.empty(annotation.image_width, annotation.image_height), annotation.rle)
    return known or table.covered_by(annotation.mask())
