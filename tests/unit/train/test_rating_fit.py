"""Fitting the rating of answers: it finds what made the data, and its samples are what use sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.answering.evidence import SEEN
from annotator.domain.answering.hypotheses import FITTED, USUAL, RatingWeights
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, save_nano, say_in_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.studies.rating_evidence import AnsweredClick, collect, read_clicks, write_clicks
from annotator.studies.rating_fit import calibrate, compared, expectation_rank, fit, fit_expectation, main
from annotator.studies.rating_network_fit import (
    NetworkRecipe,
    chosen_by,
    fit_network,
    mean_of_sets,
    shown_iou,
)
from tests.unit.train.scenes import write_set

SMALL_RECIPE = NetworkRecipe(units=4, beginnings=2, steps=120, folds=2)


def clicks_of(
    truth_of: Callable[[np.ndarray], np.ndarray], *, count: int = 60, answers: int = 8, seed: int = 0
) -> list[AnsweredClick]:
    """Random evidence; the true IoU of a click's answers is a function of it (n x len(SEEN))."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        seen = rng.random((answers, len(SEEN)))
        faults, overlaps = np.zeros((answers, 2)), np.eye(answers)
        found.append(AnsweredClick(f"set {i % 3}", f"image {i}", i % 2 == 0, seen, faults, overlaps, truth_of(seen)))
    return found


def linear(weights: RatingWeights) -> Callable[[np.ndarray], np.ndarray]:
    vector = np.array([getattr(weights, name) for name in FITTED])
    return lambda seen: vector[0] + seen[:, :6] @ vector[1:]


def test_weights_come_back_from_data_that_they_made() -> None:
    true = RatingWeights(0.1, -0.5, 0.9, 0.2, 0.7, 0.05, -0.3)
    data = clicks_of(linear(true), count=100)
    found = fit(data)
    for name in FITTED:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.02)
    best = np.mean([click.truth.max() for click in data])
    assert np.mean([c.truth[chosen_by(c, found, None)] for c in data]) == pytest.approx(best, abs=1e-3)
    assert found.contradiction == RatingWeights().contradiction


def test_what_is_expected_is_fitted_to_the_answers_that_are_chosen() -> None:
    """The truth of the chosen answers is a function of theirs; that of the others is noise."""
    rng = np.random.default_rng(1)
    true = RatingWeights(0.1, 0.2, 0.0, 0.4, 0.2, 0.05, -0.3)
    data = clicks_of(lambda seen: rng.random(len(seen)), count=200)
    chosen = [int(rng.integers(len(click.truth))) for click in data]
    for click, i in zip(data, chosen, strict=True):
        click.truth[i] = linear(true)(click.seen)[i]
    found = fit_expectation(data, chosen)
    assert found.predicted_squared == 0.0
    for name in FITTED:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.03)
    assert expectation_rank(data, chosen, found) > 0.98 > expectation_rank(data, chosen, replace(found, stability=-0.6))


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="nothing"):
        fit([])
    with pytest.raises(ValueError, match="nothing"):
        fit_expectation([], [])
    with pytest.raises(ValueError, match="nothing"):
        fit_network([], RatingWeights())


def test_ratings_that_choose_no_better_are_left_out() -> None:
    """Where the truth is what the present ratings say they stay; where it is another function they go."""
    agreeing, lines = calibrate(clicks_of(linear(USUAL.ratings)), USUAL, None)
    assert agreeing.ratings == USUAL.ratings
    assert agreeing.network is None
    assert "the present ratings stay" in lines
    turned, lines = calibrate(clicks_of(lambda seen: 1 - seen[:, 3]), USUAL, None)
    assert turned.ratings.agreement < 0 < USUAL.ratings.agreement
    assert "these ratings are taken" in lines


def by_size(seen: np.ndarray) -> np.ndarray:
    """Good is a small answer where the outline is sharp and a large one where it is not: no linear model says that."""
    sharp, area = seen[:, SEEN.index("sharpness")], seen[:, SEEN.index("log_area")]
    return np.where(sharp > 0.5, 1 - area, area)


def test_a_network_learns_what_a_linear_model_cannot_and_is_kept_for_that() -> None:
    data, others = clicks_of(by_size, count=300), clicks_of(by_size, seed=1)
    ratings = fit(data)
    recipe = NetworkRecipe(units=16, beginnings=4, steps=200, folds=2)
    network = fit_network(data, ratings, recipe)
    plain, with_network = (mean_of_sets(shown_iou(others, ratings, it)) for it in (None, network))
    assert with_network > plain + 0.05
    found, lines = calibrate(data, USUAL, recipe)
    assert found.network is not None
    assert "the network is taken" in lines
    assert compared(others, USUAL, found)[-2].startswith("mean of sets, elsewhere: ")


def test_a_network_that_gains_nothing_where_it_was_not_fitted_is_left_out() -> None:
    found, lines = calibrate(clicks_of(lambda seen: np.full(len(seen), 0.5)), USUAL, SMALL_RECIPE)
    assert found.network is None
    assert "there is no network" in lines


def test_the_same_clicks_give_the_same_network() -> None:
    data = clicks_of(by_size)
    one, two = (fit_network(data, USUAL.ratings, SMALL_RECIPE) for _ in range(2))
    assert np.array_equal(one.hidden, two.hidden)
    assert one.hidden.shape[1] == SMALL_RECIPE.units * SMALL_RECIPE.beginnings


CONFIG = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)


def test_a_models_file_carries_its_own_calibration_and_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, out, kept = tmp_path / "nano-9.safetensors", tmp_path / "out.safetensors", tmp_path / "clicks.npz"
    save_nano(build_nano(CONFIG).eval(), path, config=CONFIG, metadata={"licence": "test"})
    sets = write_set(tmp_path / "a", images=2)
    asked = ["--model", str(path), "--out", str(out), "--no-network", "--evidence", str(kept)]
    assert main([str(sets), *asked, "--per-set", "6"]) == 0
    (before, _, plain), (after, _, said) = load_nano(path), load_nano(out)
    assert all(torch.equal(after.state_dict()[name], tensor) for name, tensor in before.state_dict().items())
    assert set(said) - set(plain) == {"calibration", "rating_columns"}
    assert said["licence"] == "test"
    found = load_segmenter(str(out), device="cpu", dtype=torch.float32)
    assert isinstance(found, ZoomSegmenter)
    assert found.calibration != USUAL
    assert load_segmenter(str(path), device="cpu", dtype=torch.float32).calibration == USUAL  # type: ignore[attr-defined]
    out.unlink()
    assert main(asked) == 0, "from the evidence that was kept"
    assert load_nano(out)[2] == said
    say_in_nano(path, out, {"calibration": '{"ratings": 1}'})
    with pytest.raises(ModelError, match="does not hold the model"):
        load_segmenter(str(out), device="cpu", dtype=torch.float32)


def test_clicks_in_a_set_are_kept_in_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    info = ModelInfo("nano", "0" * 64, "cpu", "float32", 128)
    base = Sam2Segmenter(build_nano(CONFIG).eval(), info, dense_prompt=CONFIG.dense_prompt)
    root = write_set(tmp_path / "a", images=2)
    clicks = list(collect(ZoomSegmenter(base, margin=1.6), root, per_set=3))
    assert 3 <= len(clicks) <= 6
    assert sum(click.is_deepest for click in clicks) == 3
    for click in clicks:
        assert click.of_set == "a"
        assert click.features.shape == (click.truth.size, len(FITTED))
        assert click.seen.shape == (click.truth.size, len(SEEN))
        assert (click.features[:, 0] == 1.0).all()
        assert ((click.truth >= 0) & (click.truth <= 1)).all()
    write_clicks(tmp_path / "clicks.npz", clicks)
    for one, other in zip(clicks, read_clicks(tmp_path / "clicks.npz"), strict=True):
        assert (one.of_set, one.image, one.is_deepest) == (other.of_set, other.image, other.is_deepest)
        for name in ("seen", "faults", "overlaps", "truth"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_evidence_of_other_columns_is_collected_again(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "clicks.npz", columns=np.array(["predicted"]))
    with pytest.raises(ValueError, match="collect them again"):
        read_clicks(tmp_path / "clicks.npz")
