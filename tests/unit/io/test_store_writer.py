"""One process writes a project; the others read, and are told why."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from annotator.domain.errors import ProjectReadOnlyError
from annotator.domain.project import (
    Edit,
)
from annotator.io.project import connect as store_open
from annotator.io.project import lock as store_lock
from annotator.io.project import place as store_place
from annotator.io.project.lock import describe_owner, lock_path
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc


def forbid_writing(monkeypatch: pytest.MonkeyPatch, *forbidden: Path) -> None:
    """As for a person without rights (tests may run as root, for whom everything can be written)."""
    real = os.access

    def access(path, mode, **options):  # type: ignore[no-untyped-def]
        return False if mode & os.W_OK and Path(path) in forbidden else real(path, mode, **options)

    monkeypatch.setattr(os, "access", access)


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
