"""Scenes from code: masks that fit their objects, and training on nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from annotator import cli
from annotator.engine.sam2.nano import NanoConfig, load_nano
from annotator.train.data.scenes import SET_NAME, MixedSampler, SceneSampler, shape, texture
from annotator.train.data.windows import read_coco_sets
from annotator.train.run.base_run import RunFiles, run_training
from annotator.train.settings import Stage, TrainSettings
from tests.unit.train.scenes import write_set


def test_scenes_are_windows_with_visible_objects() -> None:
    sampler, rng = SceneSampler(window_px=96, objects=3), np.random.default_rng(0)
    for _ in range(40):
        window = sampler.draw(rng)
        assert window.image.shape == (96, 96, 3)
        assert window.image.dtype == np.float32
        assert 0.0 <= window.image.min() <= window.image.max() <= 1.0
        assert 1 <= len(window.targets) <= 3
        assert window.targets.dtype == np.uint8
        assert len(window.hidden_px) == len(window.targets)
        assert (window.hidden_px >= 0).all()
        assert (window.targets.sum(axis=0) <= 1).all()  # what is in front covers what is behind
        assert window.set_name == SET_NAME


def test_the_same_seed_draws_the_same_scene() -> None:
    sampler = SceneSampler(window_px=64, objects=2)
    one, again, other = (sampler.draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.targets, again.targets)
    assert not np.array_equal(one.image, other.image)


def test_shapes_and_textures_vary() -> None:
    rng = np.random.default_rng(0)
    outlines = [shape(rng) for _ in range(50)]
    assert {len(outline) for outline in outlines} > {96}
    assert all(np.abs(outline).max() < 3 for outline in outlines)
    surfaces = [texture(32, rng) for _ in range(50)]
    assert all(s.min() >= 0 and s.max() <= 1 for s in surfaces)
    assert np.std([s.mean() for s in surfaces]) > 0.05


def test_real_and_drawn_windows_mix_by_their_share(tmp_path: Path) -> None:
    images = read_coco_sets([write_set(tmp_path / "a")])
    sampler = MixedSampler(images, window_px=64, objects=2, share=0.3)
    weights = sampler.set_weights({"a": 0.5, SET_NAME: 0.9})
    assert weights.tolist() == [1.0]
    rng = np.random.default_rng(0)
    names = [sampler.draw(rng, weights).set_name for _ in range(200)]
    assert names.count(SET_NAME) == pytest.approx(60, abs=20)


def test_a_model_is_trained_without_any_data(tmp_path: Path) -> None:
    config = NanoConfig(
        image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
    )
    files = RunFiles(tmp_path / "nano.safetensors", tmp_path / "nano.state")
    settings = TrainSettings(minutes=0.03, stages=(Stage(1.0, 64, 2),), synthetic_share=1.0)
    device = torch.device("cpu")
    run_training(roots=[], files=files, settings=settings, config=config, device=device, report=lambda _line: None)
    _model, _config, metadata = load_nano(files.out)
    assert metadata["sets"] == SET_NAME
    assert int(metadata["steps"]) > 0


def test_nothing_at_all_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.safetensors")
    assert cli.main(["train-base", "--out", out]) == 2
    assert "nothing to train on" in capsys.readouterr().err
    assert cli.main(["train-base", "--out", out, "--synthetic", "2"]) == 2
    assert "share from 0 to 1" in capsys.readouterr().err
