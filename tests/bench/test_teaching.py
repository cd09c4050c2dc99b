"""What is dropped teaches at once: how long the new order of 500 proposals takes. The figure belongs to the machine."""

from __future__ import annotations

import time

import numpy as np
import pytest

from annotator.domain.likeness.describe import LENGTH
from annotator.domain.mask import Mask
from annotator.domain.proposals.review import ProposalReview
from annotator.domain.proposals.table import KeptProposal, ProposalTable
from annotator.domain.proposals.teaching import Lessons
from tests.bench.interleaved import percentiles

pytestmark = pytest.mark.bench

PROPOSALS, DROPPED = 500, 60
SIDE_PX = 12


def test_five_hundred_proposals_are_ordered_anew_after_each_that_is_dropped() -> None:
    rng = np.random.default_rng(0)
    items = []
    for at in range(PROPOSALS):
        x, y = int(rng.integers(0, 500)), int(rng.integers(0, 400))
        mask = Mask(np.ones((SIDE_PX, SIDE_PX), np.bool_), x, y, 600, 500)
        items.append(KeptProposal(at + 1, mask, mask.rle(), float(rng.uniform(0.4, 1)), source="like"))
    lessons, review = Lessons(), ProposalReview().with_table(ProposalTable(items), dropped=frozenset(), covered={})
    looks = {item.id: rng.normal(size=LENGTH).astype(np.float32) for item in items}
    review = lessons.learned(looks, review)
    ms = []
    for _ in range(DROPPED):
        before = review
        started = time.thread_time()
        review = lessons.applied(review.drop([review.shown[0]]))
        ms.append((time.thread_time() - started) * 1e3)
        assert review.table is not before.table
    assert len(review.dropped) == DROPPED
    print(f"\n{PROPOSALS} proposals, one dropped: {percentiles(ms)}")
