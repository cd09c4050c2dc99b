"""Opening a project, what is there afterwards, and what is kept beside its objects."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.errors import ImageError, ProjectElsewhereError, ProjectError
from annotator.domain.mask import Mask
from annotator.domain.project import (
    Annotation,
    Category,
    ImageRecord,
    Status,
)
from annotator.io.project.lock import lock_path
from annotator.io.project.migrations import Migration, migrate
from annotator.io.project.place import find_project, free_place
from annotator.io.project.schema import COLUMNS, SCHEMA_VERSION
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, document, image_folder


def test_a_new_project_lies_in_the_folder_and_knows_its_images(store: ProjectStore, folder: Path) -> None:
    assert store.path == folder / "set.annot"
    assert store.image_root == folder.resolve()
    assert not store.is_read_only
    assert [image.path for image in store.images()] == ["2.png", "10.png", "sub/1.png"]
    assert [image.id for image in store.images()] == [1, 2, 3]
    assert store.image_path(store.image(3)) == folder.resolve() / "sub" / "1.png"
    assert [(c.id, c.name, c.key) for c in store.categories()] == [(1, "object", 1)]
    assert store.status_counts() == {
        Status.UNSEEN: 3,
        Status.IN_PROGRESS: 0,
        Status.EMPTY: 0,
        Status.DONE: 0,
    }
    assert store.undo_name is None
    assert store.undo() is None
    assert store.redo() is None
    with pytest.raises(KeyError):
        store.image(99)


def test_everything_is_there_after_reopening(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as first:
        accept(first, 2, disc(20, 20, 9), score=np.float32(0.5), prompts={"points": [[1.5, 2, 1]], "box": None})
        accept(first, 1, disc(20, 20, 5, hole=2), is_crowd=True, extra={"attributes": {"a": [1, None, "ä"]}})
        before = document(first)
    with ProjectStore.open_folder(folder) as second:
        assert document(second) == before
        assert second.annotations(2)[0].score == 0.5
        assert second.annotation(2).is_crowd
        assert second.annotation_counts() == {1: 1, 2: 1}
        assert second.undo_name == "accept object"


def test_a_project_may_lie_elsewhere_and_move_with_its_images(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "projects").mkdir()
    place = tmp_path / "projects" / "mine.annot"
    with ProjectStore.open_folder(folder, project_path=place) as made:
        assert made.path == place
        assert not (folder / "set.annot").exists()
    moved = tmp_path / "moved"
    moved.mkdir()
    os.rename(tmp_path / "projects", moved / "projects")
    os.rename(folder, moved / "set")
    with ProjectStore.open(moved / "projects" / "mine.annot") as opened:
        assert opened.image_root == (moved / "set").resolve()
    os.rename(moved / "projects" / "mine.annot", tmp_path / "mine.annot")
    os.rename(moved / "set", folder)
    with ProjectStore.open(tmp_path / "mine.annot") as opened:
        assert opened.image_root == folder.resolve()


def test_a_renamed_folder_keeps_its_project(folder: Path, tmp_path: Path) -> None:
    ProjectStore.open_folder(folder).close()
    os.rename(folder, tmp_path / "renamed")
    with ProjectStore.open_folder(tmp_path / "renamed") as opened:
        assert opened.path.name == "set.annot"
        opened.backup(tmp_path / "renamed" / "second.annot")
    with pytest.raises(ProjectError, match="several"):
        find_project(tmp_path / "renamed")


def test_a_project_is_not_taken_to_another_folder(tmp_path: Path) -> None:
    first, second = (image_folder(tmp_path / name, ("1.png",)) for name in ("patient1", "patient2"))
    place = tmp_path / "set.annot"
    with ProjectStore.open_folder(first, project_path=place) as made:
        accept(made, 1, disc(20, 20, 9))
    with pytest.raises(
        ProjectElsewhereError, match=r"set\.annot belongs to the folder .*patient1.* Name another place"
    ):
        ProjectStore.open_folder(second, project_path=place)
    assert not lock_path(place).exists()
    assert free_place(tmp_path, second) == tmp_path / "set-2.annot"
    assert free_place(tmp_path, first) == place
    assert free_place(tmp_path / "patient1", first) == tmp_path / "patient1" / "set.annot"
    with ProjectStore.open(place) as again:
        assert again.image_root == first
    os.rename(tmp_path / "patient1", tmp_path / "gone")
    assert free_place(tmp_path, second) == tmp_path / "set-2.annot"
    with ProjectStore.open_folder(tmp_path / "gone" / "set", project_path=place) as moved:
        assert moved.image_root == tmp_path / "gone" / "set"
        assert "were in" in moved.notices[0]
        assert len(moved.annotations(1)) == 1


def test_a_project_of_a_sub_folder_is_not_that_of_the_folder(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, ("scans/1.png", "2.png"))
    with ProjectStore.open_folder(folder / "scans", project_path=folder / "scans.annot") as inner:
        accept(inner, 1, disc(20, 20, 9))
    assert find_project(folder) is None
    with ProjectStore.open_folder(folder) as outer:
        assert outer.path == folder / "set.annot"
        assert [image.path for image in outer.images()] == ["2.png", "scans/1.png"]
    with ProjectStore.open(folder / "scans.annot") as again:
        assert again.image_root == folder / "scans"


def test_a_project_that_cannot_be_read_is_still_the_one_in_its_folder(folder: Path) -> None:
    (folder / "other.annot").write_text("hello " * 1000)
    assert find_project(folder) == folder / "other.annot"


def test_a_link_to_a_project_is_the_same_project(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "shared.annot"
    with ProjectStore.open_folder(folder) as first:
        link.symlink_to(first.path)
        with ProjectStore.open(link) as second:
            assert second.is_read_only
            assert second.image_root == folder
    with ProjectStore.open(link) as alone:
        assert not alone.is_read_only
        assert alone.path == folder / "set.annot"
    (folder / "set.annot").write_text("hello " * 1000)
    with pytest.raises(ProjectError, match=r"shared\.annot is damaged"):
        ProjectStore.open(link)


def test_new_files_are_taken_in_and_lost_ones_kept(store: ProjectStore, folder: Path) -> None:
    os.remove(folder / "10.png")
    Image.new("L", (5, 5)).save(folder / "3.png")
    change = store.sync_folder()
    assert change.image_ids == {4}
    assert [image.path for image in store.images()] == ["2.png", "10.png", "sub/1.png", "3.png"]
    assert store.undo_name is None
    assert store.sync_folder().image_ids == frozenset()


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project file"):
        ProjectStore.open(tmp_path / "no.annot")
    with pytest.raises(ProjectError, match="no folder"):
        ProjectStore.open_folder(tmp_path / "no")
    (tmp_path / "zero.annot").touch()
    with pytest.raises(ProjectError, match="empty"):
        ProjectStore.open(tmp_path / "zero.annot")
    (tmp_path / "text.annot").write_text("hello " * 1000)
    with pytest.raises(ProjectError, match="damaged or not"):
        ProjectStore.open(tmp_path / "text.annot")
    other = sqlite3.connect(tmp_path / "other.annot")
    other.execute("CREATE TABLE t(a)")
    other.close()
    before = (tmp_path / "other.annot").read_bytes()
    with pytest.raises(ProjectError, match="not an annotator project"):
        ProjectStore.open(tmp_path / "other.annot")
    assert (tmp_path / "other.annot").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.annot", "text.annot", "zero.annot"]


@pytest.mark.parametrize("damage", ["cut", "zeros", "noise"])
def test_a_damaged_project_is_refused_with_a_message(store: ProjectStore, damage: str) -> None:
    for number in range(40):
        accept(store, 1 + number % 3, disc(20, 20, 3 + number % 9))
    store.close()
    data = bytearray(store.path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "zeros":
        data[4096:] = bytes(len(data) - 4096)
    else:
        data[4096:] = np.random.default_rng(0).bytes(len(data) - 4096)
    store.path.write_bytes(data)
    with pytest.raises(ProjectError, match="damaged"):
        ProjectStore.open(store.path)
    assert not lock_path(store.path).exists()


def test_a_broken_row_is_told(store: ProjectStore) -> None:
    store._connection.execute("UPDATE image SET status = 'nonsense' WHERE id = 2")
    assert [image.status for image in store.images()] == [Status.UNSEEN] * 3
    assert "image 2 was mended" in str(store.damage["image", 2])


def set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_versions(store: ProjectStore) -> None:
    store.close()
    set_version(store.path, SCHEMA_VERSION + 1000)
    with pytest.raises(ProjectError, match="newer version"):
        ProjectStore.open(store.path)
    set_version(store.path, SCHEMA_VERSION + 1)
    ProjectStore.open(store.path).close()


def test_migration_is_all_or_nothing_and_leaves_a_backup(store: ProjectStore) -> None:
    accept(store, 1, disc(20, 20, 9))
    connection, path = store._connection, store.path

    def first(to: sqlite3.Connection) -> None:
        to.execute("ALTER TABLE image ADD COLUMN assignee TEXT NOT NULL DEFAULT ''")

    def broken(to: sqlite3.Connection) -> None:
        to.execute("DELETE FROM annotation")
        raise sqlite3.OperationalError("boom")

    target = SCHEMA_VERSION + 2
    steps = {SCHEMA_VERSION: Migration(SCHEMA_VERSION + 1, first), SCHEMA_VERSION + 1: Migration(target, broken)}
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, version=SCHEMA_VERSION, target=target, migrations=steps)
    assert len(store.annotations(1)) == 1
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    steps[SCHEMA_VERSION + 1] = Migration(target, lambda to: None)
    backup = migrate(connection, path, version=SCHEMA_VERSION, target=target, migrations=steps)
    assert backup is not None
    assert connection.execute("PRAGMA user_version").fetchone() == (target,)
    assert connection.execute("SELECT DISTINCT assignee FROM image").fetchall() == [("",)]
    with ProjectStore.open(backup, read_only=True) as old:
        assert len(old.annotations(1)) == 1
    with pytest.raises(ProjectError, match="cannot be brought"):
        migrate(connection, path, version=target, target=target + 1, migrations={})


def test_remembered_texts(store: ProjectStore) -> None:
    assert store.meta_get("position") is None
    assert store.meta_get("position", "7") == "7"
    store.meta_set("position", "3")
    assert store.meta_get("position") == "3"


def test_facts_are_merged_and_a_replaced_file_is_noticed(store: ProjectStore) -> None:
    assert store.record_image_facts(1, sha256="ab", width=64, height=48, extra={"a": 1}).image_ids == {1}
    assert store.record_image_facts(1, sha256="ab", width=64, height=48).image_ids == frozenset()
    store.record_image_facts(1, sha256="", width=0, height=0, extra={"b": 2})
    assert (store.image(1).sha256, store.image(1).extra) == ("ab", {"a": 1, "b": 2})
    accept(store, 1, disc(20, 20, 9))
    with pytest.raises(ProjectError, match="was replaced"):
        store.record_image_facts(1, sha256="cd", width=48, height=64)
    assert store.image(1).width == 64


def test_another_file_of_the_same_size_is_told_when_there_are_objects(store: ProjectStore) -> None:
    store.record_image_facts(1, sha256="ab", width=64, height=48)
    assert store.record_image_facts(1, sha256="cd", width=64, height=48).notice == ""
    accept(store, 1, disc(20, 20, 9))
    with ProjectStore.open(store.path, read_only=True) as reader:
        assert "2.png is another file" in reader.record_image_facts(1, sha256="ef", width=64, height=48).notice
    assert "1 object " in store.record_image_facts(1, sha256="ef", width=64, height=48).notice
    assert store.image(1).sha256 == "ef"
    assert store.record_image_facts(1, sha256="ef", width=64, height=48).notice == ""


def test_backup(store: ProjectStore, tmp_path: Path) -> None:
    accept(store, 1, disc(20, 20, 9))
    store.backup(tmp_path / "copy.annot")
    with ProjectStore.open(tmp_path / "copy.annot", read_only=True) as copy:
        assert list(copy.all_annotations()) == list(store.all_annotations())
    with pytest.raises(ProjectError, match="another name"):
        store.backup(store.path)
    with pytest.raises(ProjectError, match="cannot be written"):
        store.backup(tmp_path / "no" / "copy.annot")


def test_a_full_disk_loses_nothing(store: ProjectStore) -> None:
    kept = [accept(store, 1, disc(20, 20, 3 + n % 9)) for n in range(5)]
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    noisy = np.random.default_rng(0).random((48, 64)) < 0.5
    failed: list[ProjectError] = []
    for _ in range(40):
        before = document(store)
        try:
            kept.append(accept(store, 1, Mask.from_full(noisy)))
        except ProjectError as error:
            failed.append(error)
            assert document(store) == before
    assert failed
    assert all("disk is full" in error.message for error in failed)
    store._connection.execute("PRAGMA max_page_count = 1073741823")
    kept.append(accept(store, 1, disc(9, 9, 5)))
    store.close()
    with ProjectStore.open(store.path) as again:
        assert list(again.all_annotations()) == kept


def test_a_path_out_of_the_folder_is_refused(store: ProjectStore) -> None:
    for bad in ("../secret.png", "/etc/passwd", "a/../../b.png", ""):
        with pytest.raises(ProjectError, match="leaves"):
            store.image_path(replace(store.image(1), path=bad))


def test_a_folder_that_is_gone(store: ProjectStore, folder: Path, tmp_path: Path) -> None:
    os.rename(folder / "set.annot", tmp_path / "kept.annot")
    with pytest.raises((ImageError, ProjectError)):
        ProjectStore.open_folder(tmp_path / "no folder")


def test_columns_have_the_order_of_the_fields() -> None:
    """Rows are made by place."""
    for table, kind in (("image", ImageRecord), ("category", Category), ("annotation", Annotation)):
        assert COLUMNS[table] == tuple(field.name for field in fields(kind))


def test_a_link_in_the_image_folder_leads_to_its_images(tmp_path: Path) -> None:
    """As versions wrote it that knew the project by the link's place: the way to the images is "." from there."""
    folder = image_folder(tmp_path, ("1.png",))
    away = tmp_path / "away"
    away.mkdir()
    (away / "foreign.png").write_bytes((folder / "1.png").read_bytes())
    with ProjectStore.open_folder(folder) as made:
        path = made.path
    path.rename(away / path.name)
    path.symlink_to(away / path.name)
    for opened in (ProjectStore.open_folder(folder), ProjectStore.open(path)):
        with opened:
            assert opened.image_root == folder
            assert [image.path for image in opened.images()] == ["1.png"]
    assert find_project(folder) == path


@pytest.mark.parametrize(
    "texts", [("x", "{}"), ('{"a":1', '"b":2}'), ("{},{}", '{"a":1}'), ("[1", "2]"), ("", '{"a":1}')]
)
def test_a_damaged_row_is_told_and_not_mixed_with_its_neighbour(tmp_path: Path, texts: tuple[str, str]) -> None:
    folder = image_folder(tmp_path, ("1.png",))
    with ProjectStore.open_folder(folder) as store:
        for place in (10, 40):
            accept(store, 1, disc(place, 20, 5))
        assert [row.prompts for row in store.annotations(1)] == [{}, {}]
        for row_id, text in enumerate(texts, 1):
            store._connection.execute("UPDATE annotation SET prompts = ? WHERE id = ?", (text, row_id))
        rows = {row.id: row.prompts for row in store.annotations(1)}
        for row_id, text in enumerate(texts, 1):
            is_sound = text in ("{}", '{"a":1}')
            assert rows[row_id] == (json.loads(text) if is_sound else {})
            assert (("annotation", row_id) in store.damage) is not is_sound
