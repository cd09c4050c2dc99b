"""The click."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PointPrompt:
    """A click: image position in pixels (float, pixel centre at +0.5) and its sign."""

    x: float
    y: float
    is_positive: bool = True
