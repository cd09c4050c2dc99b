"""Teaching the object score: prompts beside objects, and a head that learns while nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.engine.sam2.nano import NanoConfig, build_nano
from annotator.studies.score_fit import area_under_curve, fit_score, judge, prompts_of
from annotator.train.data.windows import Window, WindowSampler, read_coco_sets
from tests.unit.train.scenes import write_set

CONFIG = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)


def window_of(target: np.ndarray) -> Window:
    return Window(np.zeros((*target.shape, 3), np.float32), target[None], np.zeros(1, np.float32), "x")


def test_prompts_lie_on_objects_or_beside_all_of_them() -> None:
    target = np.zeros((128, 128), np.uint8)
    target[40:80, 30:90] = 1
    rng = np.random.default_rng(0)
    asked = [a for _ in range(60) for a in prompts_of(window_of(target), rng)]
    kinds = {(a.is_object, a.prompt[0][2]) for a in asked}
    assert kinds == {(True, 1), (True, 2), (False, 1), (False, 2)}
    for a in asked:
        (x0, y0, kind), (x1, y1, _) = a.prompt
        if kind == 1:
            assert bool(target[int(y0), int(x0)]) is a.is_object
        elif not a.is_object:
            assert not target[int(y0) : int(y1), int(x0) : int(x1)].any()


def test_a_full_window_has_no_empty_place() -> None:
    rng = np.random.default_rng(0)
    asked = prompts_of(window_of(np.ones((64, 64), np.uint8)), rng)
    assert [a.is_object for a in asked] == [True]


def test_area_under_the_curve_by_hand() -> None:
    scores, truths = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert area_under_curve(scores, truths) == pytest.approx((2 + 1.5) / 4)
    with pytest.raises(ValueError, match="both"):
        area_under_curve(scores, np.ones(4, bool))


def test_the_head_learns_and_nothing_else_moves(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = build_nano(CONFIG).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = read_coco_sets([write_set(tmp_path / "a")])
    sampler = WindowSampler(images, window_px=64, objects=8)
    first = area_under_curve(*judge(model, CONFIG, sampler, windows=24, seed=1))
    fit_score(model, CONFIG, sampler, steps=40, batch=4, learning_rate=1e-2, seed=0)
    assert area_under_curve(*judge(model, CONFIG, sampler, windows=24, seed=1)) > first + 0.15
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("pred_obj_score_head" in name for name in changed)
    assert all(parameter.requires_grad for parameter in model.parameters())
