"""Project files that somebody else has made: nothing in them runs, and nothing is written before that is known."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from annotator.domain.errors import ImageError, ProjectError, ProjectUnsoundError
from annotator.io.images.reading import load_image
from annotator.io.project.opened import open_project
from annotator.io.project.plain_copy import make_plain_copy
from annotator.io.project.schema import translated_errors
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with ProjectStore.open_folder(image_folder(tmp_path)) as store:
        for place in (10, 20, 30):
            accept(store, 1, disc(place, 20, 5))
        return store.path


def spoil(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def rewritten(table: str, old: str, new: str) -> str:
    return f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{table}'"


PROGRAMS = {
    "trigger": ["CREATE TRIGGER t AFTER INSERT ON annotation BEGIN DELETE FROM annotation; END"],
    "view": ["CREATE VIEW v AS SELECT * FROM image"],
    "virtual": ["CREATE VIRTUAL TABLE v USING fts5(a)"],
    "generated": ["ALTER TABLE image ADD COLUMN g AS (zeroblob(1000))"],
    "expression index": ["CREATE INDEX i ON annotation(hex(rle))"],
    "partial index": ["CREATE INDEX i ON annotation(x) WHERE length(rle) > 3"],
    "check": [rewritten("meta", "v TEXT NOT NULL", "v TEXT NOT NULL CHECK (length(zeroblob(9)) = 9)")],
    "default": [rewritten("meta", "v TEXT NOT NULL", "v TEXT NOT NULL DEFAULT (hex(zeroblob(9)))")],
    "many tables": [f"CREATE TABLE t{number}(a)" for number in range(300)],
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_runs_by_itself_is_refused_before_anything_is_written(project: Path, kind: str) -> None:
    spoil(project, *PROGRAMS[kind])
    before = project.read_bytes()
    with pytest.raises(ProjectUnsoundError, match=r"set\.annot is not a plain project"):
        ProjectStore.open(project)
    with pytest.raises(ProjectUnsoundError):
        ProjectStore.open(project, read_only=True)
    assert project.read_bytes() == before
    assert sorted(path.name for path in project.parent.glob("*annot*")) == ["set.annot"]


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_plain_copy_has_the_rows_alone(project: Path, kind: str) -> None:
    spoil(project, *PROGRAMS[kind])
    before = project.read_bytes()
    copy = make_plain_copy(project)
    assert copy.path.name == "set (plain copy).annot"
    assert copy.is_whole
    with ProjectStore.open(copy.path) as store:
        assert [image.path for image in store.images()] == ["1.png", "2.png", "sub/1.png"]
        assert len(store.annotations(1)) == 3
        assert store.image_root == project.parent
        assert accept(store, 1, disc(40, 20, 5)).id == 4
        assert len(store.annotations(1)) == 4
    assert project.read_bytes() == before


def test_a_plain_copy_of_a_damaged_file_takes_what_can_be_read(project: Path) -> None:
    with ProjectStore.open(project) as store:
        for number in range(60):
            accept(store, 1 + number % 3, disc(20, 20, 3 + number % 9), extra={"text": "x" * 900})
    (page,) = (
        sqlite3.connect(project).execute("SELECT rootpage FROM sqlite_master WHERE name = 'annotation'").fetchone()
    )
    data = bytearray(project.read_bytes())
    leaf = int.from_bytes(data[(page - 1) * 4096 + 12 :][:2], "big")  # a child of the table's root
    child = int.from_bytes(data[(page - 1) * 4096 + leaf :][:4], "big")
    data[(child - 1) * 4096 : child * 4096] = b"\xff" * 4096
    project.write_bytes(data)
    with pytest.raises(ProjectUnsoundError, match="is damaged"):
        ProjectStore.open(project)
    copy = make_plain_copy(project)
    assert not copy.is_whole
    with ProjectStore.open(copy.path) as store:
        assert 0 < len(list(store.all_annotations())) < 63


def test_a_plain_copy_needs_a_project(tmp_path: Path) -> None:
    (tmp_path / "text.annot").write_text("hello " * 1000)
    with pytest.raises(ProjectError, match="damaged or not"):
        make_plain_copy(tmp_path / "text.annot")
    assert [path.name for path in tmp_path.iterdir()] == ["text.annot"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_strangers_schema_calls_nothing_and_damaged_cells_are_seen(project: Path, read_only: bool) -> None:
    with ProjectStore.open(project, read_only=read_only) as store:
        said = {
            name: store.held.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("trusted_schema", "cell_size_check", "foreign_keys")
        }
    assert said.pop("foreign_keys") == 1 or read_only
    assert said == {"trusted_schema": 0, "cell_size_check": 1}


def test_a_file_that_is_opened_for_the_first_time_is_looked_through(project: Path) -> None:
    """Rows are read without a word here; only writing would meet the pages that are said to be free."""
    data = bytearray(project.read_bytes())
    data[36:40] = (7).to_bytes(4, "big")
    project.write_bytes(data)
    with pytest.raises(ProjectUnsoundError, match="is damaged"):
        open_project(project)


def test_a_huge_value_is_a_message(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.io.project import connect

    spoil(project, "UPDATE annotation SET rle = zeroblob(3000000) WHERE id = 2")
    monkeypatch.setattr(connect, "MAX_VALUE_BYTES", 2_000_000)
    with ProjectStore.open(project) as store, pytest.raises(ProjectError, match="hundreds of megabytes"):
        store.annotations(1)


def test_a_view_in_the_place_of_a_table_is_refused(project: Path) -> None:
    spoil(project, "ALTER TABLE image RENAME TO i", "CREATE VIEW image AS SELECT * FROM i")
    with pytest.raises(ProjectError, match="the table image is gone"):
        ProjectStore.open(project)
    with pytest.raises(ProjectError, match="the table image is gone"):
        make_plain_copy(project)
    assert sorted(path.name for path in project.parent.glob("*annot*")) == ["set.annot"]


def test_a_lock_of_another_program_costs_one_short_wait(project: Path) -> None:
    """Not one for every key that is pressed meanwhile."""
    with ProjectStore.open(project) as store:
        other = sqlite3.connect(project, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        def wait_ms() -> int:
            return store._connection.execute("PRAGMA busy_timeout").fetchone()[0]

        assert 0 < wait_ms() <= 100
        for _ in range(3):
            with pytest.raises(ProjectError, match="held by another program"):
                accept(store, 1, disc(40, 20, 5))
            assert wait_ms() == 0
        other.execute("COMMIT")
        other.close()
        accept(store, 1, disc(40, 20, 5))
        assert 0 < wait_ms() <= 100


@pytest.mark.parametrize("place", ["//host/share", r"\\host\share", r"C:\images", "x" * 5000, "/a\0b"])
def test_a_folder_on_another_computer_is_not_even_looked_for(project: Path, place: str) -> None:
    with ProjectStore.open(project) as store:
        for key in ("image_root", "image_root_absolute"):
            store.meta_set(key, place)
    with ProjectStore.open(project) as store, pytest.raises(ProjectError, match="does not say where its images are"):
        _ = store.image_root
    with ProjectStore.open(project) as store:
        store.meta_set("image_root", ".")
    with ProjectStore.open(project) as store:
        assert store.image_root == project.parent, "what is written for another system does not stand in the way"


@pytest.mark.parametrize("place", ["[], " * 400, "ж" * 128, "ab/" * 1300, "x" * 256 + "/../set"])
def test_a_folder_with_a_name_longer_than_any_is_one_that_is_not_there(project: Path, place: str) -> None:
    with ProjectStore.open(project) as store:
        for key in ("image_root", "image_root_absolute"):
            store.meta_set(key, place)
    opened = open_project(project)
    with opened.store as store:
        assert (opened.asks_for, opened.absent) == (None, 0)
        with pytest.raises(ImageError):
            load_image(store.image_path(opened.images[0]))


@pytest.mark.parametrize("value", [b"\xff\x00", b"", None])
def test_a_remembered_text_that_is_none_counts_as_missing(project: Path, value: bytes | None) -> None:
    connection = sqlite3.connect(project)
    for key in ("image_root", "image_root_absolute", "position", "class", "class_order"):
        connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?, CAST(? AS BLOB))", (key, value or b"1"))
    connection.commit()
    connection.close()
    with ProjectStore.open(project) as store:
        assert store.meta_get("position") is None
        assert store.categories()
        with pytest.raises(ProjectError, match="does not say where its images are"):
            _ = store.image_root


NESTED = "[" * 30_000
ODD_EDITS = {
    "a number for its changes": ("changes", "9223372036854775807"),
    "two gigabytes of zeros": ("changes", "2147483648"),
    "text for its changes": ("changes", "'[]'"),
    "half a sign": ("changes", 'CAST(\'[[null,["category",9,"\\ud800","#ffffff",0,"{}"]]]\' AS BLOB)'),
    "nested changes": ("changes", f"CAST('{NESTED}' AS BLOB)"),
    "a name that is no text": ("name", "CAST(x'ff41' AS TEXT)"),
    "drafts that are no text": ("drafts", "CAST(x'ff41' AS TEXT)"),
    "nested drafts": ("drafts", f"'{NESTED}'"),
}


@pytest.mark.parametrize("kind", ODD_EDITS)
def test_an_edit_of_odd_values_is_undone_or_refused_in_a_sentence(project: Path, kind: str) -> None:
    column, value = ODD_EDITS[kind]
    spoil(project, f"UPDATE edit SET {column} = {value} WHERE seq = (SELECT MAX(seq) FROM edit)")
    with ProjectStore.open(project) as store:
        before = len(store.annotations(1))
        assert store.undo_name is not None
        store.undo_name.encode()
        if column == "changes":
            with pytest.raises(ProjectError, match="cannot be undone"):
                store.undo()
            assert len(store.annotations(1)) == before
        else:
            assert store.undo() is not None
            assert store.redo() is not None
            assert len(store.annotations(1)) == before


@pytest.mark.parametrize("value", [f"'{NESTED}'", "CAST(x'ff41' AS TEXT)", "zeroblob(1000)", "7", "'[]'"])
def test_a_draft_that_cannot_be_read_is_an_empty_one(project: Path, value: str) -> None:
    with ProjectStore.open(project) as store:
        store.save_drafts({1: {"points": [[5, 5, 1]]}})
    spoil(project, f"UPDATE image_draft SET data = {value}")
    with ProjectStore.open(project) as store:
        assert store.draft(1) == {}


@pytest.mark.parametrize("value", [f"'{NESTED}'", "CAST(x'ff41' AS TEXT)"])
def test_remembered_texts_that_are_odd_count_as_missing(project: Path, value: str) -> None:
    spoil(project, f"INSERT OR REPLACE INTO meta(k, v) VALUES ('class_order', {value}), ('position', {value})")
    with ProjectStore.open(project) as store:
        assert [category.name for category in store.categories()]
        (store.meta_get("position") or "").encode()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE image_draft SET objects = CAST(x'ff' || 'CANARY' AS TEXT)",
        "UPDATE sequence SET next = CAST(x'ff' || 'CANARY' AS TEXT)",
        "UPDATE annotation SET image_width = CAST(x'ff' || 'CANARY' AS TEXT)",
        "UPDATE annotation SET image_height = 'CANARY'",
    ],
)
def test_texts_in_the_place_of_numbers_are_never_quoted(project: Path, statement: str) -> None:
    with ProjectStore.open(project) as store:
        store.save_drafts({1: {"points": [[5, 5, 1]]}})
    spoil(project, statement)
    with ProjectStore.open(project) as store:
        assert store.draft_counts() == {1: 1}
        if "annotation" in statement:  # no size is known that could differ
            assert "CANARY" not in store.record_image_facts(1, sha256="1" * 64, width=99, height=99).notice
        accept(store, 1, disc(40, 20, 5))


def test_errors_of_the_database_are_named_not_quoted(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "set.annot")
    connection.execute("CREATE TABLE a(b)")
    connection.execute("INSERT INTO a VALUES (CAST(x'ff' || 'CANARY' AS TEXT))")
    with pytest.raises(ProjectError, match=r"damaged") as error, translated_errors(tmp_path / "set.annot", "read"):
        connection.execute("SELECT b FROM a").fetchall()
    assert "CANARY" not in str(error.value)
    with pytest.raises(ProjectError, match=r"read \(SQLITE_ERROR\)"), translated_errors(tmp_path / "set.annot", "read"):
        connection.execute("SELECT abs(-9223372036854775808)").fetchall()
    connection.close()


def test_a_damaged_schema_that_is_no_text_is_a_message(project: Path) -> None:
    """SQLite quotes it in its error, and Python cannot decode that."""
    connection = sqlite3.connect(project, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET name = CAST(x'f1ff41' AS TEXT), sql = 'x' WHERE name = 'edit_undone'")
    connection.close()
    for work in (ProjectStore.open, make_plain_copy, lambda path: ProjectStore.open_folder(path.parent)):
        with pytest.raises(ProjectError, match=r"damaged|not an annotator project"):
            work(project)
    project.rename(project.with_name("other.annot"))
    with ProjectStore.open_folder(project.parent, project_path=project.parent.parent / "new.annot") as store:
        assert store.images()
