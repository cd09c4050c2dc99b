"""``annotator evaluate --pictures``: the worst answers drawn, the worst first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.evaluate.objects import read_evaluation_set
from annotator.evaluate.worst_pictures import ANSWER_RGB, COLUMNS, TRUE_RGB, worst_of
from tests.unit.train.scenes import write_set


def evaluate(root: Path, *more: str) -> int:
    words = ["--coco", str(root / "annotations.json"), "--images", str(root / "images")]
    return cli.main(["evaluate", "--engine", "grabcut", "--clicks", "1", *words, *more])


def near(pixels: np.ndarray, rgb: tuple[int, int, int]) -> int:
    """How many pixels have about that colour."""
    return int((np.abs(pixels.astype(int) - np.array(rgb)).max(-1) < 12).sum())


def test_the_sheet_shows_one_tile_per_image_with_both_outlines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_set(tmp_path / "cells", images=6)
    target = tmp_path / "worst.png"
    assert evaluate(root, "--pictures", str(target), "--worst", "5") == 0
    assert "5 objects, the worst first" in capsys.readouterr().out
    pixels = np.asarray(Image.open(target).convert("RGB"))
    height, width = pixels.shape[0] // 2, pixels.shape[1] // COLUMNS
    tiles = [
        pixels[r * height : (r + 1) * height, c * width : (c + 1) * width] for r in range(2) for c in range(COLUMNS)
    ]
    assert all(near(tile, TRUE_RGB) + near(tile, ANSWER_RGB) > 50 for tile in tiles[:5])
    assert all((tile == 250).all() for tile in tiles[5:])


def test_the_worst_come_first_and_no_image_twice(tmp_path: Path) -> None:
    root = write_set(tmp_path / "cells", images=4)
    out = tmp_path / "out.json"
    assert evaluate(root, "--json", str(out)) == 0
    from annotator.evaluate.run import ObjectResult

    results = [ObjectResult(**record) for record in json.loads(out.read_text())["per_object"]]
    items = read_evaluation_set(root / "annotations.json", root / "images").objects
    worst = worst_of({"cells": items}, {"cells": results}, count=10)
    values = [one.result.box_iou for one in worst]
    assert values == sorted(values)
    assert values[0] == min(result.box_iou for result in results)
    assert len({one.item.image.id for one in worst}) == len(worst) == 4


def test_pictures_of_harder_conditions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_set(tmp_path / "cells", images=2)
    assert evaluate(root, "--pictures", str(tmp_path / "w.png"), "--degrade", "blur") == 2
    assert "--pictures shows the images as they are" in capsys.readouterr().err
    assert evaluate(root, "--pictures", str(tmp_path / "no" / "w.png")) == 2
