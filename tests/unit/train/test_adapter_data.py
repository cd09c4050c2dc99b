"""What adapters learn from: sets and projects, their split, windows that are encoded once."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from annotator import cli
from annotator.domain.errors import ImageError, ImportFormatError, UserError
from annotator.domain.mask import Mask
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.evaluate.objects import EvaluationObject
from annotator.io.project.store import ProjectStore
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import Split, image_count, read_source, split, training_images
from annotator.train.data.windows import TrainingImage, WindowSampler
from tests.unit.io.test_reader_processes import jpeg_dicom
from tests.unit.train.scenes import write_set


def test_no_image_is_on_two_sides(root: Path) -> None:
    parts = split([read_source(root)], held_back=0.3)
    paths = [{item.image.path for item in side} for side in (parts.train, parts.validation, parts.held_back)]
    assert [len(p) for p in paths] == [6, 1, 3]
    assert len(set.union(*paths)) == 10
    assert parts == split([read_source(root)], held_back=0.3)
    assert parts.held_back != split([read_source(root)], held_back=0.3, seed=1).held_back


def test_amounts_in_words(root: Path) -> None:
    parts = split([read_source(root)], held_back=0.3)
    few = replace(parts, train=parts.train[:1], validation=parts.train[:0], held_back=parts.held_back)
    assert few.describe().startswith("trained on 1 object in 1 image, judged on ")
    assert few.describe().endswith(" objects in 3 images")


def test_series_stay_together(root: Path, tmp_path: Path) -> None:
    data = json.loads((root / "annotations.json").read_text("utf-8"))
    for number, image in enumerate(data["images"]):
        image["attributes"] = {"SeriesInstanceUID": f"1.2.{number // 4}"}
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "annotations.json").write_text(json.dumps(data), "utf-8")
    parts = split([read_source(tmp_path)], held_back=0.3)
    series = [{(item.image.id - 1) // 4 for item in side} for side in (parts.train, parts.held_back)]
    assert not series[0] & series[1]
    assert len(series[0] | series[1]) == 3


def test_fewer_images_are_judged_on_the_same_ones(root: Path) -> None:
    source = read_source(root)
    few, all_of = split([source], max_images=2), split([source])
    assert few.held_back == all_of.held_back
    assert image_count([*few.train, *few.validation]) == 2


def test_what_cannot_be_trained_on_is_said(root: Path, tmp_path: Path) -> None:
    lonely = write_set(tmp_path / "lonely", images=1)
    with pytest.raises(UserError, match="one image"):
        split([read_source(lonely)])
    with pytest.raises(ImportFormatError, match="no project or COCO set"):
        read_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportFormatError, match="neither a project"):
        read_source(tmp_path / "empty")


def test_accepted_masks_of_a_project(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (root / "images").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    ProjectStore.open_folder(folder).close()
    assert cli.main(["import", str(folder), str(root / "annotations.json")]) == 0
    project, coco = read_source(folder), read_source(root)
    assert len(project.objects) == len(coco.objects) == 20
    ours = {(o.image.file_name, o.mask().area) for o in project.objects}
    assert ours == {(o.image.file_name, o.mask().area) for o in coco.objects}
    assert project.objects[0].image.path.is_file()


def test_sixteen_bit_images_are_read_as_shown(tmp_path: Path) -> None:
    values = np.zeros((40, 50), np.uint16)
    values[10:30, 10:40] = 60000
    Image.fromarray(values).save(tmp_path / "deep.png")
    mask = Mask.from_full(values > 0)
    pixels = TrainingImage(tmp_path / "deep.png", "x", (mask,)).pixels()
    assert pixels.shape == (40, 50, 3)
    assert pixels.dtype == np.uint8
    assert pixels.max() > 200
    other = Mask.from_full(np.ones((40, 51), bool))
    with pytest.raises(ImportFormatError, match="50 x 40"):
        draw_from(TrainingImage(tmp_path / "deep.png", "x", (other,)))


def draw_from(image: TrainingImage) -> None:
    WindowSampler([image], window_px=32, objects=1).draw(np.random.default_rng(0), np.ones(1))


def test_an_image_that_ends_its_reader_is_a_sentence(tmp_path: Path) -> None:
    path = jpeg_dicom(tmp_path / "bad.dcm")
    mask = Mask.from_full(np.eye(24, dtype=bool)[:20] | True)
    with pytest.raises(ImageError, match=r"bad\.dcm is damaged: it ended the process"):
        draw_from(TrainingImage(path, "x", (mask,)))


def test_specks_and_whole_images_are_not_learned_from(parts: Split) -> None:
    whole = replace(parts.train[0], segmentation={"size": [96, 96], "counts": [0, 96 * 96]})
    speck = replace(parts.train[0], segmentation={"size": [96, 96], "counts": [5, 3, 96 * 96 - 8]})
    (image,) = training_images([parts.train[0], whole, speck], "x")
    assert len(image.masks) == 1
    with pytest.raises(UserError, match="no objects to learn from"):
        training_images([whole, speck], "x")


def test_windows_are_encoded_once(parts: Split, segmenter: Sam2Segmenter, tmp_path: Path) -> None:
    images = training_images(parts.train, "ellipses")
    cache = WindowCache(tmp_path, segmenter, images, count=3, seed=0)
    assert cache.fill(lambda _done, _all: None) == 3
    first = cache[1]
    (tmp_path / "000001.safetensors").write_bytes(b"torn")
    again = WindowCache(tmp_path, segmenter, images, count=4, seed=0)
    assert again.fill(lambda _done, _all: None) == 1
    assert torch.equal(again[1].low, first.low)  # made again: a function of its number
    assert np.array_equal(again[1].targets, first.targets)
    assert first.fine.shape == (8, 32, 32)
    assert first.coarse.shape == (16, 16, 16)
    assert first.low.shape == (64, 8, 8)
    assert first.targets.shape[1:] == (128, 128)
    assert first.targets.max() == 1


def files(*sides: tuple[EvaluationObject, ...]) -> set[Path]:
    return {item.image.path.resolve() for side in sides for item in side}


def test_what_one_source_holds_back_no_other_learns_from(root: Path, tmp_path: Path) -> None:
    data = json.loads((root / "annotations.json").read_text("utf-8"))
    kept = {record["id"] for record in data["images"][:6]}
    other = {
        "images": [record for record in data["images"] if record["id"] in kept],
        "annotations": [one for one in data["annotations"] if one["image_id"] in kept],
    }
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "other.json").write_text(json.dumps(other), "utf-8")
    sources = [read_source(root), read_source(tmp_path / "other.json")]
    for seed in range(4):
        parts = split(sources, seed=seed)
        sides = [files(side) for side in (parts.train, parts.validation, parts.held_back)]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))
        alone = split(sources[:1], seed=seed).held_back
        assert parts.held_back[: len(alone)] == alone
    halves = [
        replace(sources[0], groups={n: f"series={(n < 6) == flip}" for n in range(1, 11)}) for flip in (True, False)
    ]
    with pytest.raises(UserError, match="left to learn from"):
        split(halves)


def test_a_patient_of_two_sets_is_on_one_side(tmp_path: Path) -> None:
    sources = []
    for number, name in enumerate(("a", "b")):
        source = read_source(write_set(tmp_path / name, images=9 - 3 * number, seed=number))
        sources.append(replace(source, groups={image: f"PatientID={image}" for image in source.groups}))

    def patients(side: tuple[EvaluationObject, ...]) -> set[int]:
        return {item.image.id for item in side}

    for seed in range(4):
        parts = split(sources, seed=seed)
        learned = patients((*parts.train, *parts.validation))
        assert learned
        assert not learned & patients(parts.held_back)
    # Sets that merely name their files alike have nothing to do with each other.
    plain = [read_source(tmp_path / name) for name in ("a", "b")]
    apart = split(plain)
    assert len(files(apart.train, apart.validation, apart.held_back)) == 15


def test_the_most_images_are_counted_over_all_sources_and_groups(root: Path, tmp_path: Path) -> None:
    source = read_source(root)
    series = replace(source, groups={image: f"series={image // 4}" for image in source.groups})
    few = split([series], max_images=2)
    assert few.held_back == split([series]).held_back
    assert image_count([*few.train, *few.validation]) == 2
    other = read_source(write_set(tmp_path / "other", images=4))
    both = split([source, other], max_images=3)
    assert image_count([*both.train, *both.validation]) == 3
    assert image_count([item for item in both.train if item in other.objects]) == 1


def test_the_split_of_one_source_is_the_one_that_published_figures_rest_on(root: Path) -> None:
    parts = split([read_source(root)], max_images=7)
    ids = [sorted({item.image.id for item in side}) for side in (parts.train, parts.validation, parts.held_back)]
    assert ids == [[1, 4, 5, 7, 8, 9], [6], [2, 10]]


def test_changed_pixels_and_groups_are_another_training_but_the_same_results(root: Path) -> None:
    source = read_source(root)
    before = source.training_digest()
    assert before == read_source(root).training_digest()
    assert replace(source, groups=dict.fromkeys(source.groups, "series=1")).training_digest() != before
    image = source.objects[0].image.path
    os.utime(image, (1, 1))
    again = read_source(root)
    assert again.training_digest() != before
    assert again.digest == source.digest
    assert again.digest == hashlib.sha256((root / "annotations.json").read_bytes()).hexdigest()
