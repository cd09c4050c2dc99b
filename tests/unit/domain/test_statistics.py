"""Intervals and rank correlation against hand-computed cases and published properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.statistics import bootstrap_clustered, bootstrap_mean, spearman

values = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=30)


def test_groups_count_the_same_however_large() -> None:
    assert bootstrap_mean([[1.0] * 100, [0.0]]).mean == 0.5


@given(st.lists(values, min_size=1, max_size=4))
def test_the_interval_is_ordered_and_repeatable(groups: list[list[float]]) -> None:
    interval = bootstrap_mean(groups, resamples=200)
    assert interval == bootstrap_mean(groups, resamples=200)
    assert interval.low <= interval.high
    assert min(map(min, groups)) - 1e-9 <= interval.low <= interval.high <= max(map(max, groups)) + 1e-9


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        interval = bootstrap_mean([rng.normal(0.5, 0.2, 60).tolist()], resamples=400, seed=seed)
        hits += interval.low <= 0.5 <= interval.high
    assert 178 <= hits <= 200  # 190 expected


def test_values_that_agree_have_no_width() -> None:
    assert str(bootstrap_mean([[0.25, 0.25]])) == "0.250 [0.250, 0.250]"


def test_values_that_resemble_each_other_are_not_as_many() -> None:
    """Twenty images of forty objects, whose objects share their image's luck: no more than twenty draws of it."""
    rng = np.random.default_rng(0)
    wrong = {"clustered": 0, "single": 0}
    for seed in range(60):
        images = [(rng.normal(0, 0.08) + rng.normal(0, 0.02, 40)).tolist() for _ in range(20)]
        clustered = bootstrap_clustered([images], resamples=200, seed=seed)
        single = bootstrap_mean([[value for image in images for value in image]], resamples=200, seed=seed)
        assert clustered.mean == pytest.approx(single.mean)
        for name, interval in (("clustered", clustered), ("single", single)):
            wrong[name] += not interval.low <= 0 <= interval.high
    assert wrong["clustered"] <= 9  # 3 expected, and a few more from 20 images
    assert wrong["single"] > 30


def test_clusters_of_one_are_plain_values() -> None:
    values = [0.1, 0.4, 0.4, 0.9]
    assert bootstrap_clustered([[[v] for v in values]]) == bootstrap_mean([values])
    # A cluster weighs as much as it has values, and groups count the same.
    assert bootstrap_clustered([[[0.0], [1.0, 1.0, 1.0]], [[0.0]]]).mean == pytest.approx(0.375)
    for nothing in ([], [[]], [[[]]], [[[1.0], []]]):
        with pytest.raises(ValueError, match="values"):
            bootstrap_clustered(nothing)


@pytest.mark.parametrize("groups", [[], [[]], [[1.0], []]])
def test_nothing_has_no_mean(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="values"):
        bootstrap_mean(groups)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [9, 4, 1], -1.0),
        # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5.
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / (4.5 * 5) ** 0.5),
        ([1, 1, 1], [1, 2, 3], 0.0),
    ],
)
def test_rank_correlation_by_hand(a: list[float], b: list[float], expected: float) -> None:
    assert spearman(a, b) == pytest.approx(expected)


def test_rank_correlation_refuses_other_lengths() -> None:
    with pytest.raises(ValueError, match="same length"):
        spearman([1.0, 2.0], [1.0])
