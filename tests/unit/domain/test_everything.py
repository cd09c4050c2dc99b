"""The grid, the crops, and what is the same object: against SAM 2's own helpers, and by what must hold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sam2.utils.amg import build_all_layer_point_grids, calculate_stability_score, generate_crop_boxes

from annotator.domain.answering.everything import (
    EverythingSettings,
    Proposal,
    blob_points,
    box_nms,
    crop_regions,
    grid_points,
    is_cut_off,
    mask_nms,
    points_per_side,
    stabilities,
    touches_border,
    without_specks,
)
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import UserError
from annotator.domain.mask import Mask

WHOLE = Region(0, 0, 60, 40)


@pytest.mark.parametrize(("layers", "factor"), [(0, 1), (2, 1), (2, 2), (2, 3)])
def test_points_are_those_of_the_official_grid(layers: int, factor: int) -> None:
    settings = EverythingSettings(points_per_side=12, crop_n_layers=layers, crop_n_points_downscale_factor=factor)
    official = build_all_layer_point_grids(12, layers, factor)
    for layer, expected in enumerate(official):
        np.testing.assert_allclose(grid_points(points_per_side(settings, layer)), expected, atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (97, 211), (1024, 1024), (33, 500)])
def test_crops_are_those_of_the_official_generator(width: int, height: int) -> None:
    boxes, layers = generate_crop_boxes((height, width), 2, 512 / 1500)
    ours = crop_regions(width, height, EverythingSettings(crop_n_layers=2))
    assert [(r.x0, r.y0, r.x1, r.y1) for r, _ in ours] == [tuple(box) for box in boxes]
    assert [layer for _, layer in ours] == layers


def test_stability_is_the_official_one() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 16, 16)).astype(np.float32)
    expected = calculate_stability_score(torch.from_numpy(logits), 0.0, 1.0).numpy()
    np.testing.assert_allclose(stabilities(logits, 1.0), expected, atol=1e-6)


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_suppression_keeps_no_two_alike_and_drops_nothing_for_nothing(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (25, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 40, (25, 2))], 1).astype(np.float32)
    scores = rng.uniform(0, 1, 25).astype(np.float32)
    kept = box_nms(boxes, scores, threshold).tolist()

    def iou(a: int, b: int) -> float:
        both = np.clip(np.minimum(boxes[a, 2:], boxes[b, 2:]) - np.maximum(boxes[a, :2], boxes[b, :2]), 0, None).prod()
        sizes = [(boxes[i, 2:] - boxes[i, :2]).prod() for i in (a, b)]
        return float(both / (sum(sizes) - both))

    assert all(iou(a, b) <= threshold + 1e-4 for a in kept for b in kept if a != b)
    for index in set(range(25)) - set(kept):
        assert any(iou(index, k) > threshold - 1e-4 and scores[k] >= scores[index] for k in kept)


def test_cut_off_is_what_ends_at_a_crops_edge_inside_the_image() -> None:
    crop = Region(100, 0, 300, 200)
    boxes = np.array([[105, 50, 150, 90], [130, 5, 180, 90], [130, 50, 295, 90], [130, 50, 180, 190]], np.float32)
    assert is_cut_off(boxes, crop, width=300, height=400).tolist() == [True, False, False, True]


def test_the_border_of_the_image() -> None:
    boxes = np.array([[0, 5, 9, 9], [5, 5, 59, 9], [5, 5, 20, 39], [1, 1, 58, 38]], np.float32)
    assert touches_border(boxes, width=60, height=40).tolist() == [True, True, True, False]


def proposal(bits: np.ndarray, score: float) -> Proposal:
    return Proposal(Mask.from_full(bits), score, 1.0, (0.0, 0.0), WHOLE)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    bits = np.zeros((40, 60), bool)
    bits[y0:y1, x0:x1] = True
    return bits


def test_masks_alike_are_one_and_the_better_stays() -> None:
    frame = rectangle(0, 0, 30, 30) & ~rectangle(2, 2, 28, 28)
    found = [
        proposal(rectangle(0, 0, 30, 30), 0.7),
        proposal(rectangle(0, 0, 30, 29), 0.9),
        proposal(frame, 0.5),  # its box is the same, its pixels are others
        proposal(rectangle(40, 0, 50, 10), 0.4),
    ]
    assert [p.predicted_iou for p in mask_nms(found, 0.8)] == [0.9, 0.5, 0.4]
    assert [p.predicted_iou for p in mask_nms(found, 1.0)] == [0.9, 0.7, 0.5, 0.4]
    assert mask_nms([], 0.5) == []


def test_specks_go_and_the_largest_part_stays() -> None:
    bits = rectangle(5, 5, 25, 25)
    bits[10:12, 10:12] = False  # a hole of 4 px
    bits[15:20, 15:20] = False  # one of 25 px
    bits[30:32, 40:42] = True  # an island of 4 px
    clean = without_specks(Mask.from_full(bits), 10)
    expected = bits.copy()
    expected[10:12, 10:12] = True
    expected[30:32, 40:42] = False
    assert np.array_equal(clean.full(), expected)
    alone = Mask.from_full(rectangle(3, 3, 5, 5))
    assert without_specks(alone, 100).same_pixels(alone)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_per_side", 0),
        ("points_per_side", 10_000),
        ("pred_iou_thresh", float("nan")),
        ("crop_nms_thresh", 1.5),
        ("crop_n_layers", 9),
        ("stability_score_offset", -1.0),
        ("min_mask_region_area", -3),
    ],
)
def test_settings_that_make_no_sense_are_named(name: str, value: float) -> None:
    with pytest.raises(UserError, match=name):
        EverythingSettings(**{name: value}).checked()


@pytest.mark.parametrize("is_bright", [True, False])
def test_blobs_of_several_sizes_are_clicked_once_in_their_middle(is_bright: bool) -> None:
    image = np.full((300, 400, 3), 40 if is_bright else 200, np.uint8)
    discs = [(40, 40, 5), (120, 60, 9), (220, 90, 14), (330, 80, 20), (80, 200, 7), (250, 220, 12)]
    for x, y, radius in discs:
        cv2.circle(image, (x, y), radius, (160, 160, 160) if is_bright else (90, 90, 90), -1)
    points = blob_points(image, 100)
    for x, y, radius in discs:
        near = np.hypot(points[:, 0] - x, points[:, 1] - y)
        assert (near < radius / 2).sum() == 1, (x, y)
    strongest = blob_points(image, 3)
    assert len(strongest) == 3
    assert np.array_equal(strongest, points[:3])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3), (64, 64)])
def test_an_image_of_one_colour_has_no_blobs(shape: tuple[int, int]) -> None:
    assert blob_points(np.full((*shape, 3), 90, np.uint8), 50).shape == (0, 2)


def test_blobs_of_a_large_image_are_in_its_own_pixels() -> None:
    image = np.zeros((1500, 3000, 3), np.uint8)
    cv2.circle(image, (2600, 900), 40, (200, 200, 200), -1)
    [[x, y]] = blob_points(image, 1)
    assert abs(x - 2600) < 15
    assert abs(y - 900) < 15
