"""The person of the study drops what is wrong, takes the rest, and is charged for every click and key."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import EverythingStep
from annotator.domain.proposals.remembered import FIRST_LIMITS
from annotator.studies.actions_study import WORTH_ANOTHER, Crowd, counts, for_all, reviewed

SIDE, SIZE = 200, 20
IMAGE: Any = SimpleNamespace(rgb=np.zeros((SIDE, SIDE, 3), np.uint8), image_key="image")
PLACES = [(x, y) for y in (10, 60, 110, 160) for x in (10, 60, 110, 160)]


def square(x: int, y: int, size: int = SIZE) -> Mask:
    return Mask(np.ones((size, size), np.bool_), x, y, SIDE, SIDE)


def proposal(mask: Mask, score: float) -> Proposal:
    return Proposal(mask, score, 0.9, (0.0, 0.0), Region(0, 0, SIDE, SIDE))


def test_what_is_wrong_goes_and_what_lies_behind_it_is_looked_at_too() -> None:
    """Two nuclei at once, and behind that each of them; a speck; the same one again; and one that nobody annotated."""
    crowd = Crowd(IMAGE, [square(x, y) for x, y in PLACES[:2]])
    both = Mask(np.ones((SIZE, 70), np.bool_), 10, 10, SIDE, SIDE)
    found = [
        proposal(both, 0.9),
        *(proposal(square(x + 1, y), 0.7) for x, y in PLACES[:2]),
        proposal(square(150, 100, 5), 0.8),
        proposal(square(*PLACES[7]), 0.65),
        proposal(square(*PLACES[9]), 0.5),
    ]
    made = reviewed(crowd, found, FIRST_LIMITS)
    assert [mask.area for mask in made.dropped] == [both.area, 25]
    assert (made.found, crowd.missing, len(made.right)) == (2, 0, 3)
    assert [mask.bbox_xywh for mask in crowd.unknown] == [(*PLACES[7], SIZE, SIZE)]
    again = reviewed(crowd, [proposal(square(*PLACES[0]), 0.9), proposal(both, 0.9)], FIRST_LIMITS, made.dropped)
    assert (len(again.dropped), again.right, again.found) == (1, (), 0)


def test_the_score_is_raised_where_that_saves_actions() -> None:
    specks = [proposal(square(40, 5 + 12 * at, 5), 0.62) for at in range(4)]
    right = [proposal(square(*place), 0.8) for place in PLACES[:3]]
    masks = [square(*place) for place in PLACES[:3]]
    raised = reviewed(Crowd(IMAGE, masks), [*specks, *right], FIRST_LIMITS)
    assert (raised.presses, raised.dropped, len(raised.right), raised.actions) == (1, (), 3, 1 + 1)
    stays = reviewed(Crowd(IMAGE, masks), [specks[0], *right], FIRST_LIMITS)
    assert (stays.presses, len(stays.dropped), stays.actions) == (0, 1, 1 + 1)


class Likeness:
    """Finds so many of the places and a speck by the first search, then two more places."""

    def __init__(self, first: int) -> None:
        self.questions: list[Any] = []
        self._first = first

    def steps(self, _embedding: Any, _image: Any, _key: str, question: Any, known: list[Mask]) -> Any:
        self.questions.append(question)
        assert len(known) == (2 if len(self.questions) == 1 else 2 + self._first)
        if len(self.questions) == 1:
            places, speck = PLACES[2 : 2 + self._first], (proposal(square(80, 85, 6), 0.45),)
        else:
            places, speck = PLACES[2 + self._first : 4 + self._first], ()
        found = tuple(proposal(square(*place), 0.5) for place in places)
        yield EverythingStep(1, 1, (*found, *speck), is_last=True)


def counted(first: int) -> tuple[Counter[str], list[Any]]:
    """By everything two objects of 15 and a speck are found."""
    crowd = Crowd(IMAGE, [square(*place) for place in PLACES[:15]])
    found = tuple(proposal(square(*place), 0.8) for place in PLACES[:2])
    step = EverythingStep(1, 1, (*found, proposal(square(40, 40, 5), 0.7)), is_last=True)
    likeness = Likeness(first)
    segmenter = SimpleNamespace(
        encode=lambda *_: None, everything=lambda *_: iter([step]), everything_settings=None, likeness=likeness
    )
    return counts(segmenter, crowd), likeness.questions


def test_actions_are_counted() -> None:
    """A search that brings few is the last."""
    row, questions = counted(WORTH_ANOTHER - 1)
    assert (row["dropped"], row["missing"], row["actions"]) == (1, 13, 1 + 1 + 1 + 2 * 13)
    assert (row["like_found"], row["like_dropped"], row["like_missing"]) == (7, 1, 6)
    assert row["like_actions"] == (1 + 1 + 1) + (1 + 1 + 1) + 2 * 6
    assert row["objects"] == row["like_objects"] == 15
    assert [len(one.examples[0].masks) for one in questions] == [2]
    assert questions[0].examples[0].unlike == ()  # of what was found by examples nothing was dropped yet


def test_a_search_that_brings_many_is_followed_by_another() -> None:
    row, questions = counted(WORTH_ANOTHER)
    assert (row["searches"], row["like_found"], row["like_dropped"], row["like_missing"]) == (2, 10, 1, 3)
    assert row["like_actions"] == (1 + 1 + 1) + (1 + 1 + 1) + (1 + 1) + 2 * 3
    assert [len(one.examples[0].masks) for one in questions] == [2, 10]
    assert [mask.area for mask in questions[1].examples[0].unlike] == [36]


def test_what_nobody_annotated_is_missing_as_often_as_the_rest() -> None:
    row = Counter(annotated=80, missing=20, objects=110, actions=12 + 2 * 20)
    assert for_all(row) == Counter(objects=120, actions=12 + 2 * 30)
    assert for_all(Counter(annotated=4, missing=4, objects=4, actions=10)) == Counter(objects=4, actions=10)
