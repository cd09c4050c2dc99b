"""Fitting the rating of answers: it finds what made the data, and its samples are what use sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.answering.hypotheses import FITTED, USUAL, RatingWeights
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, save_nano, say_in_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.studies.rating_fit import calibrate, chosen_iou, expectation_rank, fit, fit_expectation, main, samples
from tests.unit.train.scenes import write_set


def test_weights_come_back_from_data_that_they_made() -> None:
    rng = np.random.default_rng(0)
    true = RatingWeights(0.1, -0.5, 0.9, 0.2, 0.7, 0.05, -0.3)
    vector = np.array([getattr(true, name) for name in FITTED])
    data = []
    for _ in range(100):
        rows = np.column_stack([np.ones(12), rng.random((12, 6))])
        data.append((rows, rows @ vector))
    found = fit(data)
    for name in FITTED:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.02)
    assert chosen_iou(data, found) == pytest.approx(np.mean([y.max() for _, y in data]), abs=1e-3)
    assert found.contradiction == RatingWeights().contradiction


def test_what_is_expected_is_fitted_to_the_answers_that_are_chosen() -> None:
    """The truth of the chosen answers is a function of theirs; that of the others is noise."""
    rng = np.random.default_rng(1)
    true = RatingWeights(0.1, 0.2, 0.0, 0.6, 0.2, 0.05, -0.3)
    rating, vector = (np.array([getattr(w, name) for name in FITTED]) for w in (RatingWeights(), true))
    data = []
    for _ in range(200):
        rows = np.column_stack([np.ones(6), rng.random((6, 6))])
        truth = rng.random(6)
        best = int((rows @ rating).argmax())
        truth[best] = rows[best] @ vector
        data.append((rows, truth))
    found = fit_expectation(data)
    assert found.predicted_squared == 0.0
    for name in FITTED:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.03)
    assert expectation_rank(data, found) > 0.98 > expectation_rank(data, replace(found, stability=-0.6))


def test_nothing_cannot_be_fitted() -> None:
    for fitting in (fit, fit_expectation):
        with pytest.raises(ValueError, match="nothing"):
            fitting([])


CONFIG = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)


def test_ratings_that_choose_no_better_are_left_out() -> None:
    """Where the truth is noise the present ratings stay; where it is another function they go."""
    rng = np.random.default_rng(2)
    rating = np.array([getattr(USUAL.ratings, name) for name in FITTED])
    rows = [np.column_stack([np.ones(8), rng.random((8, 6))]) for _ in range(60)]
    agreeing, lines = calibrate([(x, x @ rating) for x in rows], USUAL)
    assert agreeing.ratings == USUAL.ratings
    assert "the present ratings stay" in lines
    turned, lines = calibrate([(x, 1 - x[:, 4]) for x in rows], USUAL)
    assert turned.ratings.agreement < 0 < USUAL.ratings.agreement
    assert "these ratings are taken" in lines


def test_a_models_file_carries_its_own_calibration_and_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, out = tmp_path / "nano-9.safetensors", tmp_path / "out.safetensors"
    save_nano(build_nano(CONFIG).eval(), path, config=CONFIG, metadata={"licence": "test"})
    sets = write_set(tmp_path / "a", images=2)
    assert main([str(sets), "--model", str(path), "--out", str(out), "--per-set", "6"]) == 0
    (before, _, plain), (after, _, said) = load_nano(path), load_nano(out)
    assert all(torch.equal(after.state_dict()[name], tensor) for name, tensor in before.state_dict().items())
    assert set(said) - set(plain) == {"calibration"}
    assert said["licence"] == "test"
    found = load_segmenter(str(out), device="cpu", dtype=torch.float32)
    assert isinstance(found, ZoomSegmenter)
    assert found.calibration != USUAL
    assert load_segmenter(str(path), device="cpu", dtype=torch.float32).calibration == USUAL  # type: ignore[attr-defined]
    say_in_nano(path, out, {"calibration": '{"ratings": 1}'})
    with pytest.raises(ModelError, match="does not hold the model"):
        load_segmenter(str(out), device="cpu", dtype=torch.float32)


def test_samples_of_a_set(tmp_path: Path) -> None:
    torch.manual_seed(0)
    info = ModelInfo("nano", "0" * 64, "cpu", "float32", 128)
    base = Sam2Segmenter(build_nano(CONFIG).eval(), info, dense_prompt=CONFIG.dense_prompt)
    data = list(samples(ZoomSegmenter(base, margin=1.6), [write_set(tmp_path / "a", images=2)], per_set=3))
    assert 1 <= len(data) <= 3
    for rows, truth in data:
        assert rows.shape == (truth.size, len(FITTED))
        assert (rows[:, 0] == 1.0).all()
        assert ((truth >= 0) & (truth <= 1)).all()
