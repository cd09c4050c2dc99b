"""An edit on its way into the file: how far it is, and that ending it half-way leaves nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Edit, RowChange, delete_edit, reclass_edit
from annotator.io.project.edit_blobs import _parsed, edit_from_blob, edit_to_blob
from annotator.io.project.edit_progress import AT_ONCE, UNWATCHED, EditProgress
from annotator.io.project.edit_rows import REDO, UNDO
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import annotation, image_folder

COUNT = 3 * AT_ONCE + 7
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.fixture
def store(tmp_path: Path):
    with ProjectStore.open_folder(image_folder(tmp_path, ("1.png",))) as store:
        yield store


def filled(store: ProjectStore) -> Edit:
    mask = Mask(np.ones((3, 4), np.bool_), 1, 2, 20, 10)
    return Edit("fill", tuple(RowChange(None, annotation(store, 1, mask)) for _ in range(COUNT)))


def state(store: ProjectStore) -> tuple[object, ...]:
    return list(store.all_annotations()), store.edit_mark(), store.undo_name, store.redo_name


@given(st.lists(JSON), st.sampled_from(["", " ", "\n  ", "\t\r\n"]), st.sampled_from([None, 2]))
def test_what_is_read_one_by_one_is_what_the_decoder_reads(values, blank, indent):
    text = f"{blank}{json.dumps(values, indent=indent)}{blank}".encode()
    assert _parsed(text, UNWATCHED) == values


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1,", "[1,]", "[1 2]", "[1]]", "[1] x", "{}", "[NaN]", "[,1]", "1", "[[1]", "]"]
)
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError):
        _parsed(text.encode(), UNWATCHED)


def test_progress_is_told_in_changes_and_never_goes_back():
    told: list[tuple[int, int]] = []
    progress = EditProgress(lambda *now: told.append(now), 1000, passes=2)
    for _ in range(2000):
        progress.step()
    assert told[0] == (AT_ONCE // 2, 1000)
    assert told[-1] == (1000, 1000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_an_edit_goes_through_a_blob_with_a_word_for_each_of_its_changes(store):
    edit, packed, read = filled(store), [], []
    blob = edit_to_blob(edit, EditProgress(lambda *now: packed.append(now), COUNT))
    assert edit_from_blob("fill", blob, EditProgress(lambda *now: read.append(now))) == edit
    assert packed == [(AT_ONCE, COUNT), (2 * AT_ONCE, COUNT), (3 * AT_ONCE, COUNT)]
    assert read == [(0, 0)] * 3  # how many there are is not known before


@pytest.mark.parametrize("what", ["new", "gone", "changed", "undo", "redo"])
def test_ending_an_edit_at_any_report_leaves_the_project_as_it_was(store, what):
    edit = filled(store)
    if what != "new":
        store.apply(edit)
    if what == "redo":
        store.undo()
    rows = tuple(store.all_annotations())
    store.apply(store.category_edit("other")) if what == "changed" else None
    doing = {"new": edit, "gone": delete_edit(rows), "changed": reclass_edit(rows, 2), "undo": UNDO, "redo": REDO}[what]
    before = state(store)
    reports = 0
    while True:
        left = reports

        def end(_done: int, _total: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise WorkCancelled

        try:
            store.perform(doing, progress=end)
            break
        except WorkCancelled:
            reports += 1
            assert state(store) == before
    assert reports >= 6
    assert state(store) != before
