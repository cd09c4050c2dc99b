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
from annotator.studies.actions_study import Crowd, counts, for_all, reviewed

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


class Likeness:
    """Finds the next three of the places."""

    def steps(self, _embedding: Any, _image: Any, _key: str, question: Any, known: list[Mask]) -> Any:
        assert len(question.examples[0].masks) == len(known) == 10
        assert len(question.examples[0].unlike) == 1
        found = tuple(proposal(square(*place), 0.5) for place in PLACES[10:13])
        yield EverythingStep(1, 1, (*found, proposal(square(80, 85, 6), 0.45)), is_last=True)


def test_actions_are_counted() -> None:
    crowd = Crowd(IMAGE, [square(*place) for place in PLACES[:15]])
    found = tuple(proposal(square(*place), 0.8) for place in PLACES[:10])
    step = EverythingStep(1, 1, (*found, proposal(square(40, 40, 5), 0.7)), is_last=True)
    segmenter = SimpleNamespace(
        encode=lambda *_: None, everything=lambda *_: iter([step]), everything_settings=None, likeness=Likeness()
    )
    row = counts(segmenter, crowd)
    assert (row["dropped"], row["missing"], row["actions"]) == (1, 5, 1 + 1 + 1 + 2 * 5)
    assert (row["like_found"], row["like_dropped"], row["like_missing"]) == (3, 1, 2)
    assert row["like_actions"] == (1 + 1 + 1) + (1 + 1 + 1) + 2 * 2
    assert row["objects"] == row["like_objects"] == 15


def test_what_nobody_annotated_is_missing_as_often_as_the_rest() -> None:
    row = Counter(annotated=80, missing=20, objects=110, actions=12 + 2 * 20)
    assert for_all(row) == Counter(objects=120, actions=12 + 2 * 30)
    assert for_all(Counter(annotated=4, missing=4, objects=4, actions=10)) == Counter(objects=4, actions=10)
