"""A stranger's project chooses no folder: nothing outside of its own is listed or opened before the person agrees."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.cli import main
from annotator.commands.batch.work_list import list_work
from annotator.domain.errors import ProjectFolderError
from annotator.io.formats.coco.export import export_coco
from annotator.io.project import agreed
from annotator.io.project.moved import find_moved
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from annotator.io.settings import Settings
from tests.unit.io.builders import accept, disc, image_folder


@pytest.fixture(autouse=True)
def nothing_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the next start of the program."""
    monkeypatch.setattr(agreed, "_here", set())
    monkeypatch.setattr(agreed, "_allowed", set())


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A project that came in a folder of its own, and names another one that is the person's."""
    folder = image_folder(tmp_path)
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
    came = tmp_path / "came"
    came.mkdir()
    project = came / "theirs.annot"
    shutil.move(folder / "set.annot", project)
    shutil.copy(folder / "1.png", folder / "new.png")
    with ProjectStore.open(project) as store:
        store.meta_set("image_root", "../set")
        store.meta_set("image_root_absolute", str(folder))
    return project


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was listed or opened in the person's folder."""
    seen: list[str] = []
    is_on, folder = [True], os.path.realpath(tmp_path / "set")

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if is_on and event in ("open", "os.scandir", "os.listdir") and isinstance(arguments[0], str | os.PathLike):
            place = os.path.realpath(os.fspath(arguments[0]))
            if place == folder or place.startswith(f"{folder}{os.sep}"):
                seen.append(place)

    sys.addaudithook(look)
    yield seen
    is_on.clear()


def test_nothing_is_looked_at_before_it_is_agreed_to(strangers: Path, touched: list[str], tmp_path: Path) -> None:
    opened = open_project(strangers)
    with opened.store as store:
        assert opened.asks_for == tmp_path / "set"
        assert [image.path for image in opened.images] == ["1.png", "2.png", "sub/1.png"], "what the file itself knows"
        assert opened.absent == 0
        for work in (
            lambda: store.image_path(opened.images[0]),
            store.sync_folder,
            lambda: find_moved(store),
            lambda: export_coco(store, tmp_path / "out.json"),
        ):
            with pytest.raises(ProjectFolderError, match=r"wants to read images from .*set, outside of its own folder"):
                work()
    assert touched == []
    agreed.agree(strangers, tmp_path / "set")
    with (opened := open_project(strangers)).store as store:
        assert opened.asks_for is None
        assert "new.png" in [image.path for image in opened.images]
        assert store.image_path(opened.images[0]).is_file()
    assert touched


def test_it_is_kept_with_the_person_and_for_this_folder_alone(
    strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed.agree(strangers, tmp_path / "set")
    forget(monkeypatch)
    with open_project(strangers).store as store:
        assert store.asks_for is None
        (tmp_path / "private").mkdir()
        store.meta_set("image_root", "../private")
    with open_project(strangers).store as store:
        assert store.asks_for == tmp_path / "private"
    if os.name == "posix":
        assert agreed.list_path().stat().st_mode & 0o077 == 0
    other = tmp_path / "other"
    shutil.copytree(strangers.parent, other)
    with open_project(other / "theirs.annot").store as store:
        assert store.asks_for is not None, "another project"


@pytest.mark.parametrize("way", ["../set", "sub/../../set", "link", "link/../set/.", "../set/1.png", "absolute"])
def test_ways_out(strangers: Path, touched: list[str], tmp_path: Path, way: str) -> None:
    (strangers.parent / "sub").mkdir()
    (strangers.parent / "link").symlink_to(tmp_path / "set")
    with ProjectStore.open(strangers) as store:
        store.meta_set("image_root", "gone" if way == "absolute" else way)
    with (opened := open_project(strangers)).store:
        assert opened.asks_for is not None
    assert touched == []


def test_the_persons_own_projects_ask_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, place = image_folder(tmp_path), tmp_path / "projects" / "mine.annot"
    place.parent.mkdir()
    with ProjectStore.open_folder(folder) as store:
        assert store.asks_for is None
    forget(monkeypatch)
    with open_project(folder / "set.annot").store as store:
        assert store.asks_for is None
    with ProjectStore.open_folder(folder, project_path=place):
        pass
    forget(monkeypatch)
    with (opened := open_project(place)).store as store:
        assert opened.asks_for is None
        store.backup(tmp_path / "projects" / "copy" / ".." / "copy.annot")
        rescued = store.held.rescue()
    folder.rename(tmp_path / "moved")
    for copy in (tmp_path / "projects" / "copy.annot", rescued):
        with ProjectStore.open(copy) as store:
            assert store.asks_for is None
    with ProjectStore.open_folder(tmp_path / "moved", project_path=place) as store:
        assert store.asks_for is None, "named by the person"
    forget(monkeypatch)
    with open_project(place).store as store:
        assert store.asks_for is None
        assert store.image_root == tmp_path / "moved"


def test_what_was_open_before_there_was_the_question(strangers: Path, tmp_path: Path) -> None:
    Settings.load().remember_folder(str(strangers))
    with open_project(strangers).store as store:
        assert store.asks_for is None
        (tmp_path / "private").mkdir()
        store.meta_set("image_root", "../private")
    with open_project(strangers).store as store:
        assert store.asks_for is not None, "it has its one folder"


def test_what_is_open_since_is_no_agreement(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed.begin()
    Settings.load().remember_folder(str(strangers))
    forget(monkeypatch)
    with open_project(strangers).store as store:
        assert store.asks_for is not None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"agreed": 1}', b"\xff", b"[" * 100_000, b'{"agreed": [[1]]}'])
def test_a_damaged_list_agrees_to_nothing(strangers: Path, tmp_path: Path, content: bytes) -> None:
    agreed.list_path().parent.mkdir(parents=True, exist_ok=True)
    agreed.list_path().write_bytes(content)
    with open_project(strangers).store as store:
        assert store.asks_for is not None
        agreed.agree(strangers, tmp_path / "set")
        assert store.asks_for is None
    assert json.loads(agreed.list_path().read_bytes())["agreed"]


def test_a_folder_that_is_not_there_is_no_question(strangers: Path, tmp_path: Path) -> None:
    """Somebody has sent the project without its images: it can be looked at and exported."""
    shutil.rmtree(tmp_path / "set")
    with (opened := open_project(strangers)).store as store:
        assert opened.asks_for is None
        export_coco(store, tmp_path / "out.json")


def test_a_batch_reads_no_folder_that_was_not_agreed_to(strangers: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectFolderError, match="outside of its own folder"):
        list_work([str(strangers)])
    agreed.agree(strangers, tmp_path / "set")
    connection = sqlite3.connect(strangers)
    connection.execute("UPDATE image SET path = ? WHERE id = 1", ("../came/theirs.annot",))
    connection.execute("UPDATE image SET path = ? WHERE id = 2", ("/etc/passwd",))
    connection.commit()
    connection.close()
    items = list_work([str(strangers)])
    assert [bool(item.problem) for item in items] == [True, True, False]
    assert "is not in the folder of images" in items[1].problem


def test_the_command_line_refuses_in_one_sentence_and_has_an_option(
    strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    command = ["export", str(strangers), "--out", str(out)]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"--allow-folder '{tmp_path / 'set'}'" in told
    assert not out.exists()
    assert main(["import", str(strangers), str(tmp_path / "no.json")]) == 2
    assert "outside of its own folder" in capsys.readouterr().err
    assert main(["relink", str(strangers)]) == 2
    assert "outside of its own folder" in capsys.readouterr().err
    assert main([*command, "--allow-folder", str(tmp_path / "private")]) == 2, "another one was meant"
    assert main([*command, "--allow-folder", str(tmp_path / "set")]) == 0
    assert out.exists()
    forget(monkeypatch)
    assert main(command) == 0, "it is remembered"
