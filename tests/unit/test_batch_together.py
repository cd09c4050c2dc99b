"""``annotator batch --batch-size``: several images in one call, the rows of one after the other."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.cli import main
from annotator.domain.errors import DeviceMemoryError
from annotator.domain.mask import Mask
from annotator.engine import at_once as at_once_module
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.small_base import BASE, SMALL
from tests.unit.small_model import LOOSE, write_folder

IN_ORDER = ["--readers", "1"]
NAMES = [f"{letter}.png" for letter in "abcdefg"]


class Watched:
    """A small real model, and how many images each pass of its encoder had; passes of more than ``room`` fail."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.segmenter = Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2")
        self.passes: list[int] = []
        self.room = 64
        self._real = self.segmenter.model.forward_image
        self.segmenter.model.forward_image = self._forward

    def _forward(self, images: torch.Tensor) -> Any:
        self.passes.append(len(images))
        if len(images) > self.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return self._real(images)


@pytest.fixture(scope="module")
def _model() -> Watched:
    return Watched()


@pytest.fixture
def model(_model: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    _model.passes.clear()
    _model.room = 64
    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: _model.segmenter)
    return _model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = write_folder(tmp_path / "images", NAMES)
    rows = [
        "image,x1,y1,x2,y2,class",
        *(f"{n},5,5,30,30,cell\n{n},{i + 1},2,50,38,rod" for i, n in enumerate(NAMES[1:])),
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\nb.png,900,900,901,901,rod\n")
    (tmp_path / "points.csv").write_text("image,x,y,label,object\na.png,20,20,1,1\na.png,50,30,0,1\nc.png,9,9,1,1\n")
    return images


def objects(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "objects.json").read_text())["annotations"]
    return found


def reasons(out: Path) -> dict[str, str]:
    with (out / "report.csv").open(newline="", encoding="utf-8") as stream:
        return {row["image"]: f"{row['status']} {row['objects']} {row['reason']}" for row in csv.DictReader(stream)}


def mask(row: dict[str, Any]) -> Mask:
    height, width = row["segmentation"]["size"]
    return Mask.from_rle(row["segmentation"]["counts"].encode(), width, height)


def assert_same_rows(together: Path, alone: Path) -> None:
    assert reasons(together) == reasons(alone)
    assert len(objects(together)) == len(objects(alone)) > 0
    for one, other in zip(objects(together), objects(alone), strict=True):
        changing = ("segmentation", "area", "bbox", "score", "stability_score", "refined_iou")
        assert {k: v for k, v in one.items() if k not in changing} == {
            k: v for k, v in other.items() if k not in changing
        }
        assert one["score"] == pytest.approx(other["score"], abs=2e-4)
        assert mask(one).iou(mask(other)) > 0.99


@pytest.mark.parametrize("asked", ["everything", "boxes", "points", "masks"])
def test_rows_are_those_of_one_image_after_the_other(folder: Path, tmp_path: Path, model: Watched, asked: str) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    if asked == "masks":
        assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "first"), *LOOSE]) == 0
    more = {
        "everything": LOOSE,
        "boxes": ["--boxes", str(tmp_path / "boxes.csv")],
        "points": ["--points", str(tmp_path / "points.csv")],
        "masks": ["--refine", str(tmp_path / "first/objects.json")],
    }[asked]
    codes = [main(["batch", str(folder), *IN_ORDER, "--out", str(alone), *more])]
    assert set(model.passes) == {1}
    model.passes.clear()
    codes.append(main(["batch", str(folder), *IN_ORDER, "--out", str(together), "--batch-size", "4", *more]))
    assert codes == [codes[0]] * 2
    # of a group, images about which nothing is asked are not encoded
    assert model.passes == {"everything": [4, 3], "boxes": [3, 3], "points": [2], "masks": [4, 3]}[asked]
    assert_same_rows(together, alone)


def test_what_is_wrong_with_one_image_is_its_own_row(folder: Path, tmp_path: Path, model: Watched) -> None:
    (folder / "b.png").write_bytes(b"no picture")
    command = ["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--batch-size", "3", *LOOSE]
    assert main(command) == 1
    assert model.passes == [2, 3, 1]
    assert {name: row.split()[0] for name, row in reasons(tmp_path / "out").items()} == {
        name: "failed" if name == "b.png" else "done" for name in NAMES
    }


def test_a_group_that_fails_is_asked_one_by_one(
    folder: Path, tmp_path: Path, model: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any, **_keywords: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(model.segmenter.together, "everything", broken)
    assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--batch-size", "4", *LOOSE]) == 0
    assert model.passes == [4, 1, 1, 1, 1, 3, 1, 1, 1]
    assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "alone"), *LOOSE]) == 0
    assert (tmp_path / "out/objects.json").read_bytes() == (tmp_path / "alone/objects.json").read_bytes()


def test_the_end_of_memory_halves_the_groups_and_is_said(
    folder: Path, tmp_path: Path, model: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    model.room = 2
    assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--batch-size", "7", *LOOSE]) == 0
    assert model.passes == [7, 3, *[1] * 7]
    said = capsys.readouterr().err.replace("\u202f", " ")
    assert "7 images at once need more memory than there is; 3 from here on" in said
    assert "3 images at once need more memory than there is; 1 from here on" in said
    assert [row.split()[0] for row in reasons(tmp_path / "out").values()] == ["done"] * 7


def test_memory_of_a_card_decides_where_nothing_is_said(
    folder: Path, tmp_path: Path, model: Watched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Card:
        """Every image takes a quarter of what is there."""

        def __init__(self, device: torch.device) -> None:
            assert device.type == "cuda"

        def start(self) -> None: ...
        def give_back(self) -> None: ...
        def taken_bytes(self) -> int:
            return len(model.passes) and 70

        def free_bytes(self) -> int:
            return 300

    monkeypatch.setattr(at_once_module, "DeviceMemory", Card)
    monkeypatch.setattr(model.segmenter, "_info", replace(BASE, device="cuda"))
    command = ["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--boxes", str(tmp_path / "boxes.csv")]
    assert main(command) in (0, 1)
    assert model.passes == [1, 3, 2]  # the first has no box, the second shows what an image takes
    assert "3 images at once" in capsys.readouterr().err.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("more", "says"),
    [(["--batch-size", "0"], "neither auto nor"), (["--text", "cell", "--batch-size", "2"], "image by image")],
)
def test_sizes_that_make_no_sense_are_refused(
    folder: Path, tmp_path: Path, model: Watched, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    try:
        code = main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), *more])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert says in capsys.readouterr().err


def test_a_model_of_one_image_at_a_time_says_so(
    folder: Path, tmp_path: Path, model: Watched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class OneByOne:
        info = BASE

    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: OneByOne())
    assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--batch-size", "2"]) == 2
    assert "small takes one image at a time" in capsys.readouterr().err


def test_memory_that_ends_with_one_image_alone_is_its_row(
    folder: Path, tmp_path: Path, model: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any, **_keywords: Any) -> Any:
        raise DeviceMemoryError("There is not enough memory for this.", "Use a smaller model.")

    monkeypatch.setattr(model.segmenter.together, "encode", full)
    monkeypatch.setattr(model.segmenter, "encode", full)
    assert main(["batch", str(folder), *IN_ORDER, "--out", str(tmp_path / "out"), "--batch-size", "4", *LOOSE]) == 1
    assert all("not enough memory" in row for row in reasons(tmp_path / "out").values())
