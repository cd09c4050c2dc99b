"""A small network that is added to the linear ratings of the answers to one click.

A linear model weighs every sign alike in every company. A few hidden units tell apart when one of them means something:
a closer piece's answer is worth more where the object is small, and its own opinion less where the pieces disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LARGEST = 1e4
MOST_UNITS = 4096
CLIPPED = 4.0
"""Evidence further from the mean than this many spreads counts as if it were there: a rare answer is no proof."""


@dataclass(frozen=True, slots=True, eq=False)
class RatingNetwork:
    """K columns of evidence, one layer of H units, one number: a rating to be added to the linear one.

    Attributes:
        mean, spread: K float64, of the evidence that it was fitted on; spread > 0.
        hidden: K x H; hidden_bias: H; out: H.
        direct: K, of the columns themselves.

    Raises:
        ValueError: the shapes do not fit each other, a number is not finite or out of all measure, or a spread is not
            positive.
    """

    mean: FloatArray
    spread: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    out: FloatArray
    direct: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            values = np.asarray(getattr(self, field.name), np.float64)
            if not np.isfinite(values).all() or (np.abs(values) > LARGEST).any():
                raise ValueError(f"{field.name} of a rating network is not finite or out of all measure")
            values.setflags(write=False)
            object.__setattr__(self, field.name, values)
        if self.hidden.ndim != 2 or not 1 <= self.hidden.shape[1] <= MOST_UNITS:
            raise ValueError("the hidden layer of a rating network is no matrix")
        columns, units = self.hidden.shape
        wanted = {"mean": columns, "spread": columns, "direct": columns, "hidden_bias": units, "out": units}
        for name, size in wanted.items():
            if getattr(self, name).shape != (size,):
                raise ValueError(f"{name} of a rating network has {getattr(self, name).shape}, not ({size},)")
        if (self.spread <= 0).any():
            raise ValueError("a spread of a rating network is not positive")

    @property
    def columns(self) -> int:
        """K."""
        return int(self.hidden.shape[0])

    def __call__(self, evidence: FloatArray) -> FloatArray:
        """What is added to the ratings, n, of n x K evidence."""
        seen = np.clip((evidence - self.mean) / self.spread, -CLIPPED, CLIPPED)
        return np.asarray(np.tanh(seen @ self.hidden + self.hidden_bias) @ self.out + seen @ self.direct, np.float64)
