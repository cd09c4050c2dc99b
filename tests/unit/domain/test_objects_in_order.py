"""Objects by id: found, replaced, added and taken away, as a look at all of them would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain import objects_in_order
from annotator.domain.objects_in_order import found_among, places_among, with_objects
from annotator.domain.project import Annotation

ids = st.sets(st.integers(1, 30), max_size=12)


def row(object_id: int, category_id: int = 1) -> Annotation:
    return Annotation(object_id, 1, category_id, 0, 0, 1, 1, 1, b"", 9, 9)


@given(ids, ids, ids, st.sampled_from((0, 10**6)))
def test_as_a_look_at_all_of_them(here: set[int], changed: set[int], gone: set[int], steps: int) -> None:
    rows = tuple(row(one) for one in sorted(here))
    with pytest.MonkeyPatch.context() as patched:  # a search for each, and a look at all
        patched.setattr(objects_in_order, "_SEARCH_STEPS", steps)
        found, places = found_among(rows, changed), places_among(rows, changed)
    assert [one.id for one in found] == sorted(here & changed)
    assert [rows[place].id for place in places] == sorted(here & changed)
    fresh = {one: None if one in gone else row(one, 2) for one in changed | gone}
    expected = {one.id: one for one in rows} | {one: new for one, new in fresh.items() if new is not None}
    left = [expected[one] for one in sorted(expected) if fresh.get(one, expected[one]) is not None]
    assert list(with_objects(rows, fresh)) == left
    assert all(new is old for new in with_objects(rows, {}) for old in rows if new.id == old.id)
