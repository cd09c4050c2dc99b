"""The scribble: a line drawn through an object, or through what is not part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Self

import numpy as np

from annotator.domain.cues.cue import Path
from annotator.domain.geometry import clamp_point
from annotator.domain.point_prompt import PointPrompt

CLICKS = 5
"""By so many clicks it is asked, each in the middle of a fifth of the line: the ends leave an object most easily."""
MOST_POSITIONS = 2_000


@dataclass(frozen=True, slots=True)
class Scribble:
    """A line, image pixels.

    Raises:
        ValueError: it has no positions or too many, or one that is not finite.
    """

    kind: ClassVar[str] = "scribble"
    title: ClassVar[str] = "scribble"
    path: Path
    is_positive: bool = True

    def __post_init__(self) -> None:
        if not 0 < len(self.path) <= MOST_POSITIONS:
            raise ValueError(f"a scribble has 1 to {MOST_POSITIONS} positions, not {len(self.path)}")
        if not all(math.isfinite(value) for at in self.path for value in at):
            raise ValueError("a position of a scribble is not finite")

    @classmethod
    def example(cls) -> Self:
        return cls(((12.0, 20.0), (20.0, 20.0), (30.0, 26.0)))

    def clicks(self) -> tuple[PointPrompt, ...]:
        """Evenly along the line; one for a line of no length."""
        reached = list(accumulate((math.dist(a, b) for a, b in pairwise(self.path)), initial=0.0))
        shares = (np.arange(CLICKS) + 0.5) / CLICKS if reached[-1] > 0 else np.zeros(1)
        xs, ys = (np.interp(shares * reached[-1], reached, axis).tolist() for axis in zip(*self.path, strict=True))
        return tuple(PointPrompt(x, y, self.is_positive) for x, y in zip(xs, ys, strict=True))

    def lines(self) -> tuple[tuple[Path, bool], ...]:
        return ((self.path, self.is_positive),)

    def within(self, width: int, height: int) -> Self | None:
        """With what leaves the image pulled to its edge; None when no position is in it."""
        if not any(0 <= x < width and 0 <= y < height for x, y in self.path):
            return None
        path = tuple(clamp_point(x, y, width=width, height=height) for x, y in self.path)
        return type(self)(path, self.is_positive)

    def to_json(self) -> dict[str, Any]:
        """``path`` [x, y, x, y, ...] and ``label``, 1 on the object, 0 on what is not part of it."""
        return {"path": [round(value, 2) for at in self.path for value in at], "label": int(self.is_positive)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        flat = [float(value) for value in data["path"]]
        label = data.get("label", 1)
        if label not in (0, 1):
            raise ValueError("its label is neither 0 nor 1")
        return cls(tuple(zip(flat[0::2], flat[1::2], strict=True)), label == 1)
