"""Going through the proposals of an image: what is shown, which is the current one, what was dropped or covered.

Pure: every step gives a new value. What an object covers is not deleted but counted as covered by that object, so that
a step back brings the proposals back with no further ado.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain

from annotator.domain.proposals.table import Limits, ProposalTable


class Walk(StrEnum):
    """The order in which the keys go through them."""

    SCORE = "score"
    READING = "reading"


@dataclass(frozen=True, slots=True, eq=False)
class ProposalReview:
    """The proposals of one image as the person goes through them. Make it by :meth:`of`, change it by the others.

    Attributes:
        dropped: ids that the person does not want.
        covered: by annotation id, the proposals that this object covers.
        current: the id that keys are about; 0 for none.
        shown: ids in the order of the walk.
    """

    table: ProposalTable = field(default_factory=ProposalTable)
    dropped: frozenset[int] = frozenset()
    covered: Mapping[int, frozenset[int]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    walk: Walk = Walk.SCORE
    current: int = 0
    shown: tuple[int, ...] = ()

    @property
    def gone(self) -> frozenset[int]:
        return self.dropped.union(*self.covered.values())

    @property
    def open_count(self) -> int:
        """How many wait for the person, shown or not."""
        return len(self.table) - len(self.gone & self.table.index.keys())

    # --- steps --------------------------------------------------------------------------------------------------------

    def with_table(
        self,
        table: ProposalTable,
        *,
        dropped: frozenset[int] | None = None,
        covered: Mapping[int, frozenset[int]] | None = None,
    ) -> ProposalReview:
        """Other proposals, of this image or of another one; those that stay keep what is known of them."""
        stay = self.dropped if dropped is None else dropped
        known = self.covered if covered is None else covered
        return replace(self, table=table, dropped=stay & table.index.keys(), covered=dict(known))._settled()

    def limited(self, limits: Limits) -> ProposalReview:
        return replace(self, limits=limits)._settled()

    def walked_by(self, walk: Walk) -> ProposalReview:
        return replace(self, walk=walk)._settled()

    def drop(self, ids: Collection[int]) -> ProposalReview:
        """The person does not want these; the next one becomes the current one."""
        return replace(self, dropped=self.dropped | (frozenset(ids) & self.table.index.keys()))._settled()

    def bring_back(self, ids: Collection[int] | None = None) -> ProposalReview:
        """Of what was dropped these are open again; None: all."""
        return replace(self, dropped=frozenset() if ids is None else self.dropped - frozenset(ids))._settled()

    def cover(self, found: Mapping[int, frozenset[int]], *, uncovered: Collection[int] = ()) -> ProposalReview:
        """Objects are there, with what they cover; others, by their annotation ids, are there no more."""
        stay = {one: ids for one, ids in self.covered.items() if one not in uncovered}
        return replace(self, covered={**stay, **{one: ids for one, ids in found.items() if ids}})._settled()

    def point(self, proposal_id: int) -> ProposalReview:
        """Make one of those that are shown the current one; 0 for none."""
        return replace(self, current=proposal_id if proposal_id in self.shown else 0)

    def go(self, step: int) -> ProposalReview:
        """The next one of the walk (+1), or the one before (-1), round and round; the first to begin with."""
        if not self.shown:
            return replace(self, current=0)
        if self.current not in self.shown:
            return replace(self, current=self.shown[0 if step > 0 else -1])
        return replace(self, current=self.shown[(self.shown.index(self.current) + step) % len(self.shown)])

    # --- inside -------------------------------------------------------------------------------------------------------

    def _settled(self) -> ProposalReview:
        shown = self.table.shown(self.limits, self.gone)
        if self.walk is Walk.READING:
            shown = self.table.in_reading_order(shown)
        return replace(self, shown=shown, current=self._following(frozenset(shown)))

    def _following(self, shown: frozenset[int]) -> int:
        """The current one, or where it is gone the next of the walk that is still there."""
        if self.current in shown or self.current not in self.shown:
            return self.current if self.current in shown else 0
        at = self.shown.index(self.current)
        return next((one for one in chain(self.shown[at:], self.shown[:at]) if one in shown), 0)
