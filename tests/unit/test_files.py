"""Own files: one module knows where they lie, one puts complete files into place."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from annotator.files import places
from annotator.files.atomic import atomic_path, put_in_place
from tests.sources import sources

MOVES = {"os.replace", "os.rename", "os.renames", "shutil.move", "replace", "rename", "renames", "move"}


def breaches(nodes: Iterable[ast.AST], name: str) -> list[str]:
    """Lines that ask the system for a folder, or move files, outside the two modules that may."""
    found = []
    for node in nodes:
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            if node.module in ("os", "shutil") and MOVES & {alias.name for alias in node.names}:
                found.append(f"{name}:{node.lineno} moves files")
        if "platformdirs" in modules and name != "files/places.py":
            found.append(f"{name}:{node.lineno} imports platformdirs")
        if isinstance(node, ast.Call) and name != "files/atomic.py" and is_move(node):
            found.append(f"{name}:{node.lineno} moves files")
    return found


def is_move(call: ast.Call) -> bool:
    """os.replace and its kind, or the methods of a path; a text's ``replace`` has two arguments, a date's has names."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if ast.unparse(call.func) in MOVES:
        return True
    return call.func.attr in ("replace", "rename") and len(call.args) == 1 and not call.keywords


def test_only_two_modules_know_folders_and_moves() -> None:
    assert len(sources()) > 200
    assert [line for source in sources() for line in breaches(source.nodes, source.place)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import platformdirs",
        "def f():\n    from platformdirs import user_data_path",
        "import os\nos.replace(a, b)",
        "from os import rename",
        "import shutil\nshutil.move(a, b)",
        "path.replace(other)",
        "path.with_name('b').rename(other)",
    ],
)
def test_what_would_be_found(text: str) -> None:
    assert len(breaches(ast.walk(ast.parse(text)), "io/x.py")) == 1


@pytest.mark.parametrize("text", ["'a'.replace('a', 'b')", "date.replace(year=3)", "dataclasses.replace(a, b=1)"])
def test_what_is_something_else(text: str) -> None:
    assert breaches(ast.walk(ast.parse(text)), "io/x.py") == []


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_path_is_whole_or_the_old_one(tmp_path: Path, is_durable: bool) -> None:
    target = tmp_path / "a.txt"
    with atomic_path(target, is_durable=is_durable) as partial:
        partial.write_text("old")
        assert not target.exists()
    with pytest.raises(UnicodeEncodeError), atomic_path(target, is_durable=is_durable) as partial:
        partial.write_text("half" * 9999 + "\ud800", encoding="utf-8")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr("os.fsync", lambda one: (seen.append("fsync"), fsync(one)))
    monkeypatch.setattr("os.replace", lambda *names: (seen.append("replace"), replace(*names)))
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    put_in_place(tmp_path / "a", tmp_path / "b")
    assert seen[:2] == ["fsync", "replace"]
    seen.clear()
    put_in_place(tmp_path / "b", tmp_path / "c", is_durable=False)
    assert seen == ["replace"]
    assert (tmp_path / "c").read_text() == "a"


@pytest.mark.parametrize("place", sorted(places.OVERRIDES))
def test_the_environment_names_a_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, ask = places.OVERRIDES[place], getattr(places, f"{place}_dir")
    monkeypatch.setenv(variable, str(tmp_path / "named"))
    assert ask() == tmp_path / "named"
    assert places.is_named(place)
    monkeypatch.setenv(variable, "")
    system = ask()
    assert system.is_absolute()
    assert not places.is_named(place)
    monkeypatch.delenv(variable)
    assert ask() == system


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="the folders of other systems")
def test_where_they_are_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in {*places.OVERRIDES.values()}:
        monkeypatch.delenv(variable, raising=False)
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    found = [
        *(places.config_dir(), places.state_dir(), places.log_dir()),
        *(places.cache_dir(), places.checkpoints_dir(), places.samples_dir()),
    ]
    below = ["CONFIG", "STATE", "STATE/log", "CACHE", "DATA/checkpoints", "DATA/samples"]
    expected = [tmp_path / Path(name).parts[0] / "annotator" / Path(*Path(name).parts[1:]) for name in below]
    assert found == expected
