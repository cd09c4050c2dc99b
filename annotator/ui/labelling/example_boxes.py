"""The boxes that go with words: which there are in this image, and their tool, in the hand while the line is open."""

from __future__ import annotations

from collections.abc import Callable

from annotator.domain.counting import counted
from annotator.domain.ports.concept import ExampleBox
from annotator.engine.finders import Offer
from annotator.engine.specs import Ability
from annotator.ui.canvas.canvas import Canvas

TOOL = "examples"


class ExampleBoxes:
    """One per window. What is drawn stays until the image is left.

    Args:
        take: puts a tool into the hand.
    """

    def __init__(self, canvas: Canvas, take: Callable[[str], object]) -> None:
        self._canvas, self._take = canvas, take
        self._tool_before = ""

    @property
    def boxes(self) -> tuple[ExampleBox, ...]:
        return self._canvas.examples.boxes

    @property
    def has_positive(self) -> bool:
        """Whether they alone say what is meant."""
        return any(one.is_positive for one in self.boxes)

    @property
    def said(self) -> str:
        """How many, for a line."""
        meant = sum(one.is_positive for one in self.boxes)
        other = len(self.boxes) - meant
        parts = (counted(meant, "example") if meant else "", f"{other} not meant" if other else "")
        return ", ".join(filter(None, parts))

    def lend(self) -> None:
        """Put their tool into the hand until :meth:`give_back`."""
        if self._canvas.tool != TOOL and not self._canvas.has_gesture:
            self._tool_before = self._canvas.tool
            self._take(TOOL)

    def give_back(self) -> None:
        """The tool before comes back, where theirs was only lent."""
        before, self._tool_before = self._tool_before, ""
        if before and self._canvas.tool == TOOL:
            self._take(before)


def takes_boxes(offer: Offer) -> bool:
    return Ability.EXAMPLES in offer.family.can
