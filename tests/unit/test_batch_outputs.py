"""``annotator batch`` with a small real model: label maps, a table, and straight into a project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.mask import Mask
from annotator.io.project.store import ProjectStore
from tests.unit.small_model import LOOSE, put_small_model, write_folder

NAMES = ["a.png", "more/b.png"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_small_model(monkeypatch)
    return write_folder(tmp_path / "images", NAMES)


def test_label_maps_have_every_object_with_the_small_ones_on_top(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["batch", str(folder), "--out", str(out), "--masks", *LOOSE]) == 0
    data = json.loads((out / "objects.json").read_text())
    for image in data["images"]:
        own = [one for one in data["annotations"] if one["image_id"] == image["id"]]
        assert own
        with Image.open(out / "masks" / f"{image['file_name']}.png") as picture:
            labels = np.asarray(picture)
        assert labels.shape == (image["height"], image["width"])
        masks = [Mask.from_rle(one["segmentation"]["counts"], image["width"], image["height"]) for one in own]
        whole = np.logical_or.reduce([mask.full() for mask in masks])
        assert ((labels > 0) == whole).all()
        smallest = int(np.argmin([mask.area for mask in masks]))
        assert (labels[masks[smallest].full()] == smallest + 1).all()


def test_masks_of_a_file_are_refined(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["batch", str(folder), "--out", str(first), *LOOSE]) == 0
    given = json.loads((first / "objects.json").read_text())
    given["annotations"] = given["annotations"][:3]
    given["categories"] = [{"id": 1, "name": "cell"}]
    (tmp_path / "given.json").write_text(json.dumps(given))
    command = ["batch", str(folder), "--out", str(second), "--refine", str(tmp_path / "given.json")]
    assert main(command) in (0, 1)
    found = json.loads((second / "objects.json").read_text())
    assert found["categories"] == [{"id": 1, "name": "cell"}]
    assert found["info"]["prompts"]["kind"] == "masks"
    assert 1 <= len(found["annotations"]) <= 3
    assert all(0 <= one["refined_iou"] <= 1 for one in found["annotations"])
    given["images"][0]["width"] += 1
    (tmp_path / "other.json").write_text(json.dumps(given))
    again = ["batch", str(folder), "--out", str(tmp_path / "third"), "--refine", str(tmp_path / "other.json")]
    assert main(again) == 0
    assert "no box or mask, left out: 1 row" in capsys.readouterr().err  # its runs do not fit that image any more
    assert main([*command, "--points-per-side", "3"]) == 2
    assert "is about --auto" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_an_adapter_answers_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes along, on the model that it was trained for."""
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "cells"
    folder.mkdir()
    y, x = np.mgrid[:90, :120]
    cell = np.where(np.hypot(x - 60, y - 45) < 22, 190, 40)[..., None] + np.random.default_rng(0).integers(
        0, 20, (90, 120, 3)
    )
    Image.fromarray(cell.astype(np.uint8)).save(folder / "a.png")
    (tmp_path / "points.csv").write_text("image,x,y\na.png,60,45\n")
    command = ["batch", str(folder), "--points", str(tmp_path / "points.csv"), "--model", "nano", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "with"), "--adapter", "nuclei"]) == 0
    data = json.loads((tmp_path / "with/objects.json").read_text())
    assert data["info"]["adapter"].startswith("nuclei@")
    [one] = data["annotations"]
    mask = Mask.from_rle(one["segmentation"]["counts"], 120, 90)
    assert mask.iou(Mask.from_full(np.hypot(x - 60, y - 45) < 22)) > 0.8
    assert main([*command, "--out", str(tmp_path / "with")]) == 2  # another batch than the one with it


def test_they_go_into_a_project_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), "--into", str(folder), *LOOSE]
    assert main(command) == 0
    assert "imported" in capsys.readouterr().out
    data = json.loads((tmp_path / "out/objects.json").read_text())
    for _ in range(2):
        with ProjectStore.open_folder(folder) as store:
            rows = list(store.all_annotations())
            assert len(rows) == len(data["annotations"])
            assert sorted(row.area for row in rows) == sorted(one["area"] for one in data["annotations"])
            assert store.undo_name is not None
        assert main(command) == 0


def test_a_project_that_is_not_there_is_said_before_the_work(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", str(folder), "--out", str(tmp_path / "out"), "--into", str(tmp_path / "none.annot"), *LOOSE]
    assert main(command) == 2
    assert "no project file" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("journal*"))


def test_what_a_project_has_is_asked_as_boxes_or_refined(folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    assert main(["batch", str(folder), "--out", str(first), "--into", str(folder), *LOOSE]) == 0
    (project,) = folder.glob("*.annot")
    objects = len(json.loads((first / "objects.json").read_text())["annotations"])
    assert objects
    for option, place in (("--boxes", "box_prompt"), ("--refine", "refined_iou")):
        out = tmp_path / option
        assert main(["batch", str(project), "--out", str(out), option, str(project)]) in (0, 1)
        found = json.loads((out / "objects.json").read_text())
        assert 1 <= len(found["annotations"]) <= objects
        assert all(place in one for one in found["annotations"])
        assert {one["name"] for one in found["categories"]} == {"object"}
        assert len(found["info"]["prompts"]["sha256"]) == 64
    damaged = tmp_path / "damaged.annot"
    damaged.write_bytes(b"no project")
    assert main(["batch", str(project), "--out", str(tmp_path / "x"), "--refine", str(damaged)]) == 2


def test_a_table_in_parts_has_every_object_once(folder: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out"
    command = ["batch", str(folder), "--out", str(out), *LOOSE]
    assert main([*command, "--parquet"]) == 0
    whole = pq.read_table(out / "objects.parquet").to_pylist()
    for each, names in (("1", 2), ("2", 1), ("9", 1)):
        assert main([*command, "--parquet-images", each]) == 0
        parts = sorted((out / "objects").iterdir())
        assert len(parts) == names
        assert [row for part in parts for row in pq.read_table(part).to_pylist()] == whole
    assert main([*command, "--parquet-images", "0"]) == 2


def test_a_table_has_a_row_an_object_or_says_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["batch", str(folder), "--out", str(out), "--parquet", *LOOSE])
    try:
        import pyarrow.parquet as pq
    except ImportError:
        assert code == 2
        assert "annotator[parquet]" in capsys.readouterr().err
        assert not (out / "journal.jsonl").exists()  # it is said before hours of work
        return
    assert code == 0
    data = json.loads((out / "objects.json").read_text())
    rows = pq.read_table(out / "objects.parquet").to_pylist()
    assert [row["rle"] for row in rows] == [one["segmentation"]["counts"] for one in data["annotations"]]
    assert [[row["x"], row["y"], row["w"], row["h"]] for row in rows] == [one["bbox"] for one in data["annotations"]]
    assert {row["image"] for row in rows} == set(NAMES)
