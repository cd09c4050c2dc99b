"""Proposals in the project file: beside the document, through a crash; damaged rows cost nothing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.mask import Mask
from annotator.domain.proposals.table import KeptProposal
from annotator.io.project.proposals import COVERED, DROPPED, kept_rows, write_items, write_states
from annotator.io.project.store import ProjectStore

WIDTH, HEIGHT = 30, 20


def proposal(number: int, x: int = 0) -> KeptProposal:
    mask = Mask(np.ones((4, 5), np.bool_), x, 2, WIDTH, HEIGHT)
    return KeptProposal(number, mask, mask.rle(), 0.75, "everything", "nano", "abc", "a@1", '{"stability": 0.5}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(place / name)
    return place


def test_they_are_there_again_with_what_became_of_them(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        assert store.proposals.rows(1) == []
        assert store.proposals.counts() == {}
        mark, schema = store.edit_mark(), store._fetch("PRAGMA user_version")
        store.write_beside(lambda file: write_items(file, 1, added=[proposal(n, 5 * n) for n in (1, 2, 3)], gone=()))
        store.write_beside(lambda file: write_items(file, 2, added=[proposal(1)], gone=()))
        store.write_beside(lambda file: write_states(file, 1, {1: DROPPED, 3: COVERED}))
        assert store.edit_mark() == mark
        assert store._fetch("PRAGMA user_version") == schema
        assert store.annotations(1) == []
        path = store.path
    with ProjectStore.open(path) as store:
        assert store.proposals.counts() == {1: 1, 2: 1}
        kept = kept_rows(store.proposals.rows(1), width=WIDTH, height=HEIGHT)
        assert kept.dropped == {1}
        assert [item.id for item in kept.items] == [1, 2, 3]
        one = kept.items[1]
        assert one.mask.same_pixels(proposal(2, 10).mask)
        assert (one.score, one.model, one.model_sha256, one.adapter, one.facts) == (
            *(0.75, "nano", "abc", "a@1"),
            '{"stability": 0.5}',
        )
        store.write_beside(lambda file: write_items(file, 1, added=[proposal(4)], gone=[1, 2]))
        kept = kept_rows(store.proposals.rows(1), width=WIDTH, height=HEIGHT)
        assert [item.id for item in kept.items] == [3, 4]


def test_nothing_is_written_to_a_project_that_is_read_only(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store, ProjectStore.open(store.path, read_only=True) as reader:
        reader.write_beside(lambda file: write_items(file, 1, added=[proposal(1)], gone=()))
        assert reader.proposals.rows(1) == []


def test_rows_of_another_size_or_damaged_ones_are_left_out(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        items = [proposal(n) for n in range(1, 9)]
        store.write_beside(lambda file: write_items(file, 1, added=items, gone=()))
        path = store.path
    file = sqlite3.connect(path)
    for number, (column, value) in enumerate(
        [
            ("rle", b"xx"),
            ("rle", "text"),
            ("image_width", 31),
            ("score", "high"),
            ("facts", "["),
            ("facts", json.dumps([1])),
            ("model", b"\xff"),
        ],
        start=1,
    ):
        file.execute(f"UPDATE proposal SET {column} = ? WHERE id = ?", (value, number))
    file.commit()
    file.close()
    with ProjectStore.open(path) as store:
        kept = kept_rows(store.proposals.rows(1), width=WIDTH, height=HEIGHT)
    assert [item.id for item in kept.items] == [8]
