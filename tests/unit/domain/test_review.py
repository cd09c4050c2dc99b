"""The order of the review, and when the object score is worth a hint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.object_score import LEAST_BOX_LOGIT, LEAST_CLICK_LOGIT, sees_no_object
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.review import ReviewedObject, ReviewOrder

SCORES = st.one_of(st.none(), st.floats(0, 1))


def objects(*scores: float | None) -> list[ReviewedObject]:
    return [ReviewedObject(number, number * 10, score) for number, score in enumerate(scores, 1)]


def walk(order: ReviewOrder) -> list[int]:
    found, place = [], None
    while (following := order.after(place)) is not None:
        found.append(following.annotation_id)
        place = following.place
    return found


def test_the_least_certain_come_first_and_those_without_a_score_last() -> None:
    order = ReviewOrder(objects(0.9, None, 0.2, 0.9, 0.0, None))
    assert walk(order) == [5, 3, 1, 4, 2, 6]
    first = order.after(None)
    assert first is not None
    assert (order.rank(first), first.image_id, len(order)) == (1, 50, 6)
    last = order.before(None)
    assert last is not None
    assert (last.annotation_id, order.rank(last)) == (6, 6)
    assert order.after(last.place) is None
    assert order.before(first.place) is None


def test_an_empty_project_has_nothing_to_review() -> None:
    order = ReviewOrder()
    assert (order.after(None), order.before(None), len(order), order.remove(1)) == (None, None, 0, False)


def test_a_walk_goes_on_where_the_object_was() -> None:
    order = ReviewOrder(objects(0.5, 0.1, 0.3))
    place = objects(0.5, 0.1)[1].place
    assert order.remove(2)  # deleted while it was looked at
    following = order.after(place)
    assert following is not None
    assert following.annotation_id == 3
    order.put(ReviewedObject(3, 30, 0.95))  # refined: it is trusted now
    following = order.after(following.place)
    assert following is not None
    assert following.annotation_id == 1
    assert walk(order) == [1, 3]


@given(st.lists(SCORES, max_size=12), st.lists(st.tuples(st.integers(1, 14), SCORES, st.booleans()), max_size=20))
def test_changes_lead_to_the_order_that_a_new_reading_gives(
    scores: list[float | None], changes: list[tuple[int, float | None, bool]]
) -> None:
    order, rows = ReviewOrder(objects(*scores)), {found.annotation_id: found for found in objects(*scores)}
    for annotation_id, score, is_removed in changes:
        if is_removed:
            assert order.remove(annotation_id) is (rows.pop(annotation_id, None) is not None)
        else:
            rows[annotation_id] = ReviewedObject(annotation_id, 7, score)
            order.put(rows[annotation_id])
    assert walk(order) == walk(ReviewOrder(rows.values()))
    backwards, place = [], None
    while (found := order.before(place)) is not None:
        backwards.append(found.annotation_id)
        place = found.place
    assert backwards == walk(order)[::-1]


CLICK, BOX = PointPrompt(5, 5), Box(1, 1, 9, 9)


@pytest.mark.parametrize(
    ("prompts", "limit"),
    [(Prompts((CLICK,)), LEAST_CLICK_LOGIT), (Prompts(box=BOX), LEAST_BOX_LOGIT)],
)
def test_a_first_prompt_can_be_doubted(prompts: Prompts, limit: float) -> None:
    assert sees_no_object(prompts, limit - 0.01)
    assert not sees_no_object(prompts, limit)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts((CLICK, CLICK)),
        Prompts((CLICK,), BOX),
        Prompts((PointPrompt(5, 5, is_positive=False),)),
        Prompts(base_mask=Mask.empty(9, 9)),
        Prompts(box=BOX, base_mask=Mask.empty(9, 9)),
        Prompts(),
    ],
)
def test_whoever_goes_on_is_right(prompts: Prompts) -> None:
    assert not sees_no_object(prompts, -30.0)
