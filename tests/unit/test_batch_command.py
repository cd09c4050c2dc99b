"""``annotator batch`` with a small real model: prompts, shards, resume, errors, exit codes."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from annotator.cli import main
from annotator.commands.batch import pipeline
from annotator.io.project.store import ProjectStore
from tests.unit.small_model import LOOSE, put_small_model, write_folder

NAMES = ["a.png", "b.png", "more/c.png", "more/d.png"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which images were encoded."""
    return put_small_model(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", NAMES)


def report(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_everything_of_a_folder_is_what_auto_finds(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    out = tmp_path / "new/out"
    assert main(["batch", str(folder), "--out", str(out), *LOOSE]) == 0
    assert main(["auto", str(folder), "--out", str(tmp_path / "auto.json"), *LOOSE]) == 0
    batch, auto = json.loads((out / "objects.json").read_text()), json.loads((tmp_path / "auto.json").read_text())
    assert len(batch["annotations"]) >= 4
    assert batch["images"] == auto["images"]
    assert batch["annotations"] == auto["annotations"]
    coco = COCO(str(out / "objects.json"))
    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert int(coco.annToMask(annotation).sum()) == annotation["area"] > 0
    assert [row["status"] for row in report(out / "report.csv").values()] == ["done"] * 4


def test_the_same_command_again_asks_nothing_and_writes_the_same(
    folder: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), *LOOSE]
    assert main(command) == 0
    before = (tmp_path / "out/objects.json").read_bytes()
    asked.clear()
    assert main(command) == 0
    assert not asked
    assert "done before" in capsys.readouterr().err
    assert (tmp_path / "out/objects.json").read_bytes() == before
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(folder / "a.png")  # another image now
    assert main(command) == 0
    assert len(asked) == 1


def test_other_settings_are_refused_in_the_same_folder(
    folder: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), *LOOSE]
    assert main(command) == 0
    assert main([*command, "--no-border"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_shards_together_are_the_whole(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["batch", str(folder), "--out", str(whole), *LOOSE]) == 0
    asked.clear()
    for number in range(1, 6):
        assert main(["batch", str(folder), "--out", str(parts), "--merge"]) == 2  # shards are missing
        assert main(["batch", str(folder), "--out", str(parts), "--shard", f"{number}/5", *LOOSE]) == 0
    assert len(asked) == 4
    rows = [json.loads((parts / f"objects-{number}-of-5.json").read_text()) for number in range(1, 6)]
    assert sorted(image["id"] for row in rows for image in row["images"]) == [1, 2, 3, 4]
    assert sum(len(row["images"]) > 0 for row in rows) > 1
    assert main(["batch", str(folder), "--out", str(parts), "--merge"]) == 0
    assert len(asked) == 4
    assert (parts / "objects.json").read_bytes() == (whole / "objects.json").read_bytes()


def test_a_bad_image_is_a_row_with_its_reason_and_is_tried_again_when_asked(
    folder: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    good = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(b"no picture")
    (tmp_path / "list.txt").write_text("".join(f"images/{name}\n" for name in [*NAMES, "gone.png"]))
    command = ["batch", str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), *LOOSE]
    assert main(command) == 1
    rows = report(tmp_path / "out/report.csv")
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.png": "done",
        "b.png": "failed",
        "more/c.png": "done",
        "more/d.png": "done",
        "gone.png": "failed",
    }
    assert "b.png" in rows["b.png"]["reason"]
    assert "2 images failed" in capsys.readouterr().err.replace("\u202f", " ")
    images = json.loads((tmp_path / "out/objects.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a.png", "more/c.png", "more/d.png"]
    asked.clear()
    assert main(command) == 1
    assert not asked
    (folder / "b.png").write_bytes(good)
    (folder / "gone.png").write_bytes(good)
    assert main(command) == 0
    assert len(asked) == 2


def test_failed_images_are_tried_again_when_asked(
    folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), *LOOSE]
    real = pipeline._asked

    def breaking(begun: Any) -> Any:
        def broken() -> Any:
            raise MemoryError

        return real(replace(begun, answer=broken) if begun.read.item.name == "a.png" else begun)

    monkeypatch.setattr(pipeline, "_asked", breaking)
    assert main(command) == 1
    monkeypatch.setattr(pipeline, "_asked", real)
    asked.clear()
    assert main(command) == 1
    assert not asked
    assert main([*command, "--retry-failed"]) == 0
    assert len(asked) == 1


def test_boxes_of_a_table_and_of_coco_give_an_object_each(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "boxes.csv").write_text(
        "image,x1,y1,x2,y2,score,class\na.png,5,5,30,30,0.9,cell\na.png,10,2,50,38,0.4,rod\nmore/c.png,-4,0,200,40,,cell\n"
    )
    out = tmp_path / "out"
    assert main(["batch", str(folder), "--out", str(out), "--boxes", str(tmp_path / "boxes.csv")]) in (0, 1)
    data = json.loads((out / "objects.json").read_text())
    assert len(asked) == 2  # nothing is asked on the others
    assert len(data["images"]) == 4
    rows = report(out / "report.csv")
    assert len(data["annotations"]) == sum(int(row["objects"]) for row in rows.values()) >= 1
    names = {category["id"]: category["name"] for category in data["categories"]}
    first = data["annotations"][0]
    assert names[first["category_id"]] == "cell"
    assert first["box_prompt"] == [5, 5, 25, 25]
    assert first["prompt_score"] == 0.9
    # The same boxes as COCO, of images that the COCO file names.
    boxes = [
        {"id": n, "image_id": 7, "category_id": n, "bbox": b} for n, b in [(1, [5, 5, 25, 25]), (2, [10, 2, 40, 36])]
    ]
    coco = {"images": [{"id": 7, "file_name": "a.png"}], "annotations": boxes}
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "rod"}]
    (folder / "set.json").write_text(json.dumps({**coco, "categories": categories}))
    (folder / "results.json").write_text(json.dumps(boxes))
    masks = [one["segmentation"] for one in data["annotations"] if one["image_id"] == 1]
    for number, file in enumerate(["set.json", "results.json"]):
        place = tmp_path / f"out{number}"
        command = ["batch", str(folder / "set.json"), "--out", str(place), "--boxes", str(folder / file)]
        assert main(command) in (0, 1)
        again = json.loads((place / "objects.json").read_text())
        assert [image["id"] for image in again["images"]] == [7]
        assert [one["segmentation"] for one in again["annotations"]] == masks


def test_a_prompt_outside_the_image_is_said_and_the_others_are_answered(
    folder: Path, tmp_path: Path, asked: list[str]
) -> None:
    (tmp_path / "p.csv").write_text("image,x,y\na.png,20,20\na.png,500,20\n")
    assert main(["batch", str(folder), "--out", str(tmp_path / "out"), "--points", str(tmp_path / "p.csv")]) == 1
    row = report(tmp_path / "out/report.csv")["a.png"]
    assert row["status"] == "partly"
    assert "prompt 2" in row["reason"]
    assert "outside" in row["reason"]


def test_a_project_names_its_images(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    with ProjectStore.open_folder(folder) as store:
        store.sync_folder()
        project = store.path
    (folder / "later.png").write_bytes((folder / "a.png").read_bytes())
    command = ["batch", str(project), "--out", str(tmp_path / "out"), *LOOSE]
    assert main(command) == 0
    images = json.loads((tmp_path / "out/objects.json").read_text())["images"]
    assert [image["file_name"] for image in images] == NAMES  # not what came later


def test_an_interrupt_says_how_to_go_on(
    folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), *LOOSE]
    real, count = pipeline._asked, []

    def stopping(*arguments: Any) -> Any:
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(pipeline, "_asked", stopping)
    assert main(command) == 130
    said = capsys.readouterr().err
    assert "2 of 4" in said
    assert "goes on" in said
    assert not (tmp_path / "out/objects.json").exists()
    monkeypatch.setattr(pipeline, "_asked", real)
    asked.clear()
    assert main(command) == 0
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.EROFS, "may not be written"), (errno.EACCES, "may not be written"), (errno.ENOSPC, "full")],
)
def test_a_folder_that_cannot_be_written_is_said_before_the_work(
    folder: Path,
    tmp_path: Path,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    says: str,
) -> None:
    def refused(*_arguments: Any, **_keywords: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert main(["batch", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--boxes", "gone.csv"], "cannot be read"),
        (["--boxes", "b.csv", "--points-per-side", "3"], "--auto"),
        (["--merge"], "no results"),
        (["--merge", "--shard", "1/2"], "--shard"),
        (["--points-per-side", "0"], "points_per_side"),
    ],
)
def test_wrong_use_is_one_sentence(
    folder: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert main(["batch", str(folder), "--out", str(tmp_path / "out"), *more]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
