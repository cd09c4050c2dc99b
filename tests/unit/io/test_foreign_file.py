"""Another file takes the place of a project that is open, or was at a crash: both stay as they are."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.errors import ProjectReplacedError
from annotator.domain.project import delete_edit
from annotator.io.project import held
from annotator.io.project.identity import FileState
from annotator.io.project.journal import _sums, find_damage, journal_path
from annotator.io.project.lock import lock_path
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path)


@pytest.fixture
def older(folder: Path, tmp_path: Path) -> Path:
    """The project as it was a while ago, with one object; meanwhile it has two."""
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
    kept = Path(shutil.copyfile(folder / "set.annot", tmp_path / "older.annot"))
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(25, 20, 9))
    return kept


def outside(*command: object) -> None:
    """As another program does it: what this process does with the file would touch SQLite's locks."""
    subprocess.run([str(part) for part in command], check=True)


def by_rename(path: Path, other: Path) -> None:
    copy = Path(shutil.copyfile(other, other.with_name("copy.annot")))
    os.replace(copy, path)


def by_content(path: Path, other: Path) -> None:
    outside("cp", other, path)


def by_larger_content(path: Path, other: Path) -> None:
    outside("sh", "-c", f"head -c 90000 /dev/zero >> '{other}' && cat '{other}' > '{path}'")


def by_emptying(path: Path, other: Path) -> None:
    outside("truncate", "-s", "0", path)


def by_cutting(path: Path, other: Path) -> None:
    outside("truncate", "-s", "9000", path)


WAYS = [by_rename, by_content, by_larger_content, by_emptying, by_cutting]
Way = Callable[[Path, Path], None]


def work_on(store: ProjectStore) -> None:
    """More than SQLite would keep in a small cache, and an orderly checkpoint before it."""
    noise = np.random.default_rng(0)
    for number in range(40):
        accept(store, 1 + number % 3, disc(20, 20, 3 + number % 15), extra={"noise": noise.bytes(3000).hex()})


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_written_into_a_file_that_took_the_place(folder: Path, older: Path, way: Way) -> None:
    store = ProjectStore.open_folder(folder)
    work_on(store)
    mine = list(store.all_annotations())
    way(store.path, older)
    foreign = store.path.read_bytes() if way is by_rename else subprocess.check_output(["cat", store.path])
    assert store.held.state().is_foreign
    for write in (
        lambda: accept(store, 1, disc(30, 20, 5)),
        lambda: store.meta_set("position", "3"),
        lambda: store.save_drafts({1: {"points": []}}),
        lambda: store.record_image_facts(1, sha256="ab", width=64, height=48),
        store.undo,
    ):
        with pytest.raises(ProjectReplacedError, match=r"Another program .*set\.annot"):
            write()
    rescued = store.held.rescue()
    assert rescued.name.startswith("set (rescued ")
    store.close()
    assert store.path.read_bytes() == foreign
    assert sorted(p.name for p in folder.glob("*.annot*")) == [rescued.name, "set.annot"]
    assert not journal_path(store.path).exists()
    assert not lock_path(store.path).exists()
    with ProjectStore.open(rescued) as again:
        assert list(again.all_annotations()) == mine
    if way in (by_rename, by_content):
        with ProjectStore.open_folder(folder) as other:
            assert len(list(other.all_annotations())) == 1


def test_what_is_in_work_alone_is_rescued_too(folder: Path, older: Path) -> None:
    store = ProjectStore.open_folder(folder)
    draft = {"points": [[9.5, 9.5, 1]], "box": None}
    store.save_drafts({2: draft})
    by_rename(store.path, older)
    rescued = store.held.close()
    assert rescued is not None
    with ProjectStore.open(rescued, read_only=True) as copy:
        assert copy.draft(2) == draft


@pytest.mark.parametrize("way", WAYS)
def test_closing_rescues_what_nobody_looked_at(folder: Path, older: Path, way: Way) -> None:
    store = ProjectStore.open_folder(folder)
    work_on(store)
    way(store.path, older)
    foreign = subprocess.check_output(["cat", store.path])
    store.close()
    assert store.path.read_bytes() == foreign
    assert not journal_path(store.path).exists()
    (rescued,) = folder.glob("set (rescued *).annot")
    with ProjectStore.open(rescued) as again:
        assert len(list(again.all_annotations())) == 42


@pytest.mark.parametrize("way", [by_rename, by_content])
@pytest.mark.parametrize("is_reader_last", [True, False])
def test_a_reader_does_not_write_either(folder: Path, older: Path, way: Way, is_reader_last: bool) -> None:
    store = ProjectStore.open_folder(folder)
    reader = ProjectStore.open(store.path, read_only=True)
    work_on(store)
    assert len(list(reader.all_annotations())) == 42
    way(store.path, older)
    foreign = subprocess.check_output(["cat", store.path])
    for one in (store, reader) if is_reader_last else (reader, store):
        one.close()
    assert store.path.read_bytes() == foreign
    assert not journal_path(store.path).exists()


def test_a_reader_that_stays_leaves_no_journal_behind(folder: Path, older: Path) -> None:
    with ProjectStore.open_folder(folder) as store, ProjectStore.open(store.path, read_only=True) as reader:
        accept(store, 1, disc(30, 20, 5))
        with reader.snapshot():
            assert len(list(reader.all_annotations())) == 3
            store.close()
        assert len(list(reader.all_annotations())) == 3
    assert not journal_path(folder / "set.annot").exists()


def test_a_checkpoint_in_the_middle_of_the_work_asks_first(
    folder: Path, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "CHECKPOINT_BYTES", 20_000)
    with ProjectStore.open_folder(folder) as store:
        before = store.path.stat().st_mtime_ns
        work_on(store)
        assert store.path.stat().st_mtime_ns != before, "the journal was played back"
        assert journal_path(store.path).stat().st_size < 100_000
        assert store.held.state() is FileState.OURS
        by_content(store.path, older)
        foreign = subprocess.check_output(["cat", store.path])
        assert store.held.state() is FileState.OVERWRITTEN
    assert store.path.read_bytes() == foreign
    (rescued,) = folder.glob("set (rescued *).annot")
    with ProjectStore.open(rescued) as again:
        assert len(list(again.all_annotations())) == 42


def test_a_journal_that_a_reader_keeps_from_being_played_back_stays_that_of_its_file(
    folder: Path, older: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However often it is tried: the last eight tries alone were noted, and after a crash the work was set aside."""
    monkeypatch.setattr(held, "CHECKPOINT_BYTES", 1)
    with ProjectStore.open_folder(folder) as store:
        before = len(list(store.all_annotations()))
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM annotation").fetchone()
        for number in range(12):
            accept(store, 1, disc(10 + number, 20, 5))
        assert store.held.state() is FileState.OURS
        subprocess.run(["cp", "-r", folder, tmp_path / "crashed"], check=True)  # as a kill leaves it
        reader.close()
    with ProjectStore.open(tmp_path / "crashed" / "set.annot") as again:
        assert again.notices == ()
        assert len(list(again.all_annotations())) == before + 12


def test_a_file_that_was_only_touched_is_ours(folder: Path, older: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(30, 20, 5))
        outside("touch", store.path)
        accept(store, 1, disc(40, 20, 5))
        assert store.held.state() is FileState.OURS
    with ProjectStore.open_folder(folder) as again:
        assert len(list(again.all_annotations())) == 4


def changed_copy(project: Path, copy: Path, sql: str) -> Path:
    """The project as it lies there, changed by a program that knows nothing of tokens."""
    outside("cp", project, copy)
    outside(sys.executable, "-c", CHANGE, copy, sql)
    return copy


CHANGE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute(sys.argv[2])
connection.commit()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
connection.close()
"""


THEIRS = "UPDATE category SET name = 'theirs'"


@pytest.mark.parametrize(
    ("sql", "accepts"),
    [("UPDATE annotation SET score = 0.25", 0), ("DELETE FROM annotation", 0), (THEIRS, 0), (THEIRS, 2)],
)
def test_a_changed_copy_of_this_very_version_is_not_ours(
    folder: Path, older: Path, tmp_path: Path, sql: str, accepts: int
) -> None:
    """Its token is the right one."""
    project = folder / "set.annot"
    with ProjectStore.open(project) as store:
        for number in range(accepts):  # these are in the journal alone
            accept(store, 2, disc(20 + number, 20, 5))
        by_content(project, changed_copy(project, tmp_path / "theirs.annot", sql))
        before = project.read_bytes()
        with pytest.raises(ProjectReplacedError, match="wrote over"):
            accept(store, 1, disc(30, 20, 9))
        assert store.held.state() is FileState.OVERWRITTEN
    assert project.read_bytes() == before
    assert len(list(folder.glob("*rescued*"))) == bool(accepts)


def test_what_the_journal_replaces_as_a_whole_never_becomes_a_mixture(
    folder: Path, older: Path, tmp_path: Path
) -> None:
    """All that differs lies in pages that are written anyway: the file is our version then."""
    project = folder / "set.annot"
    with ProjectStore.open(project) as store:
        accept(store, 1, disc(20, 20, 5))
        by_content(project, changed_copy(project, tmp_path / "theirs.annot", "UPDATE annotation SET score = 0.25"))
        accept(store, 1, disc(30, 20, 9))
        ours = list(store.all_annotations())
    with ProjectStore.open(project) as store:
        assert list(store.all_annotations()) == ours
        assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_free_pages_and_a_journal_played_back_by_another_program_are_ours(folder: Path, older: Path) -> None:
    project = folder / "set.annot"
    with ProjectStore.open(project) as store:
        work_on(store)
        for row in list(store.all_annotations()):
            store.apply(delete_edit((row,)))
        store._connection.execute("DELETE FROM edit")
        store.held._play_back()
        os.utime(project)
        accept(store, 1, disc(25, 20, 9))
        outside(sys.executable, "-c", CHANGE.replace("TRUNCATE", "PASSIVE"), project, "SELECT 1")
        os.utime(project)
        accept(store, 1, disc(26, 20, 9))
        assert store.held.state(is_thorough=True) is FileState.OURS
    with ProjectStore.open(project) as store:
        assert len(list(store.all_annotations())) == 2


def test_a_project_that_is_deleted_while_it_is_open_is_rescued(folder: Path, older: Path) -> None:
    store = ProjectStore.open_folder(folder)
    accept(store, 1, disc(30, 20, 5))
    outside("rm", store.path)
    assert store.held.state() is FileState.GONE
    accept(store, 1, disc(40, 20, 5))
    store.close()
    assert not journal_path(store.path).exists(), "it would be played into the next file of this name"
    (rescued,) = folder.glob("*.annot")
    with ProjectStore.open_folder(folder) as again:
        assert again.path == rescued
        assert len(list(again.all_annotations())) == 4


def test_a_project_that_is_moved_while_it_is_open_takes_everything_along(
    folder: Path, older: Path, tmp_path: Path
) -> None:
    store = ProjectStore.open_folder(folder)
    accept(store, 1, disc(30, 20, 5))
    outside("mv", store.path, tmp_path / "moved.annot")
    accept(store, 1, disc(40, 20, 5))
    store.close()
    assert list(folder.glob("*.annot*")) == []
    with ProjectStore.open(tmp_path / "moved.annot", read_only=True) as again:
        assert len(list(again.all_annotations())) == 4


@pytest.mark.parametrize("damage", ["removed", "cut", "replaced"])
def test_a_journal_that_was_changed_while_the_project_is_open(folder: Path, older: Path, damage: str) -> None:
    store = ProjectStore.open_folder(folder)
    work_on(store)
    journal = journal_path(store.path)
    if damage == "removed":
        outside("rm", journal)
    elif damage == "cut":
        outside("truncate", "-s", "5000", journal)
    else:
        outside("sh", "-c", f"head -c 900000 /dev/zero > '{older}' && mv '{older}' '{journal}'")
    with pytest.raises(ProjectReplacedError, match="journal"):
        accept(store, 1, disc(30, 20, 5))
    store.close()
    (rescued,) = folder.glob("set (rescued *).annot")
    with ProjectStore.open(rescued) as again:
        assert len(list(again.all_annotations())) == 42


# --- after a crash ---------------------------------------------------------------------------------------------------

_WORKER = """
import sys
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc
store = ProjectStore.open_folder(sys.argv[1])
for number in range(20):
    accept(store, 1, disc(10 + number, 20, 5))
print("ready", flush=True)
sys.stdin.read()
"""


def crash(folder: Path) -> None:
    """A program that accepted twenty objects, and was killed."""
    root = Path(__file__).resolve().parents[3]
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdin is not None
    assert worker.stdout.readline() == "ready\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    worker.stdin.close()


@pytest.mark.parametrize("way", [by_rename, by_content])
def test_the_journal_of_a_crash_is_not_played_into_another_version(folder: Path, older: Path, way: Way) -> None:
    crash(folder)
    path = folder / "set.annot"
    way(path, older)
    with ProjectStore.open(path, read_only=True) as reader:
        assert len(list(reader.all_annotations())) == 1
    with ProjectStore.open_folder(folder) as store:
        assert len(list(store.all_annotations())) == 1
        assert "another version" in store.notices[0]
        accept(store, 2, disc(30, 20, 5))
    assert [p.name for p in folder.glob("*.annot-*")] == ["set.annot-wal.other"]
    with ProjectStore.open_folder(folder) as again:
        assert again.notices == ()
        assert len(list(again.all_annotations())) == 2


def test_the_journal_of_a_crash_goes_with_its_file(folder: Path, older: Path, tmp_path: Path) -> None:
    """Copied together to another place, or the lock file lost: it is the same project."""
    crash(folder)
    away = tmp_path / "away"
    shutil.copytree(folder, away)
    for lock in away.glob(".*.lock"):
        lock.unlink()
    for place in (away, folder):
        with ProjectStore.open(place / "set.annot") as store:
            assert len(list(store.all_annotations())) == 22
            assert store.notices == ()


def test_a_damaged_journal_is_told_and_kept(folder: Path, older: Path) -> None:
    crash(folder)
    path = folder / "set.annot"
    journal = journal_path(path)
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    assert find_damage(path) is not None
    with ProjectStore.open_folder(folder) as store:
        assert "is damaged" in store.notices[0]
        assert 1 <= len(list(store.all_annotations())) < 22
    (kept,) = folder.glob("set (damaged *).annot")
    assert journal_path(kept).read_bytes() == bytes(data)


def test_a_journal_that_the_power_cut_tore_is_none_of_the_damaged(folder: Path, older: Path) -> None:
    crash(folder)
    journal = journal_path(folder / "set.annot")
    size = journal.stat().st_size
    for cut in (size - 1, size - 4096, size - 5000, 31, 0):
        os.truncate(journal, cut)
        assert find_damage(folder / "set.annot") is None


@given(st.binary(min_size=8, max_size=200).map(lambda data: data[len(data) % 8 :]), st.sampled_from(["<u4", ">u4"]))
def test_check_sums_are_those_of_sqlite(data: bytes, order: str) -> None:
    one, two = 3, 0xFFFFFFF0
    words = np.frombuffer(data, order).tolist()
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        one = (one + x0 + two) & 0xFFFFFFFF
        two = (two + x1 + one) & 0xFFFFFFFF
    assert _sums(data, order, (3, 0xFFFFFFF0)) == (one, two)


# --- two names of one file -------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lock goes by the name")
def test_a_hard_link_is_the_same_project(folder: Path, older: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.annot"
    with ProjectStore.open_folder(folder) as store:
        second.hardlink_to(store.path)
        with ProjectStore.open(second) as other:
            assert other.is_read_only
            assert "another name" in other.read_only_reason
        accept(store, 1, disc(30, 20, 5))
    with ProjectStore.open(second) as other:
        assert not other.is_read_only
        with ProjectStore.open_folder(folder) as store:
            assert store.is_read_only


def test_descriptors_do_not_pile_up(folder: Path, older: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    ProjectStore.open_folder(folder).close()
    before = count()
    for _ in range(5):
        with ProjectStore.open_folder(folder), ProjectStore.open_folder(folder):
            pass
    assert count() <= before
