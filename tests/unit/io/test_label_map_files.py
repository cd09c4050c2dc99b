"""Masks that lie in picture files: their numbers as they are, and what is no mask is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images.stored import read_label_map

MOST = 10_000


def numbers(path: Path) -> np.ndarray:
    return read_label_map(path, max_pixels=MOST).view("<i4")[..., 0]


@pytest.mark.parametrize(
    ("mode", "values"),
    [
        ("L", np.array([[0, 7], [255, 1]], np.uint8)),
        ("I;16", np.array([[0, 700], [65535, 1]], np.uint16)),
        ("RGB", np.repeat(np.array([[0, 7], [255, 1]], np.uint8)[..., None], 3, axis=2)),
        ("LA", np.dstack([np.array([[0, 7], [255, 1]], np.uint8), np.full((2, 2), 9, np.uint8)])),
    ],
)
def test_numbers_are_those_of_the_file(tmp_path: Path, mode: str, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
    assert np.array_equal(numbers(tmp_path / "a.png"), values if values.ndim == 2 else values[..., 0])


def test_of_a_palette_the_indices_count(tmp_path: Path) -> None:
    made = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8), "L").convert("P")
    made.putdata([0, 2, 1, 2])
    made.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    made.save(tmp_path / "a.png")
    assert numbers(tmp_path / "a.png").tolist() == [[0, 2], [1, 2]]


def test_what_is_no_mask_is_refused_by_name(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[1, 2, 3]]], np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(np.zeros((2, 2, 4), np.uint8), "CMYK").save(tmp_path / "print.tif")
    Image.fromarray(np.zeros((200, 200), np.uint8)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_bytes(b"no picture")
    for name, message in {
        "colour.png": "colour.png is a colour picture",
        "print.tif": r"print.tif is no mask \(CMYK\)",
        "large.png": "large.png",
        "text.png": "text.png cannot be read as a mask.*Save it as PNG",
        "none.png": "There is no file .*none.png.*Check the name",
    }.items():
        with pytest.raises(ImageError, match=message):
            read_label_map(tmp_path / name, max_pixels=MOST)
