"""``annotator statistics``: counts of a real project, as lines, table, JSON and picture."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Category, Edit, RowChange, accept_edit
from annotator.domain.proposals.table import KeptProposal
from annotator.domain.proposals.taking import take_edit
from annotator.io.project.proposals import DROPPED, write_items, write_states
from annotator.io.project.store import ProjectStore

WIDTH, HEIGHT = 64, 48


def square(x: int, side: int) -> Mask:
    return Mask(np.ones((side, side), np.bool_), x, 5, WIDTH, HEIGHT)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images; two objects by hand, four proposals: two taken, one dropped, one open."""
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / name)
    with ProjectStore.open_folder(folder) as store:
        store.apply(Edit("add class", (RowChange(None, Category(store.new_id("category"), "Zelle", "#0072b2")),)))
        for x, category_id in ((5, 1), (30, 2)):
            blank = Annotation(store.new_id("annotation"), 1, category_id, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
            store.apply(accept_edit(blank.with_mask(square(x, 10)), store.image(1)))
        found = [KeptProposal(n, square(n, 4), square(n, 4).rle(), 0.9 - n / 100) for n in (1, 2, 3, 4)]
        store.write_beside(lambda file: write_items(file, 2, added=found, gone=()))
        store.write_beside(lambda file: write_states(file, 2, {3: DROPPED}))
        new = {"new_id": lambda: store.new_id("annotation"), "author": "", "created_at": ""}
        store.apply(take_edit(found[:2], store.image(2), category_id=2, **new))
        taken = store.annotations(2)[0]
        store.apply(Edit("grow", (RowChange(taken, replace(taken, origin="refine")),)))
        return store.path


def test_they_are_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statistics", str(project.parent)]) == 0
    said = capsys.readouterr().out
    assert "4 objects in 2 images" in said
    assert "Zelle: 3 in 2 images, median 16 px²" in said
    assert "everything: 2 accepted (1 corrected), 1 rejected, precision 67% (21% to 94%)" in said


def test_they_are_written(project: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "png"):
        assert main(["statistics", str(project), "--out", str(tmp_path / f"out.{suffix}")]) == 0
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    [cell] = [row for row in rows if row["name"] == "Zelle"]
    assert (cell["objects"], cell["images"], cell["area_min"], cell["area_max"]) == ("3", "2", "16", "100")
    [own] = [row for row in rows if row["kind"] == "proposals"]
    assert (own["accepted"], own["rejected"], own["precision"]) == ("2", "1", "0.6667")
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["objects"] == 4
    assert data["proposals"][0]["precision"] == pytest.approx(2 / 3)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width == 1000
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (0x00, 0x72, 0xB2) in colours  # the class's own


def test_what_cannot_be_done_is_said(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statistics", str(project), "--out", str(tmp_path / "out.pdf")]) == 2
    assert ".csv, a .json or a .png" in capsys.readouterr().err
    (tmp_path / "nothing").mkdir()
    assert main(["statistics", str(tmp_path / "nothing")]) == 2
    assert "no project" in capsys.readouterr().err
