"""Gain against the number of images: cards are read as they are written, and the picture shows what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.statistics import Interval
from annotator.studies.mask_curve import Gain, main, read_card, table
from annotator.train.run.curves import COLOURS, PANEL_PX

CARD = """# Adapter: {name}

- For: {domain}
- Base: nano-2 (SHA-256 00)
- Data: trained on {masks} objects in {images} images{stop}, judged on 9 objects in 3 images

| held-back images | base | adapter | difference |
|---|---|---|---|
| bIoU, box | 0.100 [0.050, 0.150] | 0.200 [0.150, 0.250] | +0.100 [+0.050, +0.150] |
| bIoU, all | 0.100 [0.050, 0.150] | 0.200 [0.150, 0.250] | +0.100 [+0.050, +0.150] |

| dev | base | adapter | difference |
|---|---|---|---|
| bIoU, box | 0.500 [0.450, 0.550] | 0.490 [0.440, 0.540] | -0.010 [-0.020, -0.001] |
| bIoU, all | 0.600 [0.550, 0.650] | 0.620 [0.570, 0.670] | +0.020 [+0.010, +0.030] |
| NoC@85 | 2.602 [2.186, 3.051] | 2.797 [2.356, 3.271] | +0.195 [-0.051, +0.449] |
"""


def card(folder: Path, *, images: int, domain: str = "cells", stop: str = "") -> Path:
    path = folder / f"{domain}-{images}.md"
    text = CARD.format(name=path.stem, domain=domain, images=images, masks=images * 3, stop=stop)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_card_is_read_with_its_last_table_and_all_of_its_images(tmp_path: Path) -> None:
    read = read_card(card(tmp_path, images=9, stop=", stopped by 2 objects in 1 image"))
    assert (read.domain, read.images, read.masks) == ("cells", 10, 29)
    assert read.gains["bIoU, box"] == Gain(0.5, 0.49, Interval(-0.01, -0.02, -0.001))
    assert read.gains["bIoU, all"].difference.signed == "+0.020 [+0.010, +0.030]"


def test_cards_that_ship_can_be_read() -> None:
    cards = sorted((Path(__file__).parents[3] / "checkpoints" / "adapters").glob("*.md"))
    assert cards
    for path in cards:
        assert read_card(path).images > 50


def test_the_table_goes_by_domain_and_number_of_images(tmp_path: Path) -> None:
    cards = [card(tmp_path, images=images, domain=domain) for domain in ("cells", "bees") for images in (50, 5)]
    lines = table([read_card(path) for path in cards]).splitlines()[2:]
    assert [line.split(" | ")[0:2] for line in lines] == [
        ["| bees", "none"],
        ["|", "5"],
        ["|", "50"],
        ["| cells", "none"],
        ["|", "5"],
        ["|", "50"],
    ]
    assert "| 0.490 | -0.010 [-0.020, -0.001] | 0.620 | +0.020 [+0.010, +0.030] |" in lines[1]


@pytest.mark.parametrize("sizes", [(5,), (5, 20, 100)])
def test_the_picture_has_a_panel_for_each_domain(
    tmp_path: Path, sizes: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [card(tmp_path, images=images, domain=domain) for domain in ("cells", "bees") for images in sizes]
    assert main([str(tmp_path / "curve.png"), *map(str, cards)]) == 0
    assert "| cells | none |" in capsys.readouterr().out
    pixels = np.asarray(Image.open(tmp_path / "curve.png"))
    assert pixels.shape == (PANEL_PX[1], 2 * PANEL_PX[0], 3)
    for half in (pixels[:, : PANEL_PX[0]], pixels[:, PANEL_PX[0] :]):
        for colour in COLOURS[:2]:
            rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
            assert (half == rgb).all(axis=2).sum() > 20
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix != ".md") == [".png"]


@pytest.mark.parametrize("content", [b"", b"# Adapter: x\n\n- For: cells\n", b"\xff\xfe"])
def test_other_files_are_one_clear_line(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.md").write_bytes(content)
    for path in (tmp_path / "x.md", tmp_path / "none.md"):
        assert main([str(tmp_path / "curve.png"), str(path)]) == 2
        told = capsys.readouterr().err
        assert path.name in told
        assert len(told.splitlines()) == 1
    assert not (tmp_path / "curve.png").exists()
