"""The embedded models that ship: both load and answer by every way, and what is said of them is in their cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from annotator.domain.answering.hypotheses import USUAL
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.likeness import Examples, LikeQuestion
from annotator.domain.ports.tracking import TrackFrame, TrackSeed, TrackState
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine import weights
from annotator.engine.cache import TieredCache
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import read_nano_metadata
from annotator.engine.tracking.propagators import propagator_of
from annotator.io.images.reading import load_image
from annotator.io.images.samples import write_samples

NAMES = [entry.name for entry in weights.registry().values() if entry.kind == "nano"]
MOST_BYTES = 16_000_000
SETS = {
    "everyday scenes": ("coco_permissive", "coco_scenes"),
    "people": ("coco_people",),
    "animals": ("animals_openimages", "pets_small"),
    "X-ray": ("chest_xray",),
    "MR": ("brain_tumor_mr",),
    "ultrasound": ("fetal_head_us",),
    "nuclei": ("dsb2018_nuclei",),
    "grains": ("granular_material",),
    "flakes": ("bn_flakes",),
    "mushrooms": ("mushrooms",),
    "embryos": ("embryos",),
    "cakes": ("kuih_cakes",),
}
"""The dev sets behind the words of the registry."""


def file_of(name: str) -> Path:
    return weights.shipped_dir() / weights.registry()[name].file


def discs(shift: int = 0) -> tuple[RgbArray, list[Mask]]:
    """Two bright discs on noisy ground, 240 x 180, and their masks."""
    image = np.random.default_rng(0).integers(40, 80, (180, 240, 3)).astype(np.uint8)
    masks = []
    for x, y in ((70 + shift, 80), (170, 100)):
        inside = np.zeros((180, 240), np.uint8)
        cv2.circle(inside, (x, y), 24, 1, -1)
        image[inside > 0] = (210, 150, 60)
        masks.append(Mask.from_full(inside))
    return image, masks


def tables() -> dict[str, tuple[float, float]]:
    """Of nano-3's card: by set the means of nano-3 and of nano-2 over the box and one click."""
    text = file_of("nano-3").with_suffix(".md").read_text("utf-8")
    head = next(line for line in text.splitlines() if " box |" in line)
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(columns) and " / " in cells[columns.index("box")]:
            pairs = [
                [float(x) for x in re.findall(r"\d\.\d+", cells[columns.index(c)])[:2]] for c in ("box", "1 click")
            ]
            ours, other = np.mean(pairs, axis=0).tolist()
            found[cells[0]] = (ours, other)
    return found


def test_the_better_one_on_the_average_is_the_default() -> None:
    assert NAMES == ["nano", "nano-3"]
    assert weights.default_model().name == "nano-3"
    ours, other = tables()["mean"]
    assert ours > other


def test_what_the_menu_says_is_in_the_card() -> None:
    measured = tables()
    for name, sign in (("nano-3", 1), ("nano", -1)):
        words = weights.registry()[name].good_at.split(", ")
        for word in words:
            means = np.mean([measured[one] for one in SETS[word]], axis=0)
            assert sign * (means[0] - means[1]) > 0, word


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_say_where_they_come_from(name: str) -> None:
    path, data = file_of(name), (weights.shipped_dir() / "DATA.md").read_text("utf-8")
    assert path.stat().st_size <= MOST_BYTES
    said = read_nano_metadata(path)
    assert said["licence"] == "Apache-2.0"
    for learnt in said["sets"].split(","):
        assert f"| {learnt} |" in data
    if name != "nano":
        card = path.with_suffix(".md").read_text("utf-8")
        assert weights.sha256_of(path) in card
        runs = re.findall(r"steps=(\d+)", said.get("mean_of", "")) or [said["steps"]]
        assert all(f"{steps} steps" in card for steps in runs)


@pytest.fixture(scope="module")
def segmenter() -> Any:
    return load_segmenter("nano-3", device="cpu")


def test_the_newer_one_has_its_own_calibration_and_keys(segmenter: Any) -> None:
    assert segmenter.calibration != USUAL
    assert segmenter.embedding_key("x") != load_segmenter("nano", device="cpu").embedding_key("x")


def test_box_clicks_and_a_kept_embedding(segmenter: Any, tmp_path: Path) -> None:
    image, masks = discs()
    x, y, w, h = masks[0].bbox_xywh
    prompts = (Prompts(box=Box(x, y, x + w, y + h)), Prompts((PointPrompt(70, 80),)))
    fresh = segmenter.encode(image, "image")
    cache = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 30, codec=segmenter)
    cache.put(fresh)
    kept = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 30, codec=segmenter).get(fresh.key, image)
    for one in prompts:
        answer = segmenter.decode(fresh, one)
        assert answer.chosen.mask.iou(masks[0]) > 0.9
        assert segmenter.decode(kept, one).chosen.mask.same_pixels(answer.chosen.mask)
    first = segmenter.decode(fresh, prompts[1])
    more = Prompts((PointPrompt(70, 80), PointPrompt(120, 150, False)))
    assert segmenter.decode(fresh, more, continue_from=first.chosen).chosen.mask.iou(masks[0]) > 0.9


def test_none_of_the_others_promises_more_than_the_answer_that_is_shown(segmenter: Any, tmp_path: Path) -> None:
    """Eighteen clicks, on coins and between them. A network chooses; the numbers are a linear expectation, which
    may think otherwise."""
    pixels = load_image(write_samples(tmp_path) / "coins.png").rgb
    embedding = segmenter.encode(pixels, "coins")
    for x, y in ((x, y) for x in (45, 110, 190, 225, 270, 335) for y in (55, 130, 205)):
        answer = segmenter.decode(embedding, Prompts((PointPrompt(x, y),)))
        assert len(answer.items) == 3
        assert answer.chosen.predicted_iou == max(item.predicted_iou for item in answer.items)


def test_it_carries_an_object_and_finds_what_is_alike(segmenter: Any) -> None:
    image, masks = discs()
    carrier = propagator_of(
        segmenter, frames=3, direction=1, embedding_of=lambda f, stop: segmenter.encode(f.image, f.image_key)
    )
    carrier.seed(TrackFrame(0, image, "0"), [TrackSeed(7, masks[0])], is_cancelled=lambda: False)
    moved, there = discs(6)
    (answer,) = carrier.step(TrackFrame(1, moved, "1"), [7], is_cancelled=lambda: False)
    assert answer.state is TrackState.FOUND
    assert answer.mask.iou(there[0]) > 0.9
    question = LikeQuestion((Examples(image, "here", (masks[0],)),))
    *_, last = segmenter.likeness.steps(segmenter.encode(image, "here"), image, "here", question, [])
    assert max(one.mask.iou(masks[1]) for one in last.proposals) > 0.8
