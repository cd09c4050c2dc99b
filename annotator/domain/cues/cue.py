"""What a prompt of a kind of its own is: a value that says by which clicks models are asked, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

from annotator.domain.geometry import clamp_point
from annotator.domain.point_prompt import PointPrompt

Path = tuple[tuple[float, float], ...]
"""Positions (x, y) in image pixels."""


class Cue(Protocol):
    """A frozen value. ``rows.py`` lists the kinds; what serves all of them knows none."""

    kind: ClassVar[str]
    """Its name in files and over HTTP."""
    title: ClassVar[str]
    """In the middle of a sentence."""

    @classmethod
    def example(cls) -> Self:
        """A small one, for the help of commands and the tests of all kinds."""

    def clicks(self) -> tuple[PointPrompt, ...]:
        """By which clicks a model is asked, at least one, in this order."""

    def lines(self) -> tuple[tuple[Path, bool], ...]:
        """What the canvas draws in place of those clicks: positions, and whether it adds to the object."""

    def within(self, width: int, height: int) -> Self | None:
        """What of it is meant in an image of this size, None when that is nothing."""

    def to_json(self) -> dict[str, Any]:
        """Plain data without its kind."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises:
        ValueError, TypeError, KeyError, OverflowError: the data are damaged.
        """


@dataclass(frozen=True, slots=True)
class PlacedCue:
    """A cue among the clicks of an object: it stands for ``count`` of them from number ``first`` on."""

    cue: Cue
    first: int
    count: int

    @property
    def end(self) -> int:
        return self.first + self.count

    def after(self, clicks: int) -> PlacedCue:
        """With so many more clicks before it."""
        return replace(self, first=self.first + clicks)


def clamped(points: tuple[PointPrompt, ...], width: int, height: int) -> tuple[PointPrompt, ...]:
    """The same clicks, pulled to the edge of the image.

    Raises:
        ValueError: one is not finite.
    """
    places = (clamp_point(one.x, one.y, width=width, height=height) for one in points)
    return tuple(PointPrompt(*at, one.is_positive) for at, one in zip(places, points, strict=True))
