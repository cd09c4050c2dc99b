"""``annotator evaluate``: an interrupted run goes on, whoever interrupted it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from annotator import cli
from annotator.engine.grabcut import GrabCutSegmenter
from tests.unit.train.scenes import write_set


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    root = write_set(tmp_path / "cells", images=3)
    given = {"--coco": root / "annotations.json", "--images": root / "images", "--json": tmp_path / "out.json"}
    return ["evaluate", "--engine", "grabcut", "--clicks", "2", *(str(w) for pair in given.items() for w in pair)]


class Counting(GrabCutSegmenter):
    """GrabCut that counts its encodes and is interrupted at one of them."""

    def __init__(self, stop_at: int | None) -> None:
        super().__init__()
        self.stop_at, self.encodes = stop_at, 0

    def encode(self, *args: Any, **options: Any) -> Any:
        self.encodes += 1
        if self.encodes == self.stop_at:
            raise KeyboardInterrupt
        return super().encode(*args, **options)


def run_with(words: list[str], monkeypatch: pytest.MonkeyPatch, *, stop_at: int | None) -> tuple[int, Counting]:
    segmenter = Counting(stop_at)
    monkeypatch.setattr("annotator.engine.grabcut.GrabCutSegmenter", lambda: segmenter)
    return cli.main(words), segmenter


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "out.json.state"
    code, _ = run_with(words, monkeypatch, stop_at=3)
    assert code == 130
    told = capsys.readouterr().err
    assert f"finished objects are kept in {state}; the same command goes on from there" in told
    assert "Traceback" not in told
    assert len(state.read_text().splitlines()) == 4  # two images of two objects
    assert not (tmp_path / "out.json").exists()

    code, second = run_with(words, monkeypatch, stop_at=None)
    assert (code, second.encodes) == (0, 1)
    assert not state.exists()
    resumed = json.loads((tmp_path / "out.json").read_text())

    code, whole = run_with(words, monkeypatch, stop_at=None)
    assert (code, whole.encodes) == (0, 3)
    fresh = json.loads((tmp_path / "out.json").read_text())
    assert resumed["objects"] == fresh["objects"] == 6
    for figure in ("miou", "mbiou", "box_miou", "box_mbiou", "noc"):
        assert resumed[figure] == fresh[figure]


def test_a_state_that_the_person_named_stays(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "my.state"
    assert run_with([*words, "--resume", str(named)], monkeypatch, stop_at=None)[0] == 0
    assert len(named.read_text().splitlines()) == 6
    assert not (tmp_path / "out.json.state").exists()
    code, again = run_with([*words, "--resume", str(named)], monkeypatch, stop_at=None)
    assert (code, again.encodes) == (0, 0)


def test_without_a_file_an_interrupted_run_says_that_nothing_was_kept(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run_with(words[:-2], monkeypatch, stop_at=2)
    assert code == 130
    assert "nothing was kept; with --json OUT or --resume FILE" in capsys.readouterr().err


def test_a_failed_write_of_the_figures_keeps_the_state(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full_disk)
        assert run_with(words, monkeypatch, stop_at=None)[0] == 2
    assert len((tmp_path / "out.json.state").read_text().splitlines()) == 6
    code, again = run_with(words, monkeypatch, stop_at=None)
    assert (code, again.encodes) == (0, 0)


def test_a_file_that_is_no_state_is_left_alone(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "out.json.state"
    other.write_text("dear diary\nsecond line\n")
    assert run_with(words, monkeypatch, stop_at=None)[0] == 2
    assert "is not the state of an evaluation" in capsys.readouterr().err
    assert other.read_text() == "dear diary\nsecond line\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_a_real_ctrl_c_ends_with_130(words: list[str], tmp_path: Path) -> None:
    """The process itself, stopped after its first finished object."""
    words[words.index("--clicks") + 1] = "20"
    state = tmp_path / "out.json.state"
    with subprocess.Popen([sys.executable, "-m", "annotator", *words], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (state.exists() and state.read_text()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    if process.returncode == 0:
        pytest.skip("the machine was faster than the signal")
    assert process.returncode == 130
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    assert state.exists()
