"""What the person takes and drops teaches at once: what looks like it goes up or down, without a look at the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from annotator.domain.likeness.describe import Vectors, spread
from annotator.domain.proposals.review import ProposalReview

STRENGTH = 0.2
"""So much, at most, a score changes."""
NEAR = 0.5
"""A scalar product of this and less says nothing."""
TRUSTED_SHARE = 0.2
"""Of the open ones, the best: as long as nothing was taken they stand for what is wanted."""


class Lessons:
    """What was taken and dropped in one image. ``looks`` says by id how proposals look; empty teaches nothing."""

    def __init__(self) -> None:
        self.looks: Mapping[int, Vectors] = {}
        self._last: object = None

    def learned(self, looks: Mapping[int, Vectors], review: ProposalReview) -> ProposalReview:
        """They were looked at; the review as it is."""
        self.looks = looks
        return review

    def applied(self, review: ProposalReview) -> ProposalReview:
        """In the order that follows from all that was taken and dropped so far; itself when nothing has changed."""
        taken, dropped = review.gone - review.dropped, review.dropped
        lesson = (review.table.items, taken, dropped)
        if not self.looks or lesson == self._last:
            return review
        self._last = lesson
        scores = {one.id: one.score for one in review.table.items}
        return review.with_table(review.table.rescored(taught(scores, self.looks, taken, dropped)))


def taught(
    scores: Mapping[int, float], vectors: Mapping[int, Vectors], taken: Collection[int], dropped: Collection[int]
) -> dict[int, float]:
    """Scores after the person has decided about some.

    Each of the others is compared with the nearest that was taken and the nearest that was dropped. Where nothing was
    taken yet, only what is nearer to something dropped than to the best of those that are open goes down, by the
    difference: a part of a nucleus that is dropped looks much like all nuclei do.

    Args:
        scores: of all proposals, by id, as the model rated them.
        vectors: how they look; those without one keep their score.
    """
    ids = [one for one in scores if one in vectors]
    good, bad = ([one for one in some if one in vectors] for some in (taken, dropped))
    if not ids or not (good or bad):
        return dict(scores)
    units = dict(zip(ids, spread(np.stack([vectors[one] for one in ids])), strict=True))
    rows = np.stack([units[one] for one in ids])
    if good:
        change = STRENGTH * (_nearness(rows, units, good) - _nearness(rows, units, bad))
    else:
        trusted = _trusted(scores, [one for one in ids if one not in bad])
        change = STRENGTH * np.minimum(_nearness(rows, units, trusted, ids) - _nearness(rows, units, bad), 0)
    decided = {*good, *bad}
    moved = {one: min(max(scores[one] + float(by), 0.0), 1.0) for one, by in zip(ids, change, strict=True)}
    return {one: score if one in decided else moved.get(one, score) for one, score in scores.items()}


def _trusted(scores: Mapping[int, float], open_ids: Sequence[int]) -> list[int]:
    best_first = sorted(open_ids, key=lambda one: (-scores[one], one))
    return best_first[: math.ceil(TRUSTED_SHARE * len(best_first))]


def _nearness(
    rows: Vectors, units: Mapping[int, Vectors], some: Sequence[int], ids: Sequence[int] = ()
) -> npt.NDArray[np.float32]:
    """0 for what is unlike all of them, to 1 for the same. With the ids of the rows none is compared with itself."""
    if not some:
        return np.zeros(len(rows), np.float32)
    alike = rows @ np.stack([units[one] for one in some]).T
    if ids:
        place = {one: at for at, one in enumerate(ids)}
        alike[[place[one] for one in some], range(len(some))] = -1
    return np.asarray(np.clip((alike.max(1) - NEAR) / (1 - NEAR), 0, 1), np.float32)
