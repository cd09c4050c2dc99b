"""What an adapter is trained on: losses and prompts."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from annotator.engine.sam2.adapter_network import AdapterMaps
from annotator.train.steps.adapter_losses import adapter_loss, bce_dice, uncertain_band
from annotator.train.steps.adapter_prompts import (
    NEAR_OUTLINE_SHARE,
    SHARES,
    Kind,
    draw_batch,
    exact_correction,
    noisy_mask,
    sloppy_correction,
)


def test_losses_by_hand() -> None:
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    right = torch.tensor([[[[20.0, 20.0], [-20.0, -20.0]]]])
    assert bce_dice(right, target).item() == pytest.approx(0.0, abs=1e-5)
    assert bce_dice(-right, target).item() == pytest.approx(20 + 1 - 1 / 5, rel=1e-4)
    half = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    wrong_outside = torch.tensor([[[[20.0, -20.0], [-20.0, 20.0]]]])
    assert bce_dice(wrong_outside, target, half).item() == pytest.approx(0.0, abs=1e-5)
    assert bce_dice(-right, target, torch.zeros_like(half)).item() == 0.0


def test_the_band_lies_on_both_sides() -> None:
    target = np.zeros((1024, 1024), np.uint8)
    target[300:700, 300:700] = 1
    band = uncertain_band(target)
    row = np.flatnonzero(band[500])
    assert row.size == pytest.approx(2 * 2 * 0.005 * math.hypot(1024, 1024), rel=0.15)  # two outlines, both sides
    assert row.min() < 300 <= row[row < 500].max()
    cut = np.zeros((64, 64), np.uint8)
    cut[:, :32] = 1
    assert not uncertain_band(cut)[20:40, :20].any()  # the window's edge is no outline


def test_parts_of_the_loss_reach_their_maps() -> None:
    masks = torch.zeros(1, 4, 32, 32, requires_grad=True)
    maps = [torch.zeros(1, 64, requires_grad=True) for _ in range(3)]
    target = torch.zeros(1, 1, 128, 128)
    target[..., 32:96, 32:96] = 1
    band = torch.nn.functional.avg_pool2d(
        torch.from_numpy(uncertain_band(target[0, 0].numpy().astype(np.uint8)))[None, None].float(), 4
    )
    uncertain = torch.where(torch.arange(64).view(1, 64) % 8 < 4, 5.0, -5.0).requires_grad_()
    found = adapter_loss(
        masks, torch.full((1, 4), 0.5), AdapterMaps(uncertain, maps[1], maps[2]), target, band, is_ambiguous=False
    )
    found.total.backward()
    assert masks.grad is not None
    assert bool(masks.grad[:, 0].any())
    assert not bool(masks.grad[:, 1:].any())
    coarse, refined = (m.grad.view(8, 8) for m in maps[1:])  # type: ignore[union-attr]
    assert bool(refined[:, :3].all())
    assert not bool(refined[:, 6:].any())
    assert bool(coarse[:, 6:].all())
    assert not bool(coarse[:, :2].any())
    masks.grad = None
    found = adapter_loss(masks, torch.full((1, 4), 0.5), None, target, band, is_ambiguous=True)
    found.total.backward()
    assert bool(masks.grad[:, 1:].any())  # type: ignore[index]


@pytest.mark.parametrize("kind", list(Kind))
def test_prompts_of_a_kind(kind: Kind) -> None:
    targets = np.zeros((3, 128, 128), np.uint8)
    for n, t in enumerate(targets):
        cv2.circle(t, (40 + 20 * n, 64), 20, 1, -1)
    for seed in range(5):
        drawn = draw_batch(kind, targets, np.random.default_rng(seed))
        lengths = {len(points) for points in drawn.points}
        assert len(lengths) == 1
        for target, points in zip(targets, drawn.points, strict=True):
            for x, y, label in points:
                assert 0 <= x <= 128
                assert 0 <= y <= 128
                if label == 1:
                    assert target[int(y), int(x)] == 1
        labels = [label for *_, label in drawn.points[0]]
        assert (2 in labels) == (kind in (Kind.BOX, Kind.BOX_AND_POINTS) or (kind is Kind.CORRECTION and 2 in labels))
        assert (drawn.masks is not None) == (kind in (Kind.MASK, Kind.MASK_AND_POINTS))
        assert drawn.is_ambiguous == (kind is Kind.CLICK)
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_some_corrections_in_training_are_not_at_the_error() -> None:
    answer, target = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    answer[10:50, 10:50] = True
    target[10:50, 10:30] = True  # the right half is wrong
    rng = np.random.default_rng(0)
    elsewhere = [sloppy_correction(answer, target, rng)[2] == 1 for _ in range(400)]
    assert 0.1 * NEAR_OUTLINE_SHARE < np.mean(elsewhere) < NEAR_OUTLINE_SHARE  # many near clicks are negative, too
    assert {exact_correction(answer, target, rng)[2] for _ in range(50)} == {0}


def test_noisy_masks_are_near_the_object() -> None:
    target = np.zeros((256, 256), np.uint8)
    cv2.circle(target, (120, 130), 60, 1, -1)
    small = cv2.resize(target, (64, 64), interpolation=cv2.INTER_AREA) > 0
    overlaps = []
    for seed in range(20):
        drawn = noisy_mask(target, np.random.default_rng(seed)) > 0
        overlaps.append((drawn & small).sum() / (drawn | small).sum())
    assert 0.6 < min(overlaps) < max(overlaps) < 0.999
