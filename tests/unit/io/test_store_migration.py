"""Project files that earlier versions wrote: opened with all they hold, after a backup."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.domain.errors import ProjectError
from annotator.domain.project import Annotation, Review, Status
from annotator.io.project import opening
from annotator.io.project.connect import connect_reader
from annotator.io.project.plain_copy import make_plain_copy
from annotator.io.project.schema import SCHEMA_VERSION
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, disc, image_folder

VERSION_1_0 = """
CREATE TABLE image(
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, status TEXT NOT NULL, extra TEXT NOT NULL);
CREATE TABLE category(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL, key INTEGER NOT NULL, extra TEXT NOT NULL);
CREATE TABLE annotation(
  id INTEGER PRIMARY KEY,
  image_id INTEGER NOT NULL REFERENCES image(id) DEFERRABLE INITIALLY DEFERRED,
  category_id INTEGER NOT NULL REFERENCES category(id) DEFERRABLE INITIALLY DEFERRED,
  x INTEGER NOT NULL, y INTEGER NOT NULL, w INTEGER NOT NULL, h INTEGER NOT NULL, area INTEGER NOT NULL,
  rle BLOB NOT NULL, image_width INTEGER NOT NULL, image_height INTEGER NOT NULL, score REAL, origin TEXT NOT NULL,
  prompts TEXT NOT NULL, model TEXT NOT NULL, model_sha256 TEXT NOT NULL, adapter TEXT NOT NULL,
  clicks INTEGER NOT NULL, seconds REAL NOT NULL, is_crowd INTEGER NOT NULL, author TEXT NOT NULL,
  created_at TEXT NOT NULL, extra TEXT NOT NULL);
CREATE INDEX annotation_image ON annotation(image_id);
CREATE INDEX annotation_category ON annotation(category_id);
CREATE TABLE edit(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, author TEXT NOT NULL, name TEXT NOT NULL,
  changes BLOB NOT NULL, undone INTEGER NOT NULL DEFAULT 0);
CREATE INDEX edit_undone ON edit(undone, seq);
CREATE TABLE sequence(kind TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE draft(slot INTEGER PRIMARY KEY CHECK (slot = 1), image_id INTEGER NOT NULL, prompts TEXT NOT NULL);
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL);
PRAGMA application_id = 1095651156;
PRAGMA user_version = 1000;
"""
"""As version 1.0 made its files; never to be changed."""
DRAFT = {"points": [[20.0, 21.0, 1]], "box": None, "from_mask": False}


def old_project(folder: Path) -> Path:
    """A file of version 1.0: an object was accepted on each of two images, the second was taken back, and a third is
    in work."""
    mask = disc(20, 20, 9)
    x, y, w, h = mask.bbox_xywh
    images = [[i, f"{i}.png", "", WIDTH, HEIGHT, "in progress" if i == 1 else "unseen", {}] for i in (1, 2)]
    tail = [WIDTH, HEIGHT, 0.9, "click", DRAFT, "nano", "ab", "", 1, 2.5, False, "anna", "2026-01-01T00:00:00", {}]
    objects = [[i, i, 1, x, y, w, h, mask.area, mask.rle().decode(), *tail] for i in (1, 2)]
    path = folder / f"{folder.name}.annot"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1_0)
    connection.executemany("INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?)", [(*i[:6], "{}") for i in images])
    connection.execute("INSERT INTO category VALUES (1, 'goat', '#e69f00', 1, '{}')")
    row = [json.dumps(v) if isinstance(v, dict) else v for v in objects[0]]
    row[8] = objects[0][8].encode()
    connection.execute(f"INSERT INTO annotation VALUES ({', '.join('?' * len(row))})", row)
    for number, undone in ((0, 0), (1, 1)):
        before = ["image", *images[number][:5], "unseen", {}]
        after = ["image", *images[number][:5], "in progress", {}]
        changes = json.dumps([[None, ["annotation", *objects[number]]], [before, after]]).encode()
        values = ("2026-01-01", "anna", "accept object", changes, undone)
        connection.execute("INSERT INTO edit(at, author, name, changes, undone) VALUES (?, ?, ?, ?, ?)", values)
    connection.executemany("INSERT INTO sequence VALUES (?, ?)", [("image", 3), ("category", 2), ("annotation", 3)])
    connection.execute("INSERT INTO draft VALUES (1, 2, ?)", (json.dumps(DRAFT),))
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)", [("image_root", "."), ("image_root_absolute", str(folder))]
    )
    connection.commit()
    connection.close()
    return path


VERSION_1_1 = Path(__file__).parent / "projects" / "version-1.1.annot.gz"
"""Written by version 1.1 itself, with the images a.png, b.png and stack.tif (8 x 6 pixels): two objects were accepted
on the first and one on the last; a class was added; the second object got it and the first was deleted; b was marked
empty, which ended its draft; a was marked done, which was undone. The stack has a draft."""


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def project_1_1(folder: Path) -> Path:
    path = folder / "set.annot"
    path.write_bytes(gzip.decompress(VERSION_1_1.read_bytes()))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path, ("1.png", "2.png"))


def test_a_project_of_version_1_0_opens_with_its_history_and_its_draft(folder: Path) -> None:
    path = old_project(folder)
    with ProjectStore.open_folder(folder) as store:
        assert not store.is_read_only
        assert any("set.annot.backup-1000" in notice for notice in store.notices)
        assert store.draft_counts() == {2: 1}
        assert store.draft(2) == DRAFT
        (kept,) = store.all_annotations()
        assert (store.undo_name, store.redo_name) == ("accept object", "accept object")
        store.redo()
        assert [a.id for a in store.all_annotations()] == [1, 2]
        assert [image.status for image in store.images()] == [Status.IN_PROGRESS] * 2
        store.undo()
        store.undo()
        assert list(store.all_annotations()) == []
        assert store.image(1).status is Status.UNSEEN
        store.redo()
        assert list(store.all_annotations()) == [kept]
        assert kept.mask().area == kept.area == disc(20, 20, 9).area
        assert store.draft(2) == DRAFT
    with ProjectStore.open(path) as again:
        assert again.notices == ()
        assert again._connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert again._connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with ProjectStore.open(path.with_name("set.annot.backup-1000"), read_only=True) as backup:
        assert len(list(backup.all_annotations())) == 1
    assert version_of(path.with_name("set.annot.backup-1000")) == 1000


def test_a_migrated_project_has_the_tables_of_a_new_one(folder: Path, tmp_path: Path) -> None:
    def columns(path: Path) -> dict[str, list[str]]:
        connection = sqlite3.connect(path)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        found = {t: sorted(row[1] for row in connection.execute(f"PRAGMA table_info({t})")) for (t,) in tables}
        connection.close()
        return found

    path = old_project(folder)
    ProjectStore.open(path).close()
    ProjectStore.create(tmp_path / "new.annot", folder).close()
    assert columns(path) == columns(tmp_path / "new.annot")


def test_a_project_of_version_1_0_can_be_read_as_it_is(folder: Path) -> None:
    path = old_project(folder)
    before = path.read_bytes()
    with ProjectStore.open(path, read_only=True) as store:
        assert store.draft_counts() == {2: 1}
        assert store.draft(2) == DRAFT
        assert len(store.annotations(1)) == 1
    assert path.read_bytes() == before
    assert not path.with_name("set.annot.backup-1000").exists()


def test_a_draft_for_an_image_that_is_not_there_does_not_stop_the_migration(folder: Path) -> None:
    path = old_project(folder)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE draft SET image_id = 99")
    connection.commit()
    connection.close()
    with ProjectStore.open(path) as store:
        assert store.draft_counts() == {}
        assert len(list(store.all_annotations())) == 1


def test_a_file_of_this_version_without_its_drafts_is_damaged(folder: Path) -> None:
    path = old_project(folder)
    ProjectStore.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE image_draft")
    connection.commit()
    connection.close()
    with pytest.raises(ProjectError, match="image_draft is gone"):
        ProjectStore.open(path)


def test_a_project_of_version_1_1_opens_with_its_history_and_its_drafts(tmp_path: Path) -> None:
    path = project_1_1(tmp_path)
    with ProjectStore.open(path) as store:
        assert [notice for notice in store.notices if "set.annot.backup-1001" in notice]
        assert [(image.path, image.frame, image.series_id, image.status) for image in store.images()] == [
            ("a.png", 0, 0, Status.IN_PROGRESS),
            ("b.png", 0, 0, Status.EMPTY),
            ("stack.tif", 0, 0, Status.IN_PROGRESS),
        ]
        objects = [*store.all_annotations()]
        assert [(a.id, a.image_id, a.category_id, a.area, a.author) for a in objects] == [
            (2, 1, 2, 9, "Ann"),
            (3, 3, 1, 16, "Ann"),
        ]
        assert {(a.track_id, a.review, a.note) for a in objects} == {(0, Review.OPEN, "")}
        assert objects[0].extra == {"attributes": {"ripe": True}}
        assert store.draft_counts() == {3: 1}
        assert (store.undo_name, store.redo_name) == ("mark empty", "mark done")
        undone = []
        while name := store.undo_name:
            undone.append(name)
            store.undo()
        assert undone == [
            *("mark empty", "delete object", "change class", "add class"),
            *("accept object", "accept object", "accept object"),
        ]
        assert [*store.all_annotations()] == []
        assert store.draft_counts() == {2: 1, 3: 1}
        assert [image.status for image in store.images()] == [Status.UNSEEN] * 3
        while store.redo():
            pass
        assert [*store.all_annotations()] == objects
        assert store.image(1).status is Status.DONE
        assert store._connection.execute("PRAGMA foreign_key_check").fetchall() == []
    backup = path.with_name("set.annot.backup-1001")
    assert version_of(backup) == 1001
    assert version_of(path) == SCHEMA_VERSION


def test_a_project_of_version_1_1_is_read_as_it_is(tmp_path: Path) -> None:
    path = project_1_1(tmp_path)
    before = path.read_bytes()
    with ProjectStore.open(path, read_only=True) as store:
        assert [image.name for image in store.images()] == ["a.png", "b.png", "stack.tif"]
        assert [a.note for a in store.all_annotations()] == ["", ""]
        assert store.draft_counts() == {3: 1}
    assert path.read_bytes() == before
    copy = make_plain_copy(path)
    assert copy.is_whole
    with ProjectStore.open(copy.path) as store:
        assert [a.id for a in store.all_annotations()] == [2, 3]


def test_a_later_change_is_kept_when_an_old_edit_is_undone(tmp_path: Path) -> None:
    """An edit of version 1.1 knows nothing of the new fields: taking it back leaves them alone."""
    path = project_1_1(tmp_path)
    with ProjectStore.open(path) as store:
        store.restore(_with(store.annotation(2), note="look again", track_id=7))
        while store.undo_name != "change class":
            store.undo()
        store.undo()
        assert (store.annotation(2).category_id, store.annotation(2).note) == (1, "look again")
        assert store.annotation(2).track_id == 7


def _with(annotation: Annotation, **changed: object) -> Annotation:
    return replace(annotation, **changed)  # type: ignore[arg-type]


KILLED_AT = (
    *("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE", "DROP TABLE draft", "INSERT INTO new_image", "DROP TABLE image"),
    *("ALTER TABLE new_image", "CREATE TABLE series", "ALTER TABLE annotation", "PRAGMA user_version = 2001", "COMMIT"),
    "PRAGMA foreign_keys = ON",
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("statement", KILLED_AT)
def test_a_kill_during_the_migration_loses_nothing(tmp_path: Path, statement: str) -> None:
    path = project_1_1(tmp_path)
    before = rows_of(path)
    child = os.fork()
    if child == 0:
        open_and_die(path, statement)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with ProjectStore.open(path) as store:
        assert not store.is_read_only
        assert (store.undo_name, store.redo_name) == ("mark empty", "mark done")
    for table, rows in rows_of(path).items():
        known = len(before[table][0])
        assert [row[:known] for row in rows if row[0] not in ("series", "attribute")] == before[table]
    (backup,) = tmp_path.glob("*.backup-1001")
    assert rows_of(backup) == before
    assert not [*tmp_path.glob(".*.part")]


def open_and_die(path: Path, statement: str) -> None:
    """In a child: killed before the statement that begins like this, after the backup."""
    is_late = False

    def trace(sql: str) -> None:
        nonlocal is_late
        is_late = is_late or sql == "PRAGMA foreign_keys = OFF"
        if is_late and sql.strip().startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(to: Path) -> sqlite3.Connection:
        connection = connect_reader(to)
        connection.set_trace_callback(trace)
        return connection

    opening.connect_reader = connect
    try:
        ProjectStore.open(path)
    finally:
        os._exit(1)


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    tables = ("image", "category", "annotation", "edit", "image_draft", "sequence")
    found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}
    connection.close()
    return found
