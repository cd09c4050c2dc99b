"""Training windows: images and masks stay together, prompts are where a person's would be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.train.data.windows import WindowSampler, read_coco_sets, warp_mask
from annotator.train.steps.prompts import NOTHING, click_inside, click_near_outline, corrective_click, noisy_box
from tests.unit.train.scenes import write_set


def test_sets_are_read_with_their_objects(tmp_path: Path) -> None:
    images = read_coco_sets([write_set(tmp_path / "a", images=2), write_set(tmp_path / "b", images=1, seed=1)])
    assert [(image.set_name, len(image.masks)) for image in images] == [("a", 2), ("a", 2), ("b", 2)]
    assert images[0].pixels().shape == (96, 96, 3)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": []}', '{"images": [], "annotations": [{"segmentation": [[0, 0, 1, 1, 2, 2]]}]}']
)
def test_a_broken_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "annotations.json").write_text(text, encoding="utf-8")
    with pytest.raises(ImportFormatError):
        read_coco_sets([tmp_path])


def test_a_set_without_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [], "annotations": []}), encoding="utf-8")
    with pytest.raises(ImportFormatError, match="no objects"):
        read_coco_sets([tmp_path])


@pytest.mark.parametrize("window_px", [64, 128])
def test_the_mask_lies_on_its_object_however_the_window_is_turned(tmp_path: Path, window_px: int) -> None:
    sampler = WindowSampler(read_coco_sets([write_set(tmp_path / "a")]), window_px=window_px, objects=2)
    rng = np.random.default_rng(0)
    ious = []
    for _ in range(60):
        window = sampler.draw(rng, sampler.set_weights({}))
        assert window.image.shape == (window_px, window_px, 3)
        assert window.image.dtype == np.float32
        assert 0.0 <= window.image.min() <= window.image.max() <= 1.0
        assert 1 <= len(window.targets) <= 2
        grey = window.image.mean(2)
        target = window.targets[0].astype(bool)
        # The object is one of two flat bright shapes; look only near it, and either polarity may be drawn.
        near = cv2.dilate(window.targets[0], np.ones((5, 5), np.uint8)).astype(bool)
        inside = np.median(grey[target])
        around = np.median(grey[near & ~target])
        same = near & (np.abs(grey - inside) < np.abs(grey - around))
        ious.append((same & target).sum() / (same | target).sum())
    # Heavy noise and blur cost some; a half-pixel slip or a flip of only one of the two would ruin all.
    assert np.median(ious) > 0.93
    assert np.mean(np.array(ious) > 0.8) > 0.9


def test_an_identity_warp_keeps_every_pixel() -> None:
    full = np.random.default_rng(0).random((32, 32)) < 0.5
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    np.testing.assert_array_equal(warp_mask(Mask.from_full(full), identity, 32).astype(bool), full)


def test_clicks_fall_into_the_region_they_name() -> None:
    rng = np.random.default_rng(0)
    region = np.zeros((20, 30), bool)
    region[4:12, 6:9] = True
    for _ in range(50):
        x, y, label = click_inside(region, 1, rng, cell_px=2.0)
        assert label == 1
        assert region[int(y / 2), int(x / 2)]


def test_corrections_go_to_the_deeper_error() -> None:
    rng = np.random.default_rng(0)
    target, prediction = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    target[2:9, 2:9] = True
    prediction[14:16, :] = True
    assert corrective_click(prediction, target, rng, cell_px=2.0)[2] == 1
    assert corrective_click(target, prediction, rng, cell_px=2.0)[2] == 0
    assert corrective_click(target, target, rng, cell_px=2.0) == NOTHING


def test_clicks_near_an_outline_say_what_is_true_there_and_keep_near() -> None:
    rows, columns = np.mgrid[0:80, 0:80]
    answer = np.hypot(columns - 40, rows - 40) < 24
    target = np.hypot(columns - 44, rows - 40) < 24
    rng = np.random.default_rng(0)
    labels, is_error = [], []
    for _ in range(300):
        x, y, label = click_near_outline(answer, target, rng, cell_px=2.0)
        row, column = int(y / 2), int(x / 2)
        assert label == int(target[row, column])
        assert abs(np.hypot(column - 40, row - 40) - 24) < 0.25 * np.sqrt(answer.sum()) + 1.5
        labels.append(label)
        is_error.append(bool(target[row, column] != answer[row, column]))
    assert 0.2 < np.mean(labels) < 0.8
    assert 0.05 < np.mean(is_error) < 0.6, "most of the band is right, some of it is not"
    whole = np.ones((8, 8), bool)
    for without_outline in (whole, ~whole):
        assert click_near_outline(without_outline, whole, rng, cell_px=2.0) == NOTHING


def test_boxes_are_near_the_object_and_inside_the_window() -> None:
    rng = np.random.default_rng(0)
    target = np.zeros((20, 30), bool)
    target[5:15, 0:20] = True
    exact = 0
    for _ in range(100):
        (x0, y0, first), (x1, y1, second) = noisy_box(target, rng, cell_px=2.0)
        assert (first, second) == (2, 3)
        assert 0 <= x0 < x1 <= 60
        assert 0 <= y0 < y1 <= 40
        np.testing.assert_allclose([x0, y0, x1, y1], [0, 10, 40, 30], atol=0.15 * 40)
        exact += (x0, y0, x1, y1) == (0.0, 10.0, 40.0, 30.0)
    assert 20 <= exact <= 60


def test_an_image_of_another_size_than_its_masks_is_named(tmp_path: Path) -> None:
    images = read_coco_sets([write_set(tmp_path / "a", images=1)])
    cv2.imwrite(str(images[0].path), np.zeros((40, 50, 3), np.uint8))
    sampler = WindowSampler(images, window_px=64, objects=2)
    with pytest.raises(ImportFormatError, match=r"1\.png is 50 x 40 pixels, a mask of it is 96 x 96"):
        sampler.draw(np.random.default_rng(0), sampler.set_weights({}))


def test_objects_that_no_window_shows_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = read_coco_sets([write_set(tmp_path / "a", images=1)])
    speck = np.zeros((96, 96), bool)
    speck[40:42, 40:42] = True
    sampler = WindowSampler([replace(image, masks=(Mask.from_full(speck),))], window_px=64, objects=2)
    monkeypatch.setattr("annotator.train.data.windows.MOST_TRIES", 30)
    with pytest.raises(ImportFormatError, match="30 tries found no object"):
        sampler.draw(np.random.default_rng(0), sampler.set_weights({}))
