"""The current object of every image is kept in the project."""

from __future__ import annotations

from annotator.domain.project import (
    accept_edit,
    mark_empty_edit,
)
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, annotation, disc

DRAFT = {"points": [[1.5, 2.5, 1]], "box": None, "from_mask": False}
WAITING = {**DRAFT, "accepted": [{"points": [[9.5, 9.5, 1]], "box": None, "accepted_as": 1}]}


def test_every_image_has_its_own_draft(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT, 2: WAITING})
    store.save_drafts({3: DRAFT})
    with ProjectStore.open(store.path, read_only=True) as other:
        assert [other.draft(image_id) for image_id in (1, 2, 3)] == [DRAFT, WAITING, DRAFT]
        assert other.draft_counts() == {1: 1, 2: 2, 3: 1}
    store.save_drafts({1: None, 3: WAITING})
    assert [store.draft(image_id) for image_id in (1, 2, 3)] == [None, WAITING, WAITING]


def test_an_object_and_what_is_in_work_behind_it_are_written_together(store: ProjectStore) -> None:
    store.save_drafts({1: WAITING, 2: DRAFT})
    seen: list[tuple[int, object]] = []
    made = annotation(store, 1, disc(20, 20, 9))
    with ProjectStore.open(store.path, read_only=True) as other:
        # What another sees between any two statements of the writer is what a crash there would leave.
        store._connection.set_trace_callback(lambda _sql: seen.append((len(other.annotations(1)), other.draft(1))))
        store.apply(accept_edit(made, store.image(1)), kept={1: DRAFT})
        store._connection.set_trace_callback(None)
        seen.append((len(other.annotations(1)), other.draft(1)))
    assert len(seen) > 4
    assert [one for one in seen if one not in ((0, WAITING), (1, DRAFT))] == []
    assert store.draft(2) == DRAFT


def test_an_import_ends_no_draft(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT})
    accept(store, 1, disc(20, 20, 9))
    assert store.draft(1) == DRAFT


def test_marking_an_image_empty_ends_its_draft_and_undo_brings_it_back(store: ProjectStore) -> None:
    made = accept(store, 1, disc(20, 20, 9))
    store.save_drafts({1: WAITING, 2: DRAFT})
    store.apply(mark_empty_edit(store.image(1), (made,)))
    assert store.draft_counts() == {2: 1}
    store.undo()
    assert (store.draft(1), store.annotations(1)) == (WAITING, [made])
    store.save_drafts({1: DRAFT})
    store.redo()
    assert store.draft_counts() == {2: 1}
    store.undo()
    assert store.draft(1) == DRAFT  # as it was before the redo
    store.redo()
    store.save_drafts({1: WAITING})
    store.undo()
    assert store.draft(1) == WAITING  # what was begun since is worth more


def test_a_draft_that_cannot_be_read_is_not_in_the_way(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT})
    store._connection.execute("UPDATE image_draft SET data = 'no JSON'")
    assert store.draft(1) == {}
    assert store.draft_counts() == {1: 1}
    store.save_drafts({1: DRAFT})
    store.apply(mark_empty_edit(store.image(1), ()))
    store._connection.execute("UPDATE edit SET drafts = 'no JSON'")
    assert store.undo() is not None
    assert store.draft_counts() == {}
