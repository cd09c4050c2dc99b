"""Any sequence of edits, taken back, restores an equal project; done again, it is there again; also after a restart."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.project import (
    Annotation,
    Edit,
    RowChange,
    Status,
    accept_edit,
    delete_edit,
    mark_empty_edit,
    reclass_edit,
    status_edit,
)
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import annotation, document, image_folder

_steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["accept", "refine", "delete", "reclass", "status", "empty", "class", "import", "undo", "redo"]
        ),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=14,
)


def make_edit(store: ProjectStore, what: str, number: int) -> Edit | None:
    image = store.images()[number % 3]
    present = store.annotations(image.id)
    mask = Mask.from_full(np.random.default_rng(number).random((48, 64)) < 0.3)
    if what == "accept":
        return accept_edit(annotation(store, image.id, mask), image)
    if what == "status":
        return status_edit(image, list(Status)[number % 4])
    if what == "empty":
        return mark_empty_edit(image, tuple(present))
    if what == "class":
        return store.category_edit(f"class {number}")
    if what == "import":
        other = store.category_edit("imported")
        made = annotation(store, image.id, mask, category_id=other.changes[0].row.id)
        changed = replace(image, extra={"n": number})
        return Edit("import", (RowChange(None, made), *other.changes, RowChange(image, changed)))
    if not present:
        return None
    if what == "refine":
        old = present[number % len(present)]
        return accept_edit(old.with_mask(mask), image, replaces=old)
    if what == "delete":
        return delete_edit(tuple(present[: 1 + number % 2]))
    return reclass_edit(tuple(present), store.categories()[number % len(store.categories())].id)


@settings(max_examples=40, deadline=None)
@given(_steps)
def test_edits_undo_and_redo(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = image_folder(Path(root))
        store = ProjectStore.open_folder(folder)
        start = document(store)
        history = [start]
        at = 0
        for what, number in steps:
            if what in ("undo", "redo"):
                change = store.undo() if what == "undo" else store.redo()
                step = -1 if what == "undo" else 1
                assert (change is None) == (not 0 <= at + step < len(history))
                at += step if change is not None else 0
            else:
                edit = make_edit(store, what, number)
                if edit is None or not edit.changes:
                    continue
                change = store.apply(edit)
                assert change == edit.change()
                history = [*history[: at + 1], document(store)]
                at += 1
            assert document(store) == history[at]
        store.close()
        store = ProjectStore.open_folder(folder)
        while store.undo() is not None:
            at -= 1
            assert document(store) == history[at]
        assert at == 0
        assert document(store) == start
        while store.redo() is not None:
            at += 1
        assert at == len(history) - 1
        assert document(store) == history[-1]
        store.close()


def test_an_edit_inverted_twice_is_itself() -> None:
    row = Annotation(1, 1, 1, 0, 0, 1, 1, 1, b"01", 1, 1)
    edit = Edit("x", (RowChange(None, row), RowChange(row, replace(row, category_id=2))))
    assert edit.inverted().inverted() == edit
    assert edit.inverted().changes[0].after == row
