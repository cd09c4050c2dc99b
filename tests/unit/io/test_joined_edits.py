"""Edits of a run become one step back, whatever was done between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.domain.project import Edit, RowChange, Status, accept_edit, status_edit
from annotator.io.project.joined_edits import join_edits
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, annotation, disc, document, image_folder

RUN = "carry “car” forward"


@pytest.fixture
def store(tmp_path: Path):
    with ProjectStore.open_folder(image_folder(tmp_path, ("1.png", "2.png", "3.png", "4.png"))) as opened:
        yield opened


def carried_to(store: ProjectStore, image_id: int) -> int:
    """A piece of a run; the number of its edit."""
    made = annotation(store, image_id, disc(20 + image_id, 20, 5), track_id=1, origin="propagated")
    store.apply(replace(accept_edit(made, store.image(image_id)), name=RUN))
    return store.edit_mark()[0]


def test_a_step_back_takes_all_of_it_and_forward_brings_it(store: ProjectStore) -> None:
    accept(store, 1, disc(20, 20, 5), track_id=1)
    before = document(store)
    numbers = [carried_to(store, image_id) for image_id in (2, 3, 4)]
    after = document(store)
    assert join_edits(store, numbers, RUN) == 3
    assert store.undo_name == RUN
    store.undo()
    assert document(store) == before
    store.redo()
    assert document(store) == after


def test_what_a_person_did_meanwhile_is_taken_back_before_it(store: ProjectStore) -> None:
    before = document(store)
    numbers = [carried_to(store, 1)]
    store.apply(status_edit(store.image(1), Status.DONE))
    mine = accept(store, 4, disc(40, 20, 5))
    numbers.append(carried_to(store, 2))
    join_edits(store, numbers, RUN)
    assert store.undo_name == "accept object"
    store.undo()
    assert mine.id not in {row.id for row in store.all_annotations()}
    store.undo()
    assert store.undo_name == RUN
    store.undo()
    assert document(store) == before


def test_an_edit_that_was_not_noted_belongs_to_it(store: ProjectStore) -> None:
    before = document(store)
    numbers = [carried_to(store, image_id) for image_id in (1, 2, 3)]
    join_edits(store, numbers[:1], RUN)
    store.undo()
    assert document(store) == before


def test_one_edit_or_none_is_left_as_it_is(store: ProjectStore) -> None:
    number = carried_to(store, 1)
    assert join_edits(store, [number], RUN) == 0
    assert join_edits(store, [], RUN) == 0
    assert join_edits(store, [999], RUN) == 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(10, 50)), min_size=2, max_size=8))
def test_any_mixture_comes_back_step_by_step(store: ProjectStore, steps: list[tuple[bool, int, int]]) -> None:
    """A run that carries to images and carries over what it carried, and a person who does other things."""
    while store.undo() is not None:
        pass
    before, numbers, own = document(store), [], 0
    made: dict[int, int] = {}
    for is_run, image_id, x in steps:
        if not is_run:
            accept(store, image_id, disc(x, 20, 4))
            own += 1
        elif image_id in made:
            row = store.annotation(made[image_id])
            store.apply(Edit(RUN, (RowChange(row, row.with_mask(disc(x, 30, 6))),)))
            numbers.append(store.edit_mark()[0])
        else:
            numbers.append(carried_to(store, image_id))
            made[image_id] = max(row.id for row in store.annotations(image_id))
    after = document(store)
    join_edits(store, numbers, RUN)
    back = 0
    while store.undo() is not None:
        back += 1
    assert back == own + (1 if numbers else 0)
    assert document(store) == before
    while store.redo() is not None:
        pass
    assert document(store) == after
