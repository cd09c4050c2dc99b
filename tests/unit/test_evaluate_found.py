"""``annotator evaluate --found``: what something found is judged class by class against what is annotated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.evaluate.found import ClassFigures, found_figures

SIDE = 40


def coco(names: list[str], classes: dict[int, str], boxes: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Objects are (image number, class, x, y, side[, score]): squares."""
    return {
        "images": [{"id": n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(names, 1)],
        "categories": [{"id": n, "name": name} for n, name in classes.items()],
        "annotations": [
            {
                "id": n,
                "image_id": image,
                "category_id": class_id,
                "segmentation": [[x, y, x + side, y, x + side, y + side, x, y + side]],
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": 0,
                **({"score": score[0]} if score else {}),
            }
            for n, (image, class_id, x, y, side, *score) in enumerate(boxes, 1)
        ],
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / "images" / name)
    truth = coco(
        ["a.png", "b.png", "c.png"],
        {1: "Cell", 2: "debris"},
        [(1, 1, 0, 0, 10), (1, 1, 20, 20, 10), (2, 1, 5, 5, 10), (2, 2, 20, 20, 8), (3, 1, 0, 0, 10)],
    )
    found = coco(
        ["a.png", "b.png"],
        {7: "cell", 9: "debris", 5: "dust"},
        [
            *((1, 7, 0, 0, 10, 0.9), (1, 7, 0, 30, 8, 0.8), (2, 7, 5, 5, 10, 0.7), (2, 7, 5, 5, 10, 0.2)),
            (2, 5, 0, 0, 4, 0.5),
        ],
    )
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path


def test_a_class_at_a_time(place: Path) -> None:
    figures = found_figures(place / "truth.json", place / "found.json", place / "images")
    assert figures.images == 2
    # Of three cells in the images that were asked two are found, by the first and the third of four answers.
    cells = figures.classes["cell"]
    assert (cells.objects, cells.found, cells.precision, cells.recall) == (3, 4, 0.5, pytest.approx(2 / 3))
    assert cells.ap50 == pytest.approx((34 * 1.0 + 33 * 2 / 3) / 101)
    assert cells.best_iou == pytest.approx(2 / 3)
    assert figures.classes["debris"] == ClassFigures(1, 0, 0.0, 0.0, 0.0, 0.0)
    assert any("1 object in images that found.json does not list" in line for line in figures.remarks)
    assert any("1 object of 'dust'" in line for line in figures.remarks)


def test_from_a_score_on_and_without_classes(place: Path) -> None:
    sure = found_figures(place / "truth.json", place / "found.json", place / "images", least_score=0.75)
    assert (sure.classes["cell"].precision, sure.classes["cell"].recall) == (0.5, pytest.approx(1 / 3))
    blind = found_figures(place / "truth.json", place / "found.json", place / "images", is_class_blind=True)
    assert [(name, row.objects, row.found) for name, row in blind.classes.items()] == [("all", 4, 5)]


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--coco", f"{place}/truth.json", "--images", f"{place}/images", "--found", f"{place}/found.json"]
    assert cli.main(["evaluate", *words, "--json", f"{place}/out.json"]) == 0
    said = capsys.readouterr().out
    assert "cell          3      4      0.500   0.667" in said
    assert "mean" in said
    assert json.loads((place / "out.json").read_text())["cell"]["recall"] == pytest.approx(2 / 3)
    assert cli.main(["evaluate", *words, "--clicks", "3"]) != 0
    assert "--found asks no model" in capsys.readouterr().err
    assert cli.main(["evaluate", *words[:4], "--any-class"]) != 0
    assert "go with --found" in capsys.readouterr().err
