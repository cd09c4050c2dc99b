"""Files among the images that are named like modules are not run, by no process that this program starts."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import annotator
from annotator.commands import demo
from annotator.files import children
from annotator.train.data.processes import ReaderProcesses, WindowTask
from annotator.train.data.windows import WindowSampler, read_coco_sets
from tests.sources import sources
from tests.unit.train.scenes import write_set

ROOT = Path(annotator.__file__).parents[1]
STARTS = {"subprocess", "multiprocessing", "concurrent.futures.process", "pty", "runpy"}
SHELLS = {"system", "popen", "startfile", "posix_spawn", "posix_spawnp", "fork", "forkpty"}


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder holds files named like modules; this file is there once one of them was run."""
    folder, sprung = tmp_path / "images", tmp_path / "sprung"
    folder.mkdir()
    trap = f"import pathlib; pathlib.Path({str(sprung)!r}).write_text(__name__)\n"
    for name in ("json", "random", "socket", "pickle", "multiprocessing", "torch", "PySide6", "annotator"):
        (folder / f"{name}.py").write_text(trap, "utf-8")
    monkeypatch.chdir(folder)
    return sprung


def test_the_traps_work(traps: Path) -> None:
    subprocess.run([sys.executable, "-c", "import json"], check=True)
    assert traps.exists()


def test_a_child_runs_the_same_program_and_nothing_of_the_current_folder(traps: Path) -> None:
    code = "import annotator, json, os, sys; print(annotator.__file__, os.getcwd(), sys.flags.safe_path)"
    for cwd in (None, children.PROGRAM_FOLDER):
        done = subprocess.run(
            children.python_command("-c", code),
            env=children.child_environment(),
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [annotator.__file__, str(cwd or Path.cwd()), "True"]
    assert not traps.exists()


def test_the_environment_leaves_out_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    entries = ["", ".", str(tmp_path), "own", "/elsewhere"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entries))
    monkeypatch.setenv("ANNOTATOR_HOME", "here")
    found = children.child_environment(EXTRA="1")
    assert found["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(tmp_path / "own"), "/elsewhere"]
    assert (found["EXTRA"], found["PYTHONSAFEPATH"]) == ("1", "1")
    assert found["ANNOTATOR_HOME"] == str(tmp_path / "here")


def test_the_current_folder_is_shut_out_but_a_checkout_stays_behind_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    others = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *others])
    children.shut_out_current_folder()
    assert sys.path == [*others, str(ROOT)]
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_reader_processes_of_a_training(tmp_path: Path, traps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    write_set(tmp_path / "images" / "set")
    sampler = WindowSampler(read_coco_sets([Path("set")]), window_px=64, objects=1)
    readers = ReaderProcesses(sampler, 1)
    try:
        readers.ask(WindowTask((0, 0, 0), sampler.set_weights({})))
        assert readers.take().image.dtype == np.float32
    finally:
        readers.end()
        readers.close()
    assert not traps.exists(), traps.read_text()
    assert "PYTHONSAFEPATH" not in os.environ


def test_the_trial_of_a_display(traps: Path) -> None:
    assert demo._can_start_qt()
    assert not traps.exists(), traps.read_text()


def test_whoever_starts_processes_starts_them_so() -> None:
    """A module that can start a process takes its command, environment or block from the one place for it."""
    found = set()
    for source in sources():
        imported, called = set(), set()
        for node in source.nodes:
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported |= {node.module or "", *(alias.name for alias in node.names)}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                called.add(node.attr)
        is_start = imported & {*STARTS, "QProcess", "ProcessPoolExecutor"} or called & SHELLS
        is_start = is_start or any(name.startswith(("exec", "spawn")) for name in called)
        if is_start:
            found.add(source.path.name)
            assert "annotator.files.children" in imported, source.place
    assert {"processes.py", "training.py", "demo.py"} <= found
