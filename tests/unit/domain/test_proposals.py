"""Proposals: what is shown of them, what covers them, the way of the keys through them, what they become."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE
from annotator.domain.project import Annotation, ImageRecord, Status
from annotator.domain.proposals.gather import Finder, Gathering, covered_by_objects
from annotator.domain.proposals.remembered import FIRST_LIMITS, as_text, from_text
from annotator.domain.proposals.review import ProposalReview, Walk
from annotator.domain.proposals.table import KeptProposal, Limits, ProposalTable
from annotator.domain.proposals.taking import take_edit

WIDTH, HEIGHT = 60, 40


def block(x: int, y: int, w: int, h: int) -> Mask:
    return Mask(np.ones((h, w), np.bool_), x, y, WIDTH, HEIGHT)


def proposal(number: int, mask: Mask, score: float = 0.9, source: str = "everything") -> KeptProposal:
    return KeptProposal(number, mask, mask.rle(), score, source, facts='{"stability": 0.8}')


def annotation(number: int, mask: Mask) -> Annotation:
    return Annotation(number, 1, 1, *mask.bbox_xywh, mask.area, mask.rle(), mask.width, mask.height)


def reviewed(*items: KeptProposal) -> ProposalReview:
    return ProposalReview().with_table(ProposalTable(items))


blocks = st.builds(block, st.integers(0, 40), st.integers(0, 25), st.integers(1, 20), st.integers(1, 15))
scores = st.integers(0, 20).map(lambda n: n / 20)
tables = st.lists(st.tuples(blocks, scores), max_size=9).map(
    lambda rows: ProposalTable(proposal(at + 1, mask, score) for at, (mask, score) in enumerate(rows))
)
limits = st.builds(Limits, scores, st.integers(0, 50), st.integers(51, 400), scores)


@given(tables, limits, st.sets(st.integers(1, 9)))
def test_what_is_shown_keeps_to_the_limits_and_hides_nothing_without_a_reason(
    table: ProposalTable, limits: Limits, gone: set[int]
) -> None:
    shown = table.shown(limits, gone)
    assert sorted(shown, key=lambda one: (-table[one].score, one)) == list(shown)
    within = [
        item
        for item in table.items
        if item.id not in gone
        and item.score >= limits.least_score
        and limits.least_area_px <= item.mask.area <= limits.most_area_px
    ]
    assert set(shown) <= {item.id for item in within}

    def share(a: KeptProposal, b: KeptProposal) -> float:
        return a.mask.intersection_area(b.mask) / min(a.mask.area, b.mask.area)

    for item in within:
        better = [table[one] for one in shown if (table[one].score, -one) > (item.score, -item.id)]
        is_hidden = limits.most_overlap < 1 and any(share(item, one) > limits.most_overlap for one in better)
        assert (item.id in shown) is not is_hidden


@given(tables, blocks)
def test_an_object_covers_what_lies_in_it_by_half_and_runs_say_the_same_as_pixels(
    table: ProposalTable, mask: Mask
) -> None:
    expected = {item.id for item in table.items if mask.intersection_area(item.mask) >= 0.5 * item.mask.area}
    assert table.covered_by(mask) == expected
    for item in table.items:
        assert table.has_runs(item.rle)
        assert table.covered_by(Mask.empty(WIDTH, HEIGHT), item.rle) == table.covered_by(item.mask)


@given(tables, st.data())
def test_a_later_table_knows_what_the_one_before_knew(table: ProposalTable, data: st.DataObject) -> None:
    kept = [item for item in table.items if data.draw(st.booleans())]
    more = [proposal(100 + at, mask) for at, mask in enumerate(data.draw(st.lists(blocks, max_size=3)))]
    both = [*more, *kept]
    limits = Limits(most_overlap=data.draw(scores))
    later = ProposalTable(both, before=table)
    assert later.shown(limits) == ProposalTable(both).shown(limits)
    assert later._meets == ProposalTable(both)._meets


def test_masks_of_another_size_cover_nothing() -> None:
    table = ProposalTable([proposal(1, block(0, 0, 5, 5))])
    other = Mask(np.ones((9, 9), np.bool_), 0, 0, WIDTH + 1, HEIGHT)
    assert table.covered_by(other) == table.like(other) == frozenset()
    assert ProposalTable().covered_by(block(0, 0, 5, 5)) == frozenset()


def test_a_ring_takes_what_lies_in_it_by_more_than_half() -> None:
    table = ProposalTable(
        [proposal(1, block(2, 2, 8, 8)), proposal(2, block(14, 2, 8, 8)), proposal(3, block(30, 20, 8, 8))]
    )
    left = [(0, 0), (17, 0), (17, 12), (0, 12)]
    assert table.in_ring(left, (1, 2, 3)) == {1}
    assert table.in_ring([(0, 0), (19, 0), (19, 12), (0, 12)], (1, 2, 3)) == {1, 2}
    assert table.in_ring([(0, 0), (19, 0), (19, 12), (0, 12)], (2,)) == {2}
    assert table.in_ring([(-500, -500), (900, -500), (900, 900), (-500, 900)], (1, 2, 3)) == {1, 2, 3}
    triangle = [(30.0, 20.0), (39.0, 20.0), (30.0, 29.0)]
    assert table.in_ring(triangle, (1, 2, 3)) == {3}
    assert table.in_ring([(1, 1), (2, 2)], (1, 2, 3)) == frozenset()


def test_a_ring_in_an_image_that_is_larger_than_what_it_is_drawn_at() -> None:
    wide = [Mask(np.ones((100, 100), np.bool_), x, 50, 9000, 300) for x in (100, 4000, 8000)]
    table = ProposalTable(KeptProposal(at + 1, mask, mask.rle(), 0.5) for at, mask in enumerate(wide))
    assert table.in_ring([(3900, 0), (8030, 0), (8030, 299), (3900, 299)], (1, 2, 3)) == {2}


def test_reading_order_goes_line_by_line() -> None:
    places = [(40, 3), (2, 1), (20, 0), (30, 20), (1, 22)]
    table = ProposalTable(proposal(at + 1, block(x, y, 6, 6)) for at, (x, y) in enumerate(places))
    assert table.in_reading_order((1, 2, 3, 4, 5)) == (2, 3, 1, 5, 4)
    assert table.in_reading_order(()) == ()


def test_keys_go_round_and_the_next_one_follows_what_is_taken_or_dropped() -> None:
    review = reviewed(*(proposal(n, block(10 * n, 0, 5, 5), 1 - n / 10) for n in (1, 2, 3)))
    assert review.shown == (1, 2, 3)
    assert [review.go(+1).current, review.go(-1).current] == [1, 3]
    assert review.go(+1).go(+1).go(+1).go(+1).current == 1
    second = review.point(2)
    assert second.drop({2}).current == 3
    assert second.drop({2, 3}).current == 1
    assert second.drop({1, 2, 3}).current == 0
    assert second.drop({2}).bring_back().shown == (1, 2, 3)
    assert second.drop({2}).drop({3}).bring_back({3}).shown == (1, 3)
    assert second.cover({7: frozenset({2})}).current == 3
    assert review.point(9).current == 0


def test_what_an_object_covers_is_back_when_the_object_is_gone() -> None:
    review = reviewed(proposal(1, block(0, 0, 6, 6)), proposal(2, block(20, 0, 6, 6)))
    covered = review.cover({5: frozenset({1}), 6: frozenset({1, 2})})
    assert (covered.shown, covered.open_count) == ((), 0)
    assert covered.cover({}, uncovered=[6]).shown == (2,)
    assert covered.cover({6: frozenset({2})}, uncovered=[5, 6]).shown == (1,)
    assert covered.cover({}, uncovered=[5, 6]).shown == (1, 2)


def test_another_table_keeps_what_was_dropped_of_it() -> None:
    one, two = proposal(1, block(0, 0, 6, 6)), proposal(2, block(20, 0, 6, 6))
    review = reviewed(one, two).drop({1, 2})
    again = review.with_table(ProposalTable([two, proposal(3, block(40, 0, 6, 6))]))
    assert (again.dropped, again.shown) == ({2}, (3,))
    assert review.with_table(ProposalTable([one]), dropped=frozenset()).shown == (1,)
    assert review.walked_by(Walk.READING).limited(Limits(0.95)).shown == ()


@dataclass(frozen=True, eq=False)
class Found:
    mask: Mask
    predicted_iou: float = 0.8
    stability_score: float = 0.9


def test_answers_become_proposals_with_ids_that_stay() -> None:
    gathering = Gathering(ProposalTable(), frozenset(), Finder("everything", "nano", "abc", "a@1"))
    first, second = Found(block(0, 0, 6, 6)), Found(block(20, 0, 6, 6), predicted_iou=1.3)
    table = gathering.add([first])
    assert (table.items[0].id, table.items[0].model, table.items[0].adapter) == (1, "nano", "a@1")
    later = gathering.add([second, first])
    assert {item.id: item.score for item in later.items} == {1: 0.8, 2: 1.0}
    assert later[1] is table[1]
    assert [item.id for item in gathering.add([second]).items] == [2]
    assert not len(gathering.add([Found(Mask.empty(WIDTH, HEIGHT))]))


def test_what_was_dropped_does_not_come_again_and_other_finders_stay() -> None:
    dropped, own, other = (
        proposal(4, block(0, 0, 8, 8)),
        proposal(5, block(20, 0, 8, 8)),
        proposal(6, block(40, 0, 8, 8), source="like"),
    )
    gathering = Gathering(ProposalTable([dropped, own, other]), frozenset({4}), Finder("everything"))
    table = gathering.add([Found(block(0, 0, 8, 7)), Found(block(0, 0, 8, 4)), Found(block(20, 0, 8, 8))])
    assert [item.id for item in table.items] == [4, 6, 7, 8]
    assert [table[one].mask.area for one in (7, 8)] == [32, 64]


def test_what_objects_cover_is_told_object_by_object() -> None:
    table = ProposalTable([proposal(1, block(0, 0, 6, 6)), proposal(2, block(20, 0, 6, 6))])
    damaged = annotation(9, block(0, 0, 6, 6))
    damaged = Annotation(9, 1, 1, 0, 0, 6, 6, 36, b"nonsense", WIDTH, HEIGHT)
    rows = [annotation(7, block(0, 0, 6, 6)), annotation(8, block(19, 0, 9, 9)), annotation(10, block(50, 30, 3, 3))]
    assert covered_by_objects(table, [*rows, damaged]) == {7: {1}, 8: {2}}


@pytest.mark.parametrize("count", [1, 3])
def test_taking_is_one_edit_with_all_that_is_known(count: int) -> None:
    items = [proposal(n, block(10 * n, 0, 5, 5), 0.25 * n, source="like") for n in range(1, count + 1)]
    image, ids = ImageRecord(3, "a.png"), iter(range(50, 60))
    edit = take_edit(items, image, category_id=4, new_id=lambda: next(ids), author="me", created_at="now")
    assert edit.name == ("accept proposal" if count == 1 else "accept 3 proposals")
    rows = [change.after for change in edit.changes]
    assert isinstance(rows[-1], ImageRecord)
    assert rows[-1].status is Status.IN_PROGRESS
    first = rows[0]
    assert isinstance(first, Annotation)
    assert (first.id, first.image_id, first.category_id, first.origin) == (50, 3, 4, "like")
    assert (first.score, first.author, first.extra) == (
        *(0.25, "me"),
        {"found": {"source": "like", "score": 0.25, "stability": 0.8}},
    )
    assert first.mask().same_pixels(items[0].mask)
    assert all(change.before is None for change in edit.changes[:-1])


@given(st.builds(Limits, scores, st.integers(0, 50), st.one_of(st.integers(51, 400), st.just(math.inf)), scores))
def test_limits_are_remembered(limits: Limits) -> None:
    assert from_text(as_text(limits, Walk.READING, 0.3)) == (limits, Walk.READING, 0.3)


@pytest.mark.parametrize(
    "text", ["", "[]", '[2, 0, null, 1, "score"]', '[0.5, -1, null, 1, "score"]', '[true, 0, 9, 1, "score"]', "{"]
)
def test_damaged_limits_are_the_first_ones(text: str) -> None:
    assert from_text(text) == (FIRST_LIMITS, Walk.SCORE, LEAST_LIKE_SCORE)
