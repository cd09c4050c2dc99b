"""Attributes in the project file and in COCO: definitions and values come back, also from files of earlier versions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget, with_value
from annotator.domain.project import Annotation, Edit, RowChange
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.project.schema import SCHEMA_VERSION
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder

OBJECT, IMAGE = AttributeTarget
SIDE = Attribute(1, "side", OBJECT, AttributeForm.ONE, {"choices": ["heads", "tails"], "required": True, "class": 1})
GRADE = Attribute(2, "grade", OBJECT, AttributeForm.NUMBER, {"default": 3})
LIGHT = Attribute(3, "light", IMAGE, AttributeForm.MANY, {"choices": ["day", "lamp"]})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.open_folder(image_folder(tmp_path, ("1.png",))) as opened:
        yield opened


def define(store: ProjectStore, *rows: Attribute) -> None:
    made = [replace(row, id=store.new_id("attribute")) for row in rows]
    store.apply(Edit("define", tuple(RowChange(None, row) for row in made)))


def test_definitions_are_kept_undone_and_redone(store: ProjectStore) -> None:
    define(store, SIDE, LIGHT)
    wanted = [SIDE, replace(LIGHT, id=2)]
    assert store.attributes() == wanted
    with ProjectStore.open(store.path, read_only=True) as reader:
        assert reader.attributes() == wanted
    change = store.undo()
    assert change is not None
    assert change.has_attributes
    assert store.attributes() == []
    store.redo()
    assert store.attributes() == wanted


def test_values_and_definitions_go_out_and_come_back(store: ProjectStore, tmp_path: Path) -> None:
    define(store, SIDE, GRADE, LIGHT)
    coin = accept(store, 1, disc(20, 20, 9))
    image = store.image(1)
    said = replace(with_value(coin, SIDE, "tails"), layer=4)
    changes = (RowChange(coin, said), RowChange(image, with_value(image, LIGHT, ["lamp"])))
    store.apply(Edit("say", changes))
    path = tmp_path / "out.json"
    export_coco(store, path)
    data = json.loads(path.read_text())
    (row,) = data["annotations"]
    assert row["attributes"]["side"] == "tails"
    assert row["attributes"]["grade"] == 3, "the default"
    assert data["images"][0]["attributes"]["light"] == ["lamp"]
    with ProjectStore.open_folder(store.image_root, project_path=tmp_path / "other.annot") as other:
        import_coco(other, path)
        assert other.attributes() == [SIDE, GRADE, LIGHT]
        (back,) = other.all_annotations()
        assert back.extra == {"attributes": {"side": "tails", "grade": 3}}
        assert back.layer == 4
        assert other.image(1).extra["attributes"] == {"light": ["lamp"]}
        again = import_coco(other, path)
        assert (again.objects, len(other.attributes())) == (0, 3)


def test_a_project_of_version_2_0_gets_attributes_and_layers(tmp_path: Path) -> None:
    """The file as that version left it: neither table nor column, and edits whose rows are one value shorter."""
    with ProjectStore.open_folder(image_folder(tmp_path, ("1.png",))) as store:
        path, coin = store.path, accept(store, 1, disc(20, 20, 9))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE attribute")
        connection.execute("ALTER TABLE annotation DROP COLUMN layer")
        connection.execute("DELETE FROM sequence WHERE kind = 'attribute'")
        for seq, changes in connection.execute("SELECT seq, changes FROM edit").fetchall():
            rows = [[None if row is None else row[:27] for row in change] for change in json.loads(changes)]
            connection.execute("UPDATE edit SET changes = ? WHERE seq = ?", (json.dumps(rows).encode(), seq))
        connection.execute("PRAGMA user_version = 2000")
    connection.close()
    with ProjectStore.open(path, read_only=True) as reader:
        assert reader.attributes() == []
    with ProjectStore.open(path) as store:
        assert any("backup-2000" in notice for notice in store.notices)
        assert store._connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert list(store.all_annotations()) == [coin]
        define(store, SIDE)
        store.undo()
        store.undo()
        assert list(store.all_annotations()) == []
        store.redo()
        (back,) = store.all_annotations()
        assert isinstance(back, Annotation)
        assert back == coin
        store.redo()
        assert store.attributes() == [SIDE]
