from __future__ import annotations

import json
import os
import sqlite3
import stat
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.errors import ImageError, ProjectElsewhereError, ProjectError, ProjectReadOnlyError
from annotator.domain.mask import Mask
from annotator.domain.project import (
    Annotation,
    Category,
    Edit,
    ImageRecord,
    RowChange,
    Status,
    accept_edit,
    delete_edit,
    mark_empty_edit,
    status_edit,
)
from annotator.io.project import connect as store_open
from annotator.io.project import lock as store_lock
from annotator.io.project import place as store_place
from annotator.io.project.edit_rows import UNDO_CAP
from annotator.io.project.lock import describe_owner, lock_path
from annotator.io.project.migrations import Migration, migrate
from annotator.io.project.place import find_project, free_place
from annotator.io.project.schema import COLUMNS, SCHEMA_VERSION
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, annotation, disc, document, image_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path, ("10.png", "2.png", "sub/1.png"))


@pytest.fixture
def store(folder: Path):
    opened = ProjectStore.open_folder(folder, author="anna")
    yield opened
    opened.close()


def forbid_writing(monkeypatch: pytest.MonkeyPatch, *forbidden: Path) -> None:
    """As for a person without rights (tests may run as root, for whom everything can be written)."""
    real = os.access

    def access(path, mode, **options):  # type: ignore[no-untyped-def]
        return False if mode & os.W_OK and Path(path) in forbidden else real(path, mode, **options)

    monkeypatch.setattr(os, "access", access)


# --- opening ---------------------------------------------------------------------------------------------------------


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


# --- one writer ------------------------------------------------------------------------------------------------------


def test_the_second_opener_reads_only_and_knows_why(store: ProjectStore, folder: Path) -> None:
    accept(store, 1, disc(20, 20, 9))
    with ProjectStore.open_folder(folder, author="bert") as second:
        assert second.is_read_only
        assert "anna" in second.read_only_reason
        assert str(os.getpid()) in second.read_only_reason
        assert len(second.annotations(1)) == 1
        accept(store, 1, disc(40, 20, 9))
        assert len(second.annotations(1)) == 2
        for forbidden in (second.undo, second.redo, second.sync_folder, lambda: second.apply(Edit("x", ()))):
            with pytest.raises(ProjectReadOnlyError, match="read-only"):
                forbidden()
        second.meta_set("position", "3")
        second.save_drafts({1: {"points": []}})
        second.record_image_facts(1, sha256="00", width=1, height=1)
        assert second.meta_get("position") is None
        assert store.draft_counts() == {}
    store.close()
    assert not lock_path(store.path).exists()
    with ProjectStore.open_folder(folder) as third:
        assert not third.is_read_only


def test_an_export_reads_beside_the_writer_and_does_not_take_its_place(store: ProjectStore) -> None:
    with ProjectStore.open(store.path, read_only=True) as reader:
        assert reader.is_read_only
    accept(store, 1, disc(20, 20, 9))
    store.close()
    with ProjectStore.open(store.path, read_only=True), ProjectStore.open(store.path) as writer:
        assert not writer.is_read_only


def test_a_snapshot_does_not_move(store: ProjectStore) -> None:
    with ProjectStore.open(store.path, read_only=True) as reader:
        with reader.snapshot():
            assert reader.annotations(1) == []
            accept(store, 1, disc(20, 20, 9))
            assert reader.annotations(1) == []
        assert len(reader.annotations(1)) == 1


def test_a_read_only_folder_asks_for_a_place(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_writing(monkeypatch, folder)
    with pytest.raises(ProjectReadOnlyError, match="Name another place"):
        ProjectStore.open_folder(folder)
    assert not (folder / "set.annot").exists()
    with ProjectStore.open_folder(folder, project_path=tmp_path / "x.annot") as made:
        assert not made.is_read_only
        assert len(made.images()) == 3


def test_a_project_on_a_read_only_medium_can_be_read(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(store, 1, disc(20, 20, 9))
    store.close()
    forbid_writing(monkeypatch, store.path, store.path.parent)
    with ProjectStore.open_folder(store.path.parent) as opened:
        assert opened.is_read_only
        assert "cannot be written" in opened.read_only_reason
        assert len(opened.annotations(1)) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a person without all rights")
def test_a_folder_without_the_right_to_write(folder: Path) -> None:
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(ProjectReadOnlyError):
            ProjectStore.open_folder(folder)
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_network_drive_gets_the_classic_journal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_open, "is_on_network", lambda path: True)
    with ProjectStore.open_folder(folder) as opened:
        assert "journal" in opened.notices[0]
        accept(opened, 1, disc(20, 20, 9))
        opened.save_drafts({1: {"points": []}})
        assert not opened.path.with_name("set.annot-wal").exists()
    with ProjectStore.open_folder(folder) as again:
        assert len(again.annotations(1)) == 1


def test_a_drive_without_locks_is_used_with_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(project: Path, *, author: str = "") -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(store_place.ProjectLock, "acquire", no_locks)
    with ProjectStore.open_folder(folder) as opened:
        assert not opened.is_read_only
        assert "no locks" in opened.notices[0]


def forbid_own_lock(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As for a lock file that another person made: it may be read only, until it is removed."""
    real, foreign = os.open, path.stat().st_ino

    def opened(name, flags, *rest, **options):  # type: ignore[no-untyped-def]
        is_foreign = Path(name) == path and path.exists() and path.stat().st_ino == foreign
        if is_foreign and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(name))
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", opened)


@pytest.mark.skipif(os.name != "posix", reason="flock")
def test_the_lock_that_somebody_else_left_is_taken_over(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    lock = lock_path(store.path)
    lock.write_text('{"user": "bert", "host": "desk-7", "pid": 4711}')
    keep = lock.open()  # so that the number of the file is not used again
    forbid_own_lock(monkeypatch, lock)
    with ProjectStore.open(store.path) as opened:
        assert not opened.is_read_only
        assert describe_owner(store.path) != "bert on desk-7 (process 4711)"
    keep.close()


@pytest.mark.skipif(os.name != "posix", reason="flock")
def test_the_lock_that_somebody_else_holds_is_respected(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_own_lock(monkeypatch, lock_path(store.path))
    with ProjectStore.open(store.path) as second:
        assert "anna" in second.read_only_reason
    assert lock_path(store.path).exists()


@pytest.mark.skipif(os.name != "posix", reason="flock")
def test_a_lock_that_cannot_be_taken_over_says_so(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    lock = lock_path(store.path)
    lock.touch()
    forbid_own_lock(monkeypatch, lock)

    def sticky(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "unlink", sticky)
    with ProjectStore.open(store.path) as opened:
        assert "somebody else's" in opened.read_only_reason
    monkeypatch.undo()


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_the_lock_is_as_open_to_others_as_the_project(store: ProjectStore) -> None:
    store.close()
    store.path.chmod(0o666)
    with ProjectStore.open(store.path) as opened:
        assert stat.S_IMODE(lock_path(opened.path).stat().st_mode) == 0o666


def test_a_full_disk_leaves_the_project_readable(store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(store, 1, disc(20, 20, 9))
    store.close()

    def full(descriptor: int, author: str, tokens: tuple[str, ...]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_lock, "_write_owner", full)
    with ProjectStore.open_folder(store.path.parent) as opened:
        assert opened.read_only_reason == "The disk is full."
        assert len(opened.annotations(1)) == 1
        assert not lock_path(opened.path).exists()
    with pytest.raises(ProjectReadOnlyError, match="The disk is full"):
        ProjectStore.create(store.path.with_name("new.annot"), store.path.parent)


# --- edits -----------------------------------------------------------------------------------------------------------


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


# --- beside the document ---------------------------------------------------------------------------------------------


DRAFT = {"points": [[1.5, 2.5, 1]], "box": None, "from_mask": False}
WAITING = {**DRAFT, "accepted": [{"points": [[9.5, 9.5, 1]], "box": None, "accepted_as": 1}]}


def test_every_image_has_its_own_draft(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT, 2: WAITING})
    store.save_drafts({3: DRAFT})
    with ProjectStore.open(store.path, read_only=True) as other:
        assert [other.draft(image_id) for image_id in (1, 2, 3)] == [DRAFT, WAITING, DRAFT]
        assert other.draft_counts() == {1: 1, 2: 2, 3: 1}
    store.save_drafts({1: None, 3: WAITING})
    assert [store.draft(image_id) for image_id in (1, 2, 3)] == [None, WAITING, WAITING]


def test_an_object_and_what_is_in_work_behind_it_are_written_together(store: ProjectStore) -> None:
    store.save_drafts({1: WAITING, 2: DRAFT})
    seen: list[tuple[int, object]] = []
    made = annotation(store, 1, disc(20, 20, 9))
    with ProjectStore.open(store.path, read_only=True) as other:
        # What another sees between any two statements of the writer is what a crash there would leave.
        store._connection.set_trace_callback(lambda _sql: seen.append((len(other.annotations(1)), other.draft(1))))
        store.apply(accept_edit(made, store.image(1)), kept={1: DRAFT})
        store._connection.set_trace_callback(None)
        seen.append((len(other.annotations(1)), other.draft(1)))
    assert len(seen) > 4
    assert [one for one in seen if one not in ((0, WAITING), (1, DRAFT))] == []
    assert store.draft(2) == DRAFT


def test_an_import_ends_no_draft(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT})
    accept(store, 1, disc(20, 20, 9))
    assert store.draft(1) == DRAFT


def test_marking_an_image_empty_ends_its_draft_and_undo_brings_it_back(store: ProjectStore) -> None:
    made = accept(store, 1, disc(20, 20, 9))
    store.save_drafts({1: WAITING, 2: DRAFT})
    store.apply(mark_empty_edit(store.image(1), (made,)))
    assert store.draft_counts() == {2: 1}
    store.undo()
    assert (store.draft(1), store.annotations(1)) == (WAITING, [made])
    store.save_drafts({1: DRAFT})
    store.redo()
    assert store.draft_counts() == {2: 1}
    store.undo()
    assert store.draft(1) == DRAFT  # as it was before the redo
    store.redo()
    store.save_drafts({1: WAITING})
    store.undo()
    assert store.draft(1) == WAITING  # what was begun since is worth more


def test_a_draft_that_cannot_be_read_is_not_in_the_way(store: ProjectStore) -> None:
    store.save_drafts({1: DRAFT})
    store._connection.execute("UPDATE image_draft SET data = 'no JSON'")
    assert store.draft(1) == {}
    assert store.draft_counts() == {1: 1}
    store.save_drafts({1: DRAFT})
    store.apply(mark_empty_edit(store.image(1), ()))
    store._connection.execute("UPDATE edit SET drafts = 'no JSON'")
    assert store.undo() is not None
    assert store.draft_counts() == {}


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
