"""Means with their uncertainty, and rank correlation: numbers that decide whether a model is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def signed(self) -> str:
        """As text, of a difference."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap_mean(groups: Sequence[Sequence[float]], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean over groups of each group's mean, with a percentile bootstrap (Efron & Tibshirani, 1993).

    Values are drawn anew within each group: every group counts the same, however many values it has.

    Args:
        groups: one group of values or several, none empty, finite.

    Raises:
        ValueError: no group, or an empty one.
    """
    arrays = [np.asarray(group, np.float64) for group in groups]
    if not arrays or any(array.size == 0 for array in arrays):
        raise ValueError("a mean needs values")
    rng = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    for array in arrays:
        drawn += array[rng.integers(array.size, size=(resamples, array.size))].mean(axis=1)
    low, high = np.percentile(drawn / len(arrays), [2.5, 97.5])
    mean = float(np.mean([array.mean() for array in arrays]))
    return Interval(mean, float(low), float(high))


def bootstrap_clustered(
    groups: Sequence[Sequence[Sequence[float]]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The mean over groups of the mean of each group's values, where values come in clusters that resemble each other.

    Whole clusters are drawn anew within each group (the cluster bootstrap: Davison & Hinkley, 1997, section 3.8); a
    large cluster weighs as much as it has values.

    Args:
        groups: one group of clusters of values or several, none empty, finite. A group of a single cluster says
            nothing about how others would be: its part of the interval is a point.

    Raises:
        ValueError: no group, or an empty one, or an empty cluster.
    """
    if not groups or not all(groups) or not all(len(cluster) for group in groups for cluster in group):
        raise ValueError("a mean needs values")
    rng = np.random.default_rng(seed)
    drawn, means = np.zeros(resamples), []
    for group in groups:
        sums = np.array([np.sum(cluster) for cluster in group], np.float64)
        counts = np.array([len(cluster) for cluster in group], np.float64)
        chosen = rng.integers(len(group), size=(resamples, len(group)))
        drawn += sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
        means.append(float(np.mean([value for cluster in group for value in cluster])))
    low, high = np.percentile(drawn / len(groups), [2.5, 97.5])
    return Interval(float(np.mean(means)), float(low), float(high))


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation with mean ranks for ties, -1..1; 0 when one of the two never changes.

    Raises:
        ValueError: the two are not equally long, or shorter than two.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError("a correlation needs two series of the same length")
    first, second = _ranks(a), _ranks(b)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 0 else 0.0


def _ranks(values: Sequence[float]) -> FloatArray:
    array = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
