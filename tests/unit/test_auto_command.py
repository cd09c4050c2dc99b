"""``annotator auto``: COCO of everything, that goes on after a stop, with bad images named and left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from annotator.cli import main
from annotator.domain.window import Window
from annotator.io.images.reading import load_image
from annotator.io.project.store import ProjectStore
from annotator.io.project.windows import WindowBook
from tests.unit.small_model import LOOSE, put_small_model, write_folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which images were encoded."""
    return put_small_model(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", ["a.png", "b.png", "more/c.png"])


def test_images_are_asked_about_as_their_project_shows_them(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    bright = Window(60.0, 120.0)
    with ProjectStore.open_folder(folder) as store:
        WindowBook.of(store, store.meta_set).keep(load_image(folder / "a.png"), bright)
    assert main(["auto", str(folder), "--out", str(tmp_path / "all.json"), *LOOSE]) == 0
    assert asked[0] == load_image(folder / "a.png", window=bright).image_key
    assert asked[1] == load_image(folder / "b.png").image_key


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_coco_of_a_folder_that_pycocotools_reads(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    out = tmp_path / "all.json"
    assert main(["auto", str(folder), "--out", str(out), *LOOSE]) == 0
    assert len(asked) == 3
    coco = COCO(str(out))
    names = {image["id"]: image["file_name"] for image in coco.loadImgs(coco.getImgIds())}
    assert sorted(names.values()) == ["a.png", "b.png", "more/c.png"]
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) >= 3
    for annotation in annotations:
        mask = coco.annToMask(annotation)
        assert int(mask.sum()) == annotation["area"] > 0
        rows, columns = np.nonzero(mask)
        x, y, w, h = annotation["bbox"]
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)
        assert 0 <= annotation["stability_score"] <= 1
    assert json.loads(out.read_text())["info"]["settings"]["points_per_side"] == 3
    assert not out.with_name("all.json.part").exists()


def test_a_bad_image_is_named_and_the_others_are_written(
    folder: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.png").write_bytes(b"no picture")
    out = tmp_path / "all.json"
    assert main(["auto", str(folder), "--out", str(out), *LOOSE]) == 1
    assert "left out:" in (said := capsys.readouterr().err)
    assert "b.png" in said
    assert [image["file_name"] for image in json.loads(out.read_text())["images"]] == ["a.png", "more/c.png"]


def test_a_stopped_run_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, part = tmp_path / "all.json", tmp_path / "all.json.part"
    whole = tmp_path / "whole.json"
    assert main(["auto", str(folder), "--out", str(whole), *LOOSE]) == 0
    asked.clear()
    from annotator.commands import auto

    real, count = auto._everything, []

    def stopping(*arguments: Any) -> Any:
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(auto, "_everything", stopping)
    assert main(["auto", str(folder), "--out", str(out), *LOOSE]) == 130
    assert not out.exists()
    with part.open("a") as file:
        file.write('{"file": "half a li')  # what a kill leaves
    monkeypatch.setattr(auto, "_everything", real)
    asked.clear()
    assert main(["auto", str(folder), "--out", str(out), *LOOSE]) == 0
    assert len(asked) == 1
    assert json.loads(out.read_text()) == json.loads(whole.read_text())
    assert not part.exists()


@pytest.mark.parametrize("change", ["settings", "image"])
def test_what_is_not_the_same_any_more_is_asked_again(
    folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    out = tmp_path / "all.json"
    monkeypatch.setattr("annotator.commands.auto._Progress.remove", lambda _self: None)
    assert main(["auto", str(folder), "--out", str(out), *LOOSE]) == 0
    asked.clear()
    more = []
    if change == "settings":
        more = ["--no-border"]
    else:
        Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(folder / "a.png")
    assert main(["auto", str(folder), "--out", str(out), *LOOSE, *more]) == 0
    assert len(asked) == (3 if change == "settings" else 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "all.txt"], "unknown kind"),
        (["--out", "all.json", "--points-per-side", "0"], "points_per_side is 0"),
        (["--out", "all.json", "--pred-iou-thresh", "nan"], "pred_iou_thresh is nan"),
    ],
)
def test_mistakes_are_named(
    folder: Path, tmp_path: Path, asked: list[str], options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options[1] = str(tmp_path / options[1])
    assert main(["auto", str(folder), *options]) == 2
    assert said in capsys.readouterr().err
    assert asked == []


def test_an_empty_folder_and_a_model_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["auto", str(tmp_path / "empty"), "--out", str(tmp_path / "a.json")]) == 2
    assert "no images" in capsys.readouterr().err
    assert main(["auto", str(folder), "--out", str(tmp_path / "a.json"), "--model", "grabcut"]) == 2
    assert "cannot segment everything" in capsys.readouterr().err


def test_the_default_settings_are_the_models(folder: Path, tmp_path: Path, asked: list[str]) -> None:
    from annotator.commands.auto import _HELP
    from annotator.domain.answering.everything import EverythingSettings

    fields = EverythingSettings.__dataclass_fields__
    assert set(_HELP) == {name for name, field in fields.items() if not isinstance(field.default, bool)}
    out = tmp_path / "one.json"
    assert main(["auto", str(folder / "a.png"), "--out", str(out), "--points-per-side", "2"]) == 0
    info = json.loads(out.read_text())["info"]
    assert EverythingSettings(**info["settings"]) == replace(EverythingSettings(), points_per_side=2)
