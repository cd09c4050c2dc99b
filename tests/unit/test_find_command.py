"""``annotator find`` with a small real model: examples of COCO files and projects, resume, errors, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from annotator.cli import main
from annotator.domain.likeness import seeds
from annotator.domain.mask import Mask
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.small_base import BASE, SMALL


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A small real model in place of the one on the disk; which whole images were encoded."""
    torch.manual_seed(3)
    small = Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2")
    found: list[str] = []
    real = small.encode

    def encode(image: Any, key: str, **keywords: Any) -> Any:
        if "|" not in key:
            found.append(key)
        return real(image, key, **keywords)

    monkeypatch.setattr(small, "encode", encode)
    monkeypatch.setattr(seeds, "MOST_SEEDS", 4)
    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: small)
    return found


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two images of red discs; the first disc of the first is object 7."""
    images, rows = [], []
    for number in range(2):
        pixels = np.full((60, 90, 3), 120, np.uint8)
        for x in (20, 65):
            cv2.circle(pixels, (x, 30), 11, (200, 60 + 5 * number, 50), -1)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 90, "height": 60})
    drawn = np.zeros((60, 90), np.uint8)
    cv2.circle(drawn, (20, 30), 11, 1, -1)
    mask = Mask.from_full(drawn)
    segmentation = {"size": [60, 90], "counts": mask.rle().decode()}
    rows.append({"id": 7, "image_id": 0, "category_id": 1, "segmentation": segmentation, "iscrowd": 0,
                 "area": mask.area, "bbox": list(mask.bbox_xywh)})  # fmt: skip
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "disc"}], "annotations": rows}))
    return file


def find(coco: Path, *more: str) -> tuple[int, dict[str, Any]]:
    out = coco.with_name("found.json")
    code = main(["find", str(coco), "--out", str(out), *more])
    return code, json.loads(out.read_text()) if out.exists() else {}


def test_what_is_found_in_all_images_is_coco_with_scores(coco: Path, asked: list[str]) -> None:
    code, found = find(coco, "--like", "7", "--min-score", "0")
    assert code == 0
    assert [image["file_name"] for image in found["images"]] == ["0.png", "1.png"]
    assert found["categories"] == [{"id": 1, "name": "disc"}]
    assert {row["image_id"] for row in found["annotations"]} == {0, 1}
    assert all(0 <= row["score"] <= 1 and row["area"] > 0 for row in found["annotations"])
    assert not coco.with_name("found.json.part").exists()


def test_here_looks_at_the_image_of_the_example_and_a_box_is_one_too(coco: Path, asked: list[str]) -> None:
    code, found = find(coco, "--box", "1.png:9,19,22,22", "--here", "--class", "spot")
    assert code == 0
    assert [image["file_name"] for image in found["images"]] == ["1.png"]
    assert found["categories"] == [{"id": 1, "name": "spot"}]


def test_it_goes_on_where_it_was_stopped(coco: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.commands.find.command import AskLike

    real, turn = AskLike.__call__, [0]

    def stopped(self: Any, item: Any, image: Any) -> Any:
        turn[0] += 1
        if turn[0] == 2:
            raise KeyboardInterrupt
        return real(self, item, image)

    monkeypatch.setattr(AskLike, "__call__", stopped)
    assert find(coco, "--like", "7")[0] == 130
    monkeypatch.setattr(AskLike, "__call__", real)
    asked.clear()
    code, found = find(coco, "--like", "7")
    assert code == 0
    assert len(found["images"]) == 2
    assert len(asked) <= 2  # the other image, and the one of the example


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--like", "8"], "There is no object 8."),
        (["--like", "x"], "'x' are no ids"),
        ([], "There is no example"),
        (["--box", "0.png:1,2,3"], "is no box"),
        (["--box", "9.png:1,2,3,4"], "There is no image 9.png."),
        (["--like", "7", "--min-score", "2"], "--min-score is 2.0."),
        (["--like", "7", "--in", "no such folder/*.png"], "No file fits"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    coco: Path, asked: list[str], more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find(coco, *more)[0] == 2
    assert said in capsys.readouterr().err
    assert not coco.with_name("found.json").exists()


def test_a_model_that_cannot_says_so(
    coco: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: GrabCutSegmenter())
    assert find(coco, "--like", "7")[0] == 2
    assert "cannot look for objects like others" in capsys.readouterr().err


def test_examples_of_a_project(coco: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from annotator.io.project.store import ProjectStore

    with ProjectStore.open_folder(coco.parent):
        pass
    assert main(["import", str(coco.parent), str(coco)]) == 0
    with ProjectStore.open_folder(coco.parent) as store:
        (row,) = [row for image in store.images() for row in store.annotations(image.id)]
    out = coco.with_name("of-project.json")
    assert main(["find", str(coco.parent), "--like", str(row.id), "--out", str(out), "--min-score", "0"]) == 0
    assert json.loads(out.read_text())["categories"][0]["name"] == "disc"
