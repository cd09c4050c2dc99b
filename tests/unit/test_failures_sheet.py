"""The model card's sheet of known failures can be drawn again by its command."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.studies.failures import ANSWER_RGB, COLUMNS, FAILURES, PROMPT_RGB


def near(pixels: np.ndarray, rgb: tuple[int, int, int]) -> int:
    return int((np.abs(pixels.astype(int) - np.array(rgb)).max(-1) < 40).sum())


def test_every_tile_shows_the_prompt_and_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "failures.png"
    monkeypatch.setattr(sys, "argv", ["failures", str(target)])
    monkeypatch.delitem(sys.modules, "annotator.studies.failures")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("annotator.studies.failures", run_name="__main__")
    assert ended.value.code == 0
    pixels = np.asarray(Image.open(target))
    rows = len(FAILURES) // COLUMNS
    height, width = pixels.shape[0] // rows, pixels.shape[1] // COLUMNS
    for number in range(len(FAILURES)):
        row, column = divmod(number, COLUMNS)
        tile = pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert near(tile, PROMPT_RGB) > 30
        assert near(tile, ANSWER_RGB) > 100
