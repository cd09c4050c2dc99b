"""A folder of very many files: no single call is long, so that the window's thread gets on meanwhile."""

from __future__ import annotations

import builtins
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.media import in_order
from annotator.domain.project import ImageRecord
from annotator.io.images import listing
from annotator.io.images.listing import natural_key, sorted_paths
from annotator.io.images.reading import list_images
from annotator.io.project import queries, schema
from annotator.io.project.opened import open_project
from annotator.io.project.rows import RowWriter
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, document, image_folder

NAMES = st.text(st.sampled_from("aB01/²é٣ "), min_size=1, max_size=12)


@given(st.lists(NAMES, unique=True, max_size=40), st.integers(1, 7))
def test_pieces_merge_to_the_natural_order(paths: list[str], piece: int) -> None:
    kept, listing._SORTED_AT_ONCE = listing._SORTED_AT_ONCE, piece
    try:
        assert sorted_paths(paths) == sorted(paths, key=natural_key)
    finally:
        listing._SORTED_AT_ONCE = kept


def test_no_sort_is_of_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{number}.png" for number in range(10_000)]
    random.Random(0).shuffle(paths)
    lengths: list[int] = []

    def watched(values: Any, **options: Any) -> Any:
        lengths.append(len(values))
        return builtins.sorted(values, **options)

    monkeypatch.setattr(listing, "sorted", watched, raising=False)
    assert sorted_paths(paths) == [f"{number}.png" for number in range(10_000)]
    assert max(lengths) <= 2_000


def test_images_are_read_in_pieces_and_come_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = image_folder(tmp_path, tuple(f"{n}.png" for n in range(7)))
    monkeypatch.setattr(queries, "_CHUNK_IMAGES", 3)
    with ProjectStore.open_folder(folder) as store:
        asked: list[int] = []
        rows = store._rows
        monkeypatch.setattr(store, "_rows", lambda *words: asked.append(len(rows(*words))) or rows(*words))
        assert [image.path for image in store.images()] == [f"{n}.png" for n in range(7)]
        assert asked == [3, 3, 1]
        accept(store, 4, disc(20, 20, 9))
        assert [image.id for image in store.images(with_work=True)] == [4]
        whole = document(store)
    with ProjectStore.open(folder / "set.annot") as again:
        assert document(again) == whole


def test_what_is_known_is_not_listed_again(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, ("1.png", "2.png", "3.png"))
    assert list_images(folder, known={"2.png"}) == ["1.png", "3.png"]


def test_what_was_just_taken_in_is_what_the_file_has(tmp_path: Path) -> None:
    """It is not read again to be shown."""
    folder = image_folder(tmp_path)
    opened = open_project(folder)
    with opened.store as store:
        assert opened.images == in_order(store.images())
        assert store.first_images is None


def test_images_of_which_only_the_path_is_known_are_made_in_pieces_and_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths: list[int] = []
    plain = schema._built

    def watched(kind: Any, columns: Any, rows: int) -> Any:
        lengths.append(rows)
        return plain(kind, columns, rows)

    monkeypatch.setattr(schema, "_BUILT_AT_ONCE", 3)
    monkeypatch.setattr(schema, "_built", watched)
    made = schema.image_rows(11, [f"{number}.png" for number in range(7)])
    assert made == [ImageRecord(11 + number, f"{number}.png") for number in range(7)]
    assert len({id(one.extra) for one in made}) == 7, "what one is given later is not the others' as well"
    assert lengths == [3, 3, 1]


def test_ids_of_a_whole_folder_are_given_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = RowWriter.new_id

    def watched(self: RowWriter, kind: Any, count: int = 1) -> int:
        asked.append(count)
        return plain(self, kind, count)

    monkeypatch.setattr(RowWriter, "new_id", watched)
    folder = image_folder(tmp_path, tuple(f"{n}.png" for n in range(5)))
    with ProjectStore.open_folder(folder) as store:
        assert asked == [5]
        assert [image.id for image in store.images()] == [1, 2, 3, 4, 5]
        assert store.new_id("image") == 6
