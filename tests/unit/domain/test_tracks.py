"""Tracks: which of their frames are keys, doubtful, or the last before they were lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotator.domain.copies import moved
from annotator.domain.mask import Mask
from annotator.domain.object_edits import by_hand, split_edit
from annotator.domain.project import Annotation, Review
from annotator.domain.tracks.track import PROPAGATED, TrackMember, is_key, lost_after, tracks_of


def square(x: int = 2, y: int = 2, side: int = 4) -> Mask:
    full = np.zeros((20, 20), np.bool_)
    full[y : y + side, x : x + side] = True
    return Mask.from_full(full)


def carried(**fields: object) -> Annotation:
    blank = Annotation(1, 1, 1, 0, 0, 0, 0, 0, b"", 20, 20, origin=PROPAGATED, score=0.9, track_id=3)
    return replace(blank.with_mask(square()), **fields)  # type: ignore[arg-type]


def member(position: int, **fields: object) -> TrackMember:
    return replace(TrackMember(position + 1, position + 1, 3, 1, position, False, 0.9), **fields)  # type: ignore[arg-type]


def test_a_carried_mask_is_no_key_until_a_person_answers_for_it() -> None:
    assert not is_key(carried())
    assert is_key(carried(origin="click"))
    assert is_key(carried(review=Review.APPROVED))
    assert not is_key(carried(review=Review.REWORK))


def test_every_change_by_hand_makes_a_key_of_the_same_track() -> None:
    row = carried()
    pushed = moved(row, square(), 3, 0)
    assert pushed is not None
    for changed in (by_hand(row, square(5)), pushed):
        assert is_key(changed)
        assert changed.track_id == 3


def test_moving_what_a_person_made_keeps_where_it_came_from() -> None:
    row = replace(carried(), origin="click", score=0.8)
    pushed = moved(row, square(), 3, 0)
    assert pushed is not None
    assert (pushed.origin, pushed.score) == ("click", 0.8)


def test_of_an_object_that_is_split_one_part_stays_in_the_track() -> None:
    parts = [change.after for change in split_edit([(carried(), (square(), square(10)), (8,))]).changes]
    assert [part.track_id for part in parts if isinstance(part, Annotation)] == [3, 0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"score": 0.69}, True),
        ({"score": None}, True),
        ({"is_key": True, "score": None}, False),
        ({"is_key": True, "lost": frozenset({1})}, True),
    ],
)
def test_what_needs_a_look(fields: dict[str, object], expected: bool) -> None:
    assert member(4, **fields).needs_a_look is expected


def test_the_next_key_in_a_direction() -> None:
    (track,) = tracks_of([member(at, is_key=at in (2, 9)) for at in range(12)]).values()
    assert track.keys == (2, 9)
    assert track.key_beyond(2, 1) == 9
    assert track.key_beyond(2, -1) is None
    assert track.key_beyond(5, -1) == 2


def test_of_several_objects_on_an_image_the_key_counts_then_the_largest() -> None:
    many = [member(0, annotation_id=1, area=50), member(0, annotation_id=2, area=70), member(1, area=9)]
    (track,) = tracks_of(many).values()
    assert track.members[0].annotation_id == 2
    (track,) = tracks_of([*many, member(0, annotation_id=3, is_key=True, area=1)]).values()
    assert track.members[0].annotation_id == 3


@pytest.mark.parametrize(("extra", "expected"), [({}, set()), ({"lost": [1]}, {1}), ({"lost": "x"}, set())])
def test_where_a_track_was_lost(extra: dict[str, object], expected: set[int]) -> None:
    assert lost_after(extra) == expected
