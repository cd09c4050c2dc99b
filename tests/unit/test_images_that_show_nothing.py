"""Everything, all like this, checks and similar objects on images of one colour, of a single pixel, or too large.

The real commands and the embedded model: what shows nothing is done and empty, what no memory holds is named, and the
others are written. What was done before a run was ended is not asked again.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.domain.mask import Mask
from annotator.engine import load
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept

NOTHING = {"1-plain.png": (80, 60), "2-dot.png": (1, 1), "3-line.png": (70, 1), "4-two.png": (2, 2)}
HUGE = "5-huge.ppm"


@pytest.fixture(scope="module")
def nano() -> Any:
    return load.load_segmenter("nano", device="cpu")


@pytest.fixture
def folder(nano: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(load, "load_segmenter", lambda *_args, **_options: nano)
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, (width, height) in NOTHING.items():
        Image.new("RGB", (width, height), (90, 120, 40)).save(folder / name)
    (folder / HUGE).write_bytes(b"P6 200000 200000 255\n")
    return folder


@pytest.fixture
def project(folder: Path) -> Path:
    """An object in each image that can be read: all of it, or a part."""
    with ProjectStore.open_folder(folder) as store:
        for image in store.images():
            if image.path in NOTHING:
                width, height = NOTHING[image.path]
                bits = np.ones((height, width), np.bool_)
                bits[10:, :] = False
                accept(store, image.id, Mask.from_full(bits))
        return store.path


def test_everything_is_nothing_there_and_the_huge_one_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["auto", str(folder), "--out", str(out)]) == 1
    coco = json.loads(out.read_text())
    assert {one["file_name"]: (one["width"], one["height"]) for one in coco["images"]} == NOTHING
    assert coco["annotations"] == []
    lines = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(lines) == 1
    assert HUGE in lines[0]
    assert "too large" in lines[0]
    assert not out.with_name("out.json.part").exists()


def test_all_like_an_example_of_an_image_that_shows_nothing(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["find", str(project), "--like", "2", "--out", str(out)]) == 1  # a single pixel
    coco = json.loads(out.read_text())
    assert {one["file_name"] for one in coco["images"]} >= set(NOTHING)
    assert all(math.isfinite(one["score"]) and one["area"] > 0 for one in coco["annotations"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "1 image failed" in said.err
    table = out.with_suffix(".csv").read_text()
    assert HUGE in table
    assert "too large" in table


def test_objects_in_them_are_looked_at_and_compared(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alike.json"
    assert cli.main(["similar", str(project), "--to", "1", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert [row["object"] for row in rows if row["object"] != 1] != []
    assert all(math.isfinite(row["score"]) for row in rows)
    assert cli.main(["similar", str(project), "--mislabelled"]) == 0
    assert cli.main(["similar", str(project), "--near-copies"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_their_objects_are_checked_with_pixels_and_without(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--pixels"]):
        out = tmp_path / f"report{len(more)}.json"
        assert cli.main(["check", str(project), "--out", str(out), *more]) in (0, 1)
        report = json.loads(out.read_text())
        assert report
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["auto", "find"])
def test_what_was_done_before_a_run_was_ended_is_not_asked_again(
    project: Path, nano: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The second image ends the run as a signal does; the same command goes on there, with the same result."""
    (project.parent / HUGE).unlink()
    out, whole = tmp_path / "out.json", tmp_path / "whole.json"
    words = {
        "auto": ["auto", str(project.parent)],
        "find": ["find", str(project), "--like", "1", "--in", str(project.parent)],
    }[command]
    assert cli.main([*words, "--out", str(whole)]) == 0
    asked: list[str] = []
    kind = type(nano)
    assert kind in (Sam2Segmenter, ZoomSegmenter)
    real, ends_at = kind.encode, 3

    def encode(self: Any, image: Any, image_key: str, **options: Any) -> Any:
        asked.append(image_key)
        if len(asked) == ends_at:
            raise KeyboardInterrupt
        return real(self, image, image_key, **options)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "encode", encode)
        assert cli.main([*words, "--out", str(out)]) == 130
    assert not out.exists()
    before = list(asked)
    asked.clear()
    ends_at = -1
    with monkeypatch.context() as patched:
        patched.setattr(kind, "encode", encode)
        assert cli.main([*words, "--out", str(out)]) == 0
    assert json.loads(out.read_text())["annotations"] == json.loads(whole.read_text())["annotations"]
    assert json.loads(out.read_text())["images"] == json.loads(whole.read_text())["images"]
    assert not out.with_name("out.json.part").exists()
    assert set(before[:-1]).isdisjoint(asked)


def test_without_the_model_that_was_named_the_way_to_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with ProjectStore.open_folder(tmp_path) as store:
        accept(store, 1, Mask.from_full(np.eye(30, 40) > 0))
        path = store.path
    out = tmp_path / "out.json"
    for words in (["auto", str(tmp_path / "a.png")], ["find", str(path), "--like", "1"]):
        assert cli.main([*words, "--model", "sam2.1-tiny", "--out", str(out)]) == 2
        assert "annotator models download sam2.1-tiny" in capsys.readouterr().err
        assert not out.exists()
