"""The README's lines of Python, with the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import annotator


def test_three_lines_give_a_mask(tmp_path: Path) -> None:
    pixels = np.full((120, 160, 3), 120, np.uint8)
    pixels[40:80, 50:110] = (230, 60, 40)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = annotator.Segmenter("nano", device="cpu").encode(tmp_path / "a.png")
    found = image.predict(points=[(80, 60, 1)], box_xyxy=(50, 40, 110, 80))
    truth = np.zeros((120, 160), bool)
    truth[40:80, 50:110] = True
    full = found.chosen.mask.full()
    assert (full & truth).sum() / (full | truth).sum() > 0.5
