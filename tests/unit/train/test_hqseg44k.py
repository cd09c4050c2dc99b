"""The protocol of HQ-SAM and PA-SAM: folders, masks, boxes, figures, the table, resuming, and damaged data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from annotator.domain.errors import ExportError, ImageError, ImportFormatError, ModelError
from annotator.domain.mask import Mask
from annotator.domain.metrics import boundary_iou, iou
from annotator.domain.ports.engine import Candidate, Candidates, Embedding
from annotator.domain.prompt import Prompts
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.evaluate.hqseg44k import (
    BAND,
    SETS,
    HqFigures,
    HqResult,
    evaluate_hqseg44k,
    read_pairs,
    subset,
    true_box,
)
from annotator.evaluate.hqseg44k_table import PUBLISHED, table
from annotator.io.images.reading import load_stored
from tests.unit.train.hq_scenes import FOLDERS, ellipse, write_hq, write_pair
from tests.unit.train.test_evaluate import ScriptedSegmenter

BoolArray = npt.NDArray[np.bool_]


class Boxed(ScriptedSegmenter):
    """Fills the box that it is given."""

    def __init__(self) -> None:
        super().__init__(answer=lambda _prompts: [])
        self.shapes: list[tuple[int, ...]] = []

    def encode(self, image: Any, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> Any:
        self.shapes.append(image.shape)
        return super().encode(image, image_key)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.asked.append((prompts, continue_from))
        return Candidates((candidate(filled(embedding, prompts)),), 0, 1.0, 3.0)


def filled(embedding: Embedding, prompts: Prompts) -> BoolArray:
    assert prompts.box is not None
    mask = np.zeros((embedding.height, embedding.width), np.bool_)
    x0, y0, x1, y1 = (round(v) for v in prompts.box.as_xyxy())
    mask[y0:y1, x0:x1] = True
    return mask


def candidate(mask: BoolArray) -> Candidate:
    return Candidate(np.zeros((4, 4), np.float32), 0.9, 1.0, Mask.from_full(mask))


# --- folders ----------------------------------------------------------------------------------------------------------


def test_the_four_sets_in_the_papers_order(tmp_path: Path) -> None:
    pairs, left_out = read_pairs(write_hq(tmp_path))
    assert {one.name: (one.images, one.masks) for one in SETS} == FOLDERS
    assert [pair.set_name for pair in pairs] == [name for name in FOLDERS for _ in range(2)]
    assert all(pair.image.stem == pair.mask.stem == pair.name for pair in pairs)
    assert left_out == ()


def test_what_is_missing_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_hq(tmp_path, sets=("COIFT", "HRSOD"))
    images, masks = (tmp_path / folder for folder in FOLDERS["COIFT"])
    (masks / "coift_1.png").unlink()
    (images / "coift_2.jpg").rename(images / "coift_3.jpg")
    write_pair(tmp_path, "COIFT", "coift_10", ellipse(40, 40, seed=1))
    (images / "._coift_10.jpg").write_bytes(b"residue of an archive")
    (images / "list.txt").write_text("no image")
    (tmp_path / FOLDERS["DIS"][0]).mkdir(parents=True)
    pairs, left_out = read_pairs(tmp_path)
    assert [str(pair) for pair in pairs] == ["COIFT/coift_10", "HRSOD/hrsod_1", "HRSOD/hrsod_2"]
    told = {entry.what: entry.why for entry in left_out}
    assert set(told) == {"DIS", "ThinObject", "COIFT/coift_1", "COIFT/coift_2", "COIFT/coift_3"}
    assert told["DIS"] == "there is no folder DIS5K/DIS-VD/gt"
    assert told["COIFT/coift_1"] == "thin_object_detection/COIFT/masks/coift_1.png is missing"
    assert told["COIFT/coift_2"] == "thin_object_detection/COIFT/images/coift_2.jpg is missing"
    result = evaluate_hqseg44k(Boxed(), tmp_path)
    assert [(name, figures.images) for name, figures in result.sets.items()] == [("COIFT", 1), ("HRSOD", 2)]
    assert not result.is_complete
    text = table(result)
    assert "No average: 2 of the 4 sets are here." in text
    mine = next(line for line in text.splitlines() if line.startswith("scripted"))
    assert mine.split()[1] == mine.split()[-1] == "-"  # DIS and the average


@pytest.mark.parametrize("is_there", [True, False])
def test_no_set_at_all(tmp_path: Path, is_there: bool) -> None:
    root = tmp_path if is_there else tmp_path / "none"
    with pytest.raises(ImportFormatError, match=r"none of the four sets.*DIS5K/DIS-VD/im with DIS5K/DIS-VD/gt"):
        read_pairs(root)


def test_a_set_whose_names_do_not_match(tmp_path: Path) -> None:
    write_hq(tmp_path, sets=("COIFT",))
    for mask in (tmp_path / FOLDERS["COIFT"][1]).iterdir():
        mask.rename(mask.with_stem(f"{mask.stem}_mask"))
    with pytest.raises(ImportFormatError, match="none of the four"):
        read_pairs(tmp_path)
    write_hq(tmp_path, sets=("HRSOD",))
    assert any("no image (.jpg) with a mask" in entry.why for entry in read_pairs(tmp_path)[1])


def test_a_subset_takes_of_each_set_and_does_not_depend_on_the_rest(tmp_path: Path) -> None:
    pairs, _ = read_pairs(write_hq(tmp_path, images=6))
    few = subset(pairs, 2, seed=0)
    assert [pair.set_name for pair in few] == [name for name in FOLDERS for _ in range(2)]
    assert subset(pairs, 4, seed=0) != few
    assert set(few) <= set(subset(pairs, 4, seed=0))
    assert subset(pairs, 2, seed=1) != few
    assert subset(pairs, None, seed=0) == subset(pairs, 99, seed=0) == pairs
    with pytest.raises(ValueError, match="at least one"):
        evaluate_hqseg44k(Boxed(), tmp_path, max_objects=0)


# --- masks and boxes --------------------------------------------------------------------------------------------------


def grey_of(path: Path) -> np.ndarray:
    return load_stored(path, is_grey=True)[:, :, 0]


def test_masks_are_their_first_channel_as_stored(tmp_path: Path) -> None:
    grey = np.array([[0, 127, 128, 129, 255]], np.uint8)
    forms = {
        "L": Image.fromarray(grey),
        "RGB": Image.fromarray(np.stack([grey, 255 - grey, grey * 0], -1)),
        "RGBA": Image.fromarray(np.stack([grey, grey, grey, grey * 0], -1)),
        "LA": Image.fromarray(np.stack([grey, grey * 0], -1)),
        "16": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    for name, image in forms.items():
        image.save(tmp_path / f"{name}.png")
        assert (grey_of(tmp_path / f"{name}.png") == grey).all(), name
    two = Image.fromarray(grey > 128)
    two.save(tmp_path / "1.png")
    assert (grey_of(tmp_path / "1.png") == np.where(grey > 128, 255, 0)).all()
    Image.fromarray(grey).convert("P").save(tmp_path / "P.png")
    assert (grey_of(tmp_path / "P.png") == grey).all()


def test_images_are_not_turned(tmp_path: Path) -> None:
    """The masks of these sets know nothing of EXIF."""
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (30, 20), 90).save(tmp_path / "a.jpg", exif=exif)
    assert load_stored(tmp_path / "a.jpg").shape == (20, 30, 3)


def test_the_box_is_that_of_the_mask_in_a_square_of_1024() -> None:
    mask = np.zeros((2048, 4096), np.uint8)
    mask[200:1000, 400:2400] = 255
    # Columns 400..2399 of 4096 are columns 100..599 of 1024, rows 200..999 of 2048 are rows 100..499.
    assert true_box(mask).as_xyxy() == (100 * 4, 100 * 2, 599 * 4, 499 * 2)
    mask[:] = 0
    mask[200:1000, 400:2400] = 128  # "above 128" is inside
    mask[300:400, 500:700] = 129
    x0, y0, x1, y1 = true_box(mask).as_xyxy()
    assert (x0, y0) == (500, 300)
    assert 690 <= x1 <= 700
    assert 395 <= y1 <= 400


@pytest.mark.parametrize("where", [(slice(700, 701), slice(0, 4096)), (slice(1001, 1002), slice(3001, 3002))])
def test_what_vanishes_in_the_square_has_its_tight_box(where: tuple[slice, slice]) -> None:
    mask = np.zeros((2048, 4096), np.uint8)
    mask[where] = 255
    box = true_box(mask)
    assert box.as_xyxy() == (where[1].start, where[0].start, where[1].stop, where[0].stop)


# --- figures ----------------------------------------------------------------------------------------------------------


def slow_boundary_iou(first: BoolArray, second: BoolArray) -> float:
    """The definition, pixel by pixel: inside, and within the band's width (chessboard) of something outside."""
    width_px = max(1, round(BAND * float(np.hypot(*first.shape))))

    def band(mask: BoolArray) -> BoolArray:
        inner = np.pad(mask, 1)
        for _ in range(width_px):
            around = np.pad(inner, 1)
            inner = np.all(
                [around[y : y + inner.shape[0], x : x + inner.shape[1]] for y in range(3) for x in range(3)], axis=0
            )
        return mask & ~inner[1:-1, 1:-1]

    one, two = band(first), band(second)
    return float(np.count_nonzero(one & two) / np.count_nonzero(one | two))


def test_figures_at_the_original_resolution(tmp_path: Path) -> None:
    write_pair(tmp_path, "DIS", "a", ellipse(120, 200, seed=3))
    touching = ellipse(90, 70, seed=4)
    touching[:30, :25] = 255  # touches the image's border: its edge there counts
    write_pair(tmp_path, "COIFT", "b", np.stack([touching * 0, touching * 0, touching], -1))
    engine = Boxed()
    result = evaluate_hqseg44k(engine, tmp_path)
    assert engine.shapes == [(120, 200, 3), (90, 70, 3)]
    assert all(not prompts.points and previous is None for prompts, previous in engine.asked)
    for found, mask in zip(result.per_image, (ellipse(120, 200, seed=3), touching), strict=True):
        truth = mask > 128
        expected = np.zeros_like(truth)
        x0, y0, x1, y1 = (round(v) for v in true_box(mask).as_xyxy())
        expected[y0:y1, x0:x1] = True
        assert found.box_xyxy == list(true_box(mask).as_xyxy())
        assert found.area == np.count_nonzero(truth)
        assert found.iou == pytest.approx(iou(expected, truth))
        assert found.biou == pytest.approx(slow_boundary_iou(expected, truth))
        assert boundary_iou(expected, truth) == found.biou  # the paper's definition is the domain's own
        assert found.adapter_iou is None
    figures = result.sets
    assert figures["DIS"] == HqFigures(1, result.per_image[0].iou, result.per_image[0].biou, None, None)
    assert result.mean.miou == pytest.approx((figures["DIS"].miou + figures["COIFT"].miou) / 2)
    assert result.mean.images == 2


def test_works_with_an_engine_that_knows_no_adapters(tmp_path: Path) -> None:
    write_hq(tmp_path, sets=("DIS",), images=1)
    result = evaluate_hqseg44k(GrabCutSegmenter(), tmp_path)
    assert result.sets["DIS"].miou > 0.9
    assert (result.model, result.adapter) == ("grabcut", None)
    with pytest.raises(ModelError, match="no adapters"):
        evaluate_hqseg44k(GrabCutSegmenter(), tmp_path, adapter=NoAdapter())  # type: ignore[arg-type]


class NoAdapter:
    """Never looked at."""


# --- damaged data -----------------------------------------------------------------------------------------------------


def test_empty_masks_are_left_out_and_named(tmp_path: Path) -> None:
    write_hq(tmp_path, sets=("HRSOD",), images=1)
    write_pair(tmp_path, "HRSOD", "unscaled", ellipse(50, 60, seed=1) // 255)
    seen: list[tuple[int, int]] = []
    result = evaluate_hqseg44k(Boxed(), tmp_path, progress=lambda done, total, _: seen.append((done, total)))
    assert result.sets["HRSOD"].images == 1
    (entry,) = [entry for entry in result.left_out if "unscaled" in entry.what]
    assert entry.why == "its mask is empty (nothing above 128; its highest value is 1)"
    assert seen[-1][0] == 1
    (tmp_path / FOLDERS["HRSOD"][0] / "hrsod_1.jpg").unlink()
    with pytest.raises(ImportFormatError, match=r"No mask below .* holds an object; HRSOD/unscaled"):
        evaluate_hqseg44k(Boxed(), tmp_path)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_unreadable_files_are_one_message_and_nothing_finished_is_lost(tmp_path: Path, which: int, damage: str) -> None:
    write_hq(tmp_path, sets=("COIFT",))
    victim = tmp_path / FOLDERS["COIFT"][which] / f"coift_2.{'jpg' if which == 0 else 'png'}"
    whole = victim.read_bytes()
    victim.write_bytes({"cut": whole[: len(whole) // 2], "other": b"<html>not found</html>", "empty": b""}[damage])
    state = tmp_path / "run.state"
    with pytest.raises(ImageError, match=r"coift_2\."):
        evaluate_hqseg44k(Boxed(), tmp_path, state_path=state)
    victim.write_bytes(whole)
    again = Boxed()
    assert evaluate_hqseg44k(again, tmp_path, state_path=state).sets["COIFT"].images == 2
    assert len(again.encoded) == 1


def test_an_image_and_a_mask_of_different_sizes(tmp_path: Path) -> None:
    write_hq(tmp_path, sets=("DIS",), images=1)
    cv2.imwrite(str(tmp_path / FOLDERS["DIS"][1] / "dis_1.png"), ellipse(30, 40, seed=0))
    with pytest.raises(ImportFormatError, match=r"DIS/dis_1: the image has 90 x 60 pixels, its mask 40 x 30"):
        evaluate_hqseg44k(Boxed(), tmp_path)


def test_an_absurdly_large_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hq(tmp_path, sets=("DIS",), images=1)
    monkeypatch.setattr("annotator.evaluate.hqseg44k.MOST_PIXELS", 1000)
    with pytest.raises(ImageError, match="too large"):
        evaluate_hqseg44k(Boxed(), tmp_path)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_with_the_same_engine_and_files_only(tmp_path: Path) -> None:
    root, state = write_hq(tmp_path / "data", sets=("DIS", "HRSOD")), tmp_path / "run.state"

    def images_encoded(engine: Boxed) -> int:
        evaluate_hqseg44k(engine, root, state_path=state)
        return len(engine.encoded)

    straight = evaluate_hqseg44k(Boxed(), root, state_path=state)
    assert len(state.read_text().splitlines()) == 4
    assert images_encoded(Boxed()) == 0
    state.write_text("\n".join(state.read_text().splitlines()[:2]) + '\n{"run": "torn')
    resumed_engine = Boxed()
    assert evaluate_hqseg44k(resumed_engine, root, state_path=state).to_json() == straight.to_json()
    assert len(resumed_engine.encoded) == 2
    other = Boxed()
    other.sha256 = "1" * 64
    assert images_encoded(other) == 4
    write_pair(root, "DIS", "dis_1", ellipse(60, 90, seed=77), seed=77)  # another version of one file
    assert images_encoded(Boxed()) == 1
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\nmore of them\n")
    with pytest.raises(ExportError, match="not the state"):
        evaluate_hqseg44k(Boxed(), root, state_path=notes)


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_of_a_complete_run(tmp_path: Path) -> None:
    figures = {name: HqFigures(n, 0.5 + n / 100, 0.4, 0.6 + n / 100, 0.5) for n, name in enumerate(FOLDERS, start=1)}
    lines = table(HqResult("nano", "thin", figures, (), ())).splitlines()
    assert lines[0].split()[-5:] == [*FOLDERS, "average"]
    assert lines[1].split() == ["images", "1", "2", "3", "4", "10"]
    assert lines[2].split()[:4] == ["nano", "51.0", "/", "40.0"]
    assert lines[2].endswith("52.5 / 40.0")
    assert lines[3].startswith("nano + thin")
    assert lines[3].endswith("62.5 / 50.0")
    assert len({len(line) for line in lines[:7]}) == 1
    assert lines[6].startswith("PA-SAM ViT-L (published)")
    assert lines[6].endswith("91.2 / 84.5")
    assert lines[4].count("not found") == 2  # nobody invents what could not be looked up
    assert [line.partition(":")[0] for line in lines[-3:]] == [row.model for row in PUBLISHED]


def test_published_averages_are_those_of_their_sets() -> None:
    for row in PUBLISHED:
        known = [row.figures[name] for name in FOLDERS if name in row.figures]
        if len(known) == len(FOLDERS):
            means = [sum(column) / len(known) for column in zip(*known, strict=True)]
            assert means == pytest.approx(row.figures["average"], abs=0.06), row.model


def test_json_is_plain_data(tmp_path: Path) -> None:
    result = evaluate_hqseg44k(Boxed(), write_hq(tmp_path, sets=("DIS",)))
    data = json.loads(json.dumps(result.to_json()))
    assert data["dataset"] == "hqseg44k"
    assert data["sets"]["DIS"]["miou"] == result.sets["DIS"].miou
    assert [item["name"] for item in data["per_image"]] == ["dis_1", "dis_2"]
    assert {entry["what"] for entry in data["left_out"]} == {"COIFT", "HRSOD", "ThinObject"}
    assert str(tmp_path) not in json.dumps(data)
