"""``annotator check``: projects and COCO files, reports, exit codes, and findings that stay with a note."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.formats.coco.export import export_coco
from annotator.io.project.store import ProjectStore

WIDTH, HEIGHT = 64, 48


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two images; on the first two objects that are the same, and one that is sound."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / name)
    with ProjectStore.open_folder(folder) as store:
        for image_id in (1, 2):
            store.record_image_facts(image_id, sha256=str(image_id) * 64, width=WIDTH, height=HEIGHT)
        for x, y in ((5, 5), (5, 5), (30, 20)):
            mask = Mask(np.ones((12, 12), np.bool_), x, y, WIDTH, HEIGHT)
            blank = Annotation(store.new_id("annotation"), 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
            store.apply(accept_edit(blank.with_mask(mask), store.image(1)))
        return store.path


def test_a_project_is_checked_and_reported(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    assert main(["check", str(project), "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "Duplicate (error): 1" in said
    assert "a.png · object 2, object 1 · object and object are the same by 100%" in said
    assert "1 finding, 1 of them errors" in said
    [row] = json.loads(out.read_text())["findings"]
    assert (row["check"], row["image"], row["objects"], row["repair"]) == ("duplicate", "a.png", [2, 1], "delete")
    table = tmp_path / "report.csv"
    assert main(["check", str(project.parent), "--out", str(table)]) == 1
    [row] = csv.DictReader(table.read_text().splitlines())
    assert (row["check"], row["objects"]) == ("duplicate", "2 1")


def test_the_exit_code_keeps_to_what_is_asked(project: Path) -> None:
    assert main(["check", str(project), "--fail-on", "never"]) == 0
    assert main(["check", str(project), "--skip", "duplicate"]) == 0
    assert main(["check", str(project), "--only", "holes, speck"]) == 0
    assert main(["check", str(project), "--only", "duplicate", "--fail-on", "error"]) == 1


def test_what_is_waived_stays_with_its_note_until_the_object_changes(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.json"
    main(["check", str(project), "--out", str(out)])
    mark = json.loads(out.read_text())["findings"][0]["mark"]
    assert main(["check", str(project), "--waive", mark]) == 2
    assert "--note" in capsys.readouterr().err
    assert main(["check", str(project), "--waive", mark, "--note", "twins", "--out", str(out)]) == 0
    assert "Duplicate (error): 0, 1 waived" in capsys.readouterr().out
    assert main(["check", str(project), "--out", str(out)]) == 0
    [row] = json.loads(out.read_text())["findings"]
    assert (row["waived"], row["note"]) == (True, "twins")
    with ProjectStore.open(project) as store:
        first = store.annotation(1)
        larger = Mask(np.ones((13, 12), np.bool_), 5, 5, WIDTH, HEIGHT)
        store.apply(accept_edit(first.with_mask(larger), store.image(1), replaces=first))
    assert main(["check", str(project)]) == 1


def test_a_coco_file_says_the_same(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = tmp_path / "coco.json"
    with ProjectStore.open(project, read_only=True) as store:
        export_coco(store, coco)
    data = json.loads(coco.read_text())
    data["annotations"] += [
        {"id": 7, "image_id": 1, "category_id": 1, "segmentation": [[1, 2]], "iscrowd": 0},
        {"id": 8, "image_id": 99, "category_id": 1, "segmentation": []},
        "nonsense",
    ]
    data["categories"].append({"id": 9, "name": "Object"})
    coco.write_text(json.dumps(data))
    out = tmp_path / "r.json"
    assert main(["check", str(coco), "--out", str(out)]) == 1
    rows = json.loads(out.read_text())["findings"]
    assert sorted((row["check"], tuple(row["objects"])) for row in rows) == [
        ("class-names", ()),
        ("duplicate", (2, 1)),
        ("unusable", (-6,)),
        ("unusable", (7,)),
        ("unusable", (8,)),
    ]
    assert "which is not listed" in capsys.readouterr().out
    assert main(["check", str(coco), "--waive", rows[0]["mark"], "--note", "x"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "spelling"], "There is no check 'spelling'"),
        (["--out", "report.txt"], "unknown kind"),
        (["--out", "nowhere/report.json"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(
    project: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(project), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "no project" in capsys.readouterr().err


def test_with_pixels_an_outline_that_ignores_the_image_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    image = np.random.default_rng(0).integers(40, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[10:38, 10:38] += 120
    Image.fromarray(image).save(folder / "a.png")
    with ProjectStore.open_folder(folder) as store:
        store.record_image_facts(1, sha256="1" * 64, width=WIDTH, height=HEIGHT)
        for x, y, side in ((10, 10, 28), (20, 16, 28)):
            mask = Mask(np.ones((side, side), np.bool_), x, y, WIDTH, HEIGHT)
            blank = Annotation(store.new_id("annotation"), 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
            store.apply(accept_edit(blank.with_mask(mask), store.image(1)))
        export_coco(store, folder / "set.json")
        path = store.path
    for target in (path, folder / "set.json"):
        assert main(["check", str(target), "--only", "edges"]) == 0
        assert "0 findings" in capsys.readouterr().out
        assert main(["check", str(target), "--only", "edges", "--pixels", "--fail-on", "note"]) == 1
        said = capsys.readouterr().out
        assert "Ignores edges (note): 1" in said
        assert "a.png · object 2" in said
