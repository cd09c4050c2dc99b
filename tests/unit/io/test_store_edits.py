"""Edits of a project: whole or not at all, and back again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.domain.errors import ProjectError
from annotator.domain.project import (
    Edit,
    RowChange,
    Status,
    accept_edit,
    delete_edit,
    status_edit,
)
from annotator.io.project.edit_rows import UNDO_CAP
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, annotation, disc, document


def test_ids_are_never_given_twice(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as first:
        made = [accept(first, 1, disc(20, 20, 3 + n)) for n in range(3)]
        assert [a.id for a in made] == [1, 2, 3]
        first.apply(delete_edit((made[2],)))
        first.apply(first.category_edit("cell"))
        first.undo()
    with ProjectStore.open_folder(folder) as second:
        assert second.new_id("annotation") == 4
        assert second.new_id("annotation") == 5
        assert second.new_id("category") == 3
        assert second.peek_id("image") == 4


def test_undo_keeps_what_reading_the_image_showed(store: ProjectStore) -> None:
    before = store.image(1)
    store.apply(status_edit(before, Status.DONE))
    store.record_image_facts(1, sha256="ab", width=64, height=48, extra={"Modality": "CT"})
    store.undo()
    after = store.image(1)
    assert (after.status, after.sha256, after.width) == (Status.UNSEEN, "ab", 64)
    store.redo()
    assert store.image(1) == replace(after, status=Status.DONE)


def test_an_edit_from_an_old_row_changes_only_what_it_means(store: ProjectStore) -> None:
    old = store.image(1)
    store.record_image_facts(1, sha256="ab", width=64, height=48)
    store.apply(status_edit(store.image(1), Status.DONE))
    store.apply(accept_edit(annotation(store, 1, disc(9, 9, 4)), old))
    assert store.image(1).sha256 == "ab"
    assert store.image(1).status is Status.IN_PROGRESS
    store.undo()
    assert store.image(1).status is Status.DONE


def test_many_rows_are_written_and_taken_back_in_one_step(store: ProjectStore) -> None:
    fresh = [annotation(store, 1 + n % 2, disc(20, 20, 5)) for n in range(1200)]
    edit = Edit("many", tuple(RowChange(None, row) for row in fresh))
    store.apply(edit)
    assert list(store.all_annotations()) == fresh
    gone = Edit("gone", tuple(RowChange(row, None) for row in fresh))
    store.apply(gone)
    assert list(store.all_annotations()) == []
    store.undo()
    assert list(store.all_annotations()) == fresh
    store.undo()
    assert list(store.all_annotations()) == []
    store.redo()
    assert list(store.all_annotations()) == fresh


def test_of_many_rows_one_that_does_not_fit_stops_all(store: ProjectStore) -> None:
    made = accept(store, 1, disc(20, 20, 9))
    before = document(store)
    fresh = [annotation(store, 1, disc(30, 30, 5)) for _ in range(600)]
    with pytest.raises(ValueError, match=f"{made.id} is there already"):
        store.apply(Edit("x", tuple(RowChange(None, row) for row in (*fresh, made))))
    with pytest.raises(ValueError, match="there already"):
        store.apply(Edit("x", tuple(RowChange(None, row) for row in (*fresh, fresh[3]))))
    with pytest.raises(ValueError, match="not there"):
        store.apply(Edit("x", (RowChange(made, None), *(RowChange(row, None) for row in fresh))))
    assert document(store) == before


def test_edits_that_do_not_fit_change_nothing(store: ProjectStore) -> None:
    made = accept(store, 1, disc(20, 20, 9))
    before = document(store)
    fresh = annotation(store, 1, disc(30, 30, 5))
    with pytest.raises(ValueError, match="there already"):
        store.apply(Edit("x", (RowChange(None, fresh), RowChange(None, made))))
    with pytest.raises(ValueError, match="not there"):
        store.apply(Edit("x", (RowChange(None, fresh), RowChange(replace(made, id=77), None))))
    with pytest.raises(ValueError, match="JSON"):
        store.apply(Edit("x", (RowChange(None, replace(fresh, extra={"a": float("nan")})),)))
    with pytest.raises(ProjectError, match="without their class"):
        store.apply(Edit("x", (RowChange(store.categories()[0], None),)))
    assert document(store) == before
    assert store.undo_name == "accept object"
    assert store.apply(Edit("nothing", ())).image_ids == frozenset()
    assert store.undo_name == "accept object"


def test_a_class_can_go_together_with_its_objects(store: ProjectStore) -> None:
    made = accept(store, 1, disc(20, 20, 9))
    other = store.category_edit("cell")
    store.apply(other)
    store.apply(Edit("delete class", (RowChange(store.categories()[0], None), RowChange(made, None))))
    assert [c.name for c in store.categories()] == ["cell"]
    store.undo()
    assert store.annotations(1) == [made]


def test_new_classes_get_their_own_colours_and_keys(store: ProjectStore) -> None:
    for number in range(12):
        store.apply(store.category_edit(f"class {number}"))
    present = store.categories()
    assert len({c.colour for c in present}) == 13
    assert [c.key for c in present] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0]


def test_the_undo_list_has_an_end(store: ProjectStore) -> None:
    store._connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'edit'", (UNDO_CAP,))
    store._connection.execute("INSERT INTO sqlite_sequence SELECT 'edit', ? WHERE changes() = 0", (UNDO_CAP,))
    store._connection.execute("INSERT INTO edit(seq, at, author, name, changes) VALUES (1, '', '', 'old', '[]')")
    accept(store, 1, disc(20, 20, 9))
    names = [name for (name,) in store._connection.execute("SELECT name FROM edit")]
    assert names == ["accept object"]


@pytest.mark.parametrize("is_old", [False, True])
def test_an_accept_does_not_look_through_all_edits(folder: Path, is_old: bool) -> None:
    with ProjectStore.open_folder(folder) as made:
        if is_old:
            made._connection.execute("DROP INDEX IF EXISTS edit_undone")
    asked: list[str] = []
    with ProjectStore.open_folder(folder) as opened:
        accept(opened, 1, disc(20, 20, 9))
        opened._connection.set_trace_callback(asked.append)
        accept(opened, 2, disc(20, 20, 9))
        assert opened.edit_mark() == (2, 0)
        assert (opened.undo_name, opened.redo_name) == ("accept object", None)
        opened.undo()
        assert opened.edit_mark() == (2, 1)
        opened.redo()
        opened._connection.set_trace_callback(None)
        plans = {
            sql: [line for *_, line in opened._connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in asked
            if " edit" in sql and sql.startswith(("SELECT", "DELETE", "UPDATE"))
        }
    assert len(plans) >= 6
    assert {sql: plan for sql, plan in plans.items() if any(line.startswith("SCAN") for line in plan)} == {}


def test_edits_are_an_audit_trail(store: ProjectStore) -> None:
    accept(store, 1, disc(20, 20, 9))
    ((author, at, changes),) = store._connection.execute("SELECT author, at, changes FROM edit").fetchall()
    assert author == "anna"
    assert at.startswith("20")
    assert json.loads(changes)[0][0] is None


def test_accepting_costs_the_same_however_much_there_is(store: ProjectStore) -> None:
    """A handful of statements in one transaction, none of which goes through what was stored before."""
    mask = disc(30, 24, 20)
    connection = store.held.connection

    def statements_of_an_accept() -> list[str]:
        edit = accept_edit(annotation(store, 1, mask, prompts={"points": [[1, 2, 1]] * 10}), store.image(1))
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        store.apply(edit)
        connection.set_trace_callback(None)
        return seen

    def steps_of_an_accept() -> int:
        edit = accept_edit(annotation(store, 1, mask), store.image(1))
        steps = [0]

        def count() -> None:
            steps[0] += 1

        connection.set_progress_handler(count, 1)
        store.apply(edit)
        connection.set_progress_handler(None, 1)
        return steps[0]

    statements_of_an_accept()  # the first object also changes the status of its image
    few, steps = statements_of_an_accept(), steps_of_an_accept()
    for _ in range(60):
        statements_of_an_accept()
    many = statements_of_an_accept()
    assert len(many) == len(few) <= 12
    assert sum(text.startswith("COMMIT") for text in many) == 1
    assert steps_of_an_accept() <= steps * 1.2
