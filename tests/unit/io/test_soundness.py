"""Damage in a project costs the row that has it: the others are read, shown, exported, and it is brought back."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.errors import ProjectError
from annotator.domain.mask import compress_counts
from annotator.domain.project import RowChange, delete_edit, reclass_edit
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.project import edit_blobs, schema
from annotator.io.project.edit_blobs import edit_from_blob
from annotator.io.project.history import last_good
from annotator.io.project.schema import COLUMNS
from annotator.io.project.soundness import mask_problem, read_rows
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder


@pytest.fixture
def store(tmp_path: Path):
    with ProjectStore.open_folder(image_folder(tmp_path)) as opened:
        for place in (10, 30, 50):
            accept(opened, 1, disc(place, 20, 7), prompts={"points": [[1, 2, 1]]}, extra={"note": "a"})
        yield opened


def spoil(store: ProjectStore, table: str, row_id: int, column: str, value: Any) -> None:
    store._connection.execute("PRAGMA foreign_keys = OFF")
    store._connection.execute(f"UPDATE {table} SET {column} = {value} WHERE id = ?", (row_id,))
    store._connection.execute("PRAGMA foreign_keys = ON")


NOT_UTF8 = "CAST(x'616263ff' AS TEXT)"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[("rle", value) for value in ("'text'", "12", "x'ff00ff'", "zeroblob(17000000)")],
        *[("image_width", value) for value in ("0", "-5", "1e300", "'wide'", "4611686018427387904")],
        *[("x", value) for value in ("-1", "x'00'", "1.5")],
        *[("area", "-3"), ("category_id", "'a'"), ("h", "9223372036854775807")],
    ],
)
def test_an_object_that_cannot_be_used_is_left_out_and_named(store: ProjectStore, column: str, value: str) -> None:
    spoil(store, "annotation", 2, column, value)
    assert [row.id for row in store.annotations(1)] == [1, 3] or mask_problem(store.annotation(2))
    exported = export_coco(store, store.path.with_name("out.json"))
    assert exported.objects == 2
    assert any("object 2" in line for line in exported.warnings)
    assert accept(store, 1, disc(20, 30, 5)).id == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[("prompts", value) for value in ("'{'", "'[1]'", "'{\"a\": NaN}'", NOT_UTF8, "x'7b7d'", "'3'")],
        ("extra", "printf('%s', replace(hex(zeroblob(5000)), '00', '['))"),
        *[("author", NOT_UTF8), ("model", "x'37'"), ("score", "'good'"), ("score", "9e999"), ("seconds", "-9e999")],
        *[("clicks", "-1"), ("is_crowd", "7"), ("created_at", "x'00'")],
    ],
)
def test_what_is_beside_the_mask_is_mended_and_told(store: ProjectStore, column: str, value: str) -> None:
    spoil(store, "annotation", 2, column, value)
    rows = store.annotations(1)
    assert [row.id for row in rows] == [1, 2, 3]
    assert rows[0].prompts == {"points": [[1, 2, 1]]}
    assert rows[1].rle == rows[1].mask().rle()
    assert "object 2 was mended" in str(store.damage["annotation", 2])
    exported = export_coco(store, store.path.with_name("out.json"))
    assert exported.objects == 3
    assert any("object 2 was mended" in line for line in exported.warnings)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        *[("category", "colour", value) for value in ("'#zzzzzz'", "'red'", "7", NOT_UTF8, "''")],
        *[("category", "name", NOT_UTF8), ("category", "key", "99"), ("category", "extra", "'{'")],
        *[("image", "status", "'lost'"), ("image", "width", "-1"), ("image", "extra", NOT_UTF8)],
        *[("image", "sha256", "x'00'")],
    ],
)
def test_classes_and_images_are_mended(store: ProjectStore, table: str, column: str, value: str) -> None:
    spoil(store, table, 1, column, value)
    assert [image.id for image in store.images()] == [1, 2, 3]
    (category,) = store.categories()
    assert category.colour.startswith("#")
    assert len(category.colour) == 7
    exported = export_coco(store, store.path.with_name("out.json"))
    assert exported.objects == 3
    assert any(" 1 was mended" in line for line in exported.warnings)


@pytest.mark.parametrize("value", [NOT_UTF8, "''", "x'37'", "'a' || char(0) || 'b'"])
def test_an_image_without_a_path_is_left_out(store: ProjectStore, value: str) -> None:
    spoil(store, "image", 2, "path", value)
    assert [image.id for image in store.images()] == [1, 3]
    assert "image 2 is left out" in str(store.damage["image", 2])
    assert export_coco(store, store.path.with_name("out.json"), all_images=True).images == 2


@pytest.mark.parametrize("path", ["../up.png", "/etc/passwd", "a/../../b.png", r"..\x.png", r"\\host\x.png"])
def test_a_path_that_climbs_out_is_left_out_by_name(store: ProjectStore, path: str) -> None:
    store._connection.execute("UPDATE image SET path = ?, status = 'done' WHERE id = 2", (path,))
    with pytest.raises(ProjectError, match="leaves the image folder"):
        store.image_path(store.image(2))
    for export, name in ((export_coco, "out.json"), (export_polygons, "out")):
        exported = export(store, store.path.with_name(name))
        assert exported.images == 1
        assert any(repr(path) in line for line in exported.warnings)


@pytest.mark.parametrize("bit", range(0, 60, 7))
def test_a_flipped_bit_in_a_mask_costs_one_object(store: ProjectStore, bit: int) -> None:
    good = store.annotation(2)
    runs = bytearray(good.rle)
    runs[bit // 8 % len(runs)] ^= 1 << bit % 8
    store._connection.execute("UPDATE annotation SET rle = ? WHERE id = 2", (bytes(runs),))
    assert mask_problem(store.annotation(2))
    for export, name in ((export_coco, "out.json"), (export_polygons, "out")):
        exported = export(store, store.path.with_name(name))
        assert exported.objects == 2
        assert any("object 2 (object) in 1.png is left out, it is damaged" in line for line in exported.warnings)
    assert last_good(store._connection, 2) == good


def test_a_good_state_comes_back_from_the_history(store: ProjectStore) -> None:
    store.apply(store.category_edit("cell"))
    store.apply(reclass_edit((store.annotation(2),), 2))
    good = store.annotation(2)
    spoil(store, "annotation", 2, "rle", "'x'")
    store.annotations(1)
    with pytest.raises(ProjectError, match="object 2 is left out"):
        store.apply(delete_edit((good,)))
    found = last_good(store._connection, 2)
    assert found == good
    assert found is not None
    assert store.restore(found).annotation_ids == {2}
    assert store.annotation(2) == good
    assert store.damage == {}
    store.undo()
    assert store.annotation(2).category_id == 1
    assert last_good(store._connection, 99) is None


@pytest.mark.parametrize("value", ["'many'", "-7", "x'00'", "9223372036854775807", "1e300"])
def test_a_damaged_sequence_gives_free_ids(store: ProjectStore, value: str) -> None:
    store._connection.execute(f"UPDATE sequence SET next = {value}")
    store._connection.execute("DELETE FROM sequence WHERE kind = 'image'")
    path = store.path
    store.close()
    with ProjectStore.open(path) as again:
        assert accept(again, 1, disc(20, 30, 5)).id == 4
        assert again.peek_id("image") == 4
    with ProjectStore.open(path) as again:
        assert again.peek_id("annotation") == 5


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_a_mask_of_fourteen_gigabytes_is_left_out(store: ProjectStore) -> None:
    side = 120_000
    runs = compress_counts(np.array([0, side * side], np.int64))
    store._connection.execute(
        "UPDATE annotation SET rle = ?1, image_width = ?2, image_height = ?2, w = ?2, h = ?2, area = ?3 WHERE id = 2",
        (runs, side, side * side),
    )
    assert "more than the limit" in mask_problem(store.annotation(2))
    assert export_coco(store, store.path.with_name("out.json")).objects == 2


@pytest.mark.parametrize("column", ["name", "changes"])
def test_the_history_is_read_past_an_edit_whose_texts_are_none(store: ProjectStore, column: str) -> None:
    good = store.annotation(2)
    values = {"name": "'new'", "changes": "x''"} | {column: "CAST(x'fffe5b' AS TEXT)"}
    store._connection.execute(
        f"INSERT INTO edit(at, author, name, changes) VALUES ('', '', {values['name']}, {values['changes']})"
    )
    spoil(store, "annotation", 2, "rle", "'x'")
    assert last_good(store._connection, 2) == good


def test_an_edit_that_unpacks_to_gigabytes_is_not_undone(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_blobs, "MAX_EDIT_BYTES", 4 << 20)
    packer = zlib.compressobj(9)
    bomb = packer.compress(b"[" + b" " * (64 << 20)) + packer.flush()
    store._connection.execute("INSERT INTO edit(at, author, name, changes) VALUES ('', '', 'bomb', ?)", (bomb,))
    before = list(store.all_annotations())
    with pytest.raises(ProjectError, match="unpacks to more than 4 MiB"):
        store.undo()
    assert list(store.all_annotations()) == before
    assert last_good(store._connection, 2) == store.annotation(2)


@pytest.mark.parametrize(
    "blob",
    [
        *(b"[1]", b"[[1,2]]", b"[[null,null]]", b"x\x9c", b"", b"[" * 5000, b'[[null,["annotation",1]]]', b"\xff\xfe"),
        *(
            1 << 40,
            7.5,
            "[]",
            b'[[null,["nothing",1]]]',
            b'[[null,["image",1,"a","",0,0,"lost",{}]]]',
            b'[[null,["image"]]]',
        ),
    ],
)
def test_a_damaged_edit_is_a_message(store: ProjectStore, blob: bytes) -> None:
    store._connection.execute("INSERT INTO edit(at, author, name, changes) VALUES ('', '', 'odd', ?)", (blob,))
    with pytest.raises(ProjectError, match="cannot be undone"):
        store.undo()


def test_a_history_that_would_make_what_is_there_is_a_message(store: ProjectStore) -> None:
    rows = list(store.annotations(1))
    store.apply(delete_edit(rows[:1]))
    blob = store._connection.execute("SELECT changes FROM edit ORDER BY seq DESC LIMIT 1").fetchone()[0]
    store.undo()
    store._connection.execute("INSERT INTO edit(at, author, name, changes) VALUES ('', '', 'odd', ?)", (blob,))
    with pytest.raises(ProjectError, match="“odd” cannot be undone: annotation 1 is there already"):
        store.undo()
    assert list(store.annotations(1)) == rows


def test_an_edit_of_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_blobs, "_MAX_EDIT_VALUES", 1000)
    with pytest.raises(ValueError, match="too many"):
        edit_from_blob("x", json.dumps([[[], []]] * 1000).encode())


_VALUES = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5))


@given(st.data(), st.sampled_from(sorted(COLUMNS)))
def test_any_values_give_rows_or_damage(data: st.DataObject, table: str) -> None:
    row = data.draw(st.tuples(st.integers(1, 9), *[_VALUES for _ in COLUMNS[table][1:]]))
    rows, damages = read_rows(table, [row])
    assert len(rows) + sum(damage.is_left_out for damage in damages) == 1
    for usable in rows:
        assert RowChange(None, usable).row is usable
        assert read_rows(table, [tuple(schema.column_value(usable, name) for name in COLUMNS[table])]) == ([usable], [])


def test_a_mask_of_any_bytes_stays_when_its_object_is_changed(store: ProjectStore) -> None:
    """Also in the history, which is text."""
    damaged = b"\xed\xa0\x80 \xff 12"
    store._connection.execute("UPDATE annotation SET rle = ? WHERE id = 1", (damaged,))
    other = store.category_edit("other")
    store.apply(other)
    store.apply(reclass_edit((store.annotation(1),), other.changes[0].row.id))
    store.apply(delete_edit((store.annotation(1),)))
    store.undo()
    assert store.annotation(1).rle == damaged
    store.undo()
    assert (store.annotation(1).rle, store.annotation(1).category_id) == (damaged, 1)
